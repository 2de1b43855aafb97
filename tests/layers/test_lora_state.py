"""A LoRA read off one network and put into another."""

import pytest
import torch
from torch import nn

from edudiff.layers import lora
from edudiff.layers.lora_state import load_lora_state_dict


def network(width: int = 8, names: tuple[str, ...] = ("to_q", "to_k", "conv")) -> nn.Module:
    torch.manual_seed(1)
    layers = {
        "to_q": nn.Linear(width, 6),
        "to_k": nn.Linear(width, 6),
        "conv": nn.Conv2d(width, 4, 3),
    }
    return nn.ModuleDict({name: layers[name] for name in names})


def learned() -> nn.Module:
    model = network()
    lora.add_lora(model, ["to_q", "to_k", "conv"], rank=3, adapter="mine")
    for weight in lora.lora_parameters(model, "mine").values():
        nn.init.normal_(weight)
    return model


def test_it_arrives_as_it_was_and_does_not_learn():
    there, here = learned(), network()
    state = lora.lora_state_dict(there, "mine")
    names = load_lora_state_dict(here, state, lora_alpha={"to_k": 6.0})
    assert names == ["to_q", "to_k", "conv"]
    found = lora.lora_state_dict(here)
    assert all(torch.equal(found[key], matrix) for key, matrix in state.items())
    assert [layer.scaling("default") for layer in lora.lora_layers(here).values()] == [1, 2, 1]
    assert not any(weight.requires_grad for weight in here.parameters())


def test_layers_may_have_different_ranks():
    state = lora.lora_state_dict(learned(), "mine")
    state["to_q.lora_A.weight"] = state["to_q.lora_A.weight"][:1]
    state["to_q.lora_B.weight"] = state["to_q.lora_B.weight"][:, :1]
    here = network()
    load_lora_state_dict(here, state)
    assert [layer.rank["default"] for layer in lora.lora_layers(here).values()] == [1, 3, 3]


@pytest.mark.parametrize(
    "base, said",
    [
        ({"names": ("to_q", "conv")}, r"1 of its 3 layers do not fit: to_k \(there is no such"),
        (
            {"width": 7},
            r"3 of its 3 layers do not fit: to_q \(expected A and B of \(3, 7\) and \(6, 3\), got "
            r"\(3, 8\) and \(6, 3\)\)",
        ),
    ],
)
def test_a_lora_for_another_base_is_refused_with_the_layers_that_do_not_fit(base, said, refusal):
    here = network(**base)
    with refusal(f"state: expected a LoRA for this network, but {said}"):
        load_lora_state_dict(here, lora.lora_state_dict(learned(), "mine"))
    assert lora.lora_layers(here) == {}


def test_half_of_a_pair_is_refused(refusal):
    state = lora.lora_state_dict(learned(), "mine")
    del state["to_k.lora_B.weight"]
    with refusal(r"to_k \(without to_k.lora_B.weight\)"):
        load_lora_state_dict(network(), state)


def test_nan_is_refused(refusal):
    state = lora.lora_state_dict(learned(), "mine")
    state["to_k.lora_B.weight"] = torch.full((6, 3), torch.nan)
    with refusal("to_k.lora_B.weight: expected finite numbers"):
        load_lora_state_dict(network(), state)


def test_nothing_is_no_lora(refusal):
    with refusal("state: expected the matrices of a LoRA, got none"):
        load_lora_state_dict(network(), {})


def test_a_taken_name_is_refused(refusal):
    there = learned()
    with refusal("adapter: expected another name"):
        load_lora_state_dict(there, lora.lora_state_dict(there, "mine"), adapter="mine")
