"""LoRA on a whole network: what is meant, what learns, and parity with peft for any targets."""

import pytest
import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model
from torch import nn
from torch.testing import assert_close

from edudiff.layers import lora
from edudiff.layers.pixel_transformer import PixelTransformer

TARGETS = {
    "query and value": list(lora.QUERY_VALUE),
    "attention": list(lora.ATTENTION),
    "one attention": ["attn2.to_k"],
    "a whole name": ["transformer_blocks.0.attn1.to_q"],
    "convolutions too": ["proj_in", "ff.net.2"],
}


def network() -> nn.Module:
    torch.manual_seed(3)
    return PixelTransformer(16, context_dim=12, num_heads=2, groups=4).double().eval()


def asked(model: nn.Module) -> torch.Tensor:
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(2, 16, 4, 4, generator=generator, dtype=torch.float64)
    return model(x, torch.randn(2, 5, 12, generator=generator, dtype=torch.float64))


def learned(model: nn.Module, adapter: str = "default") -> nn.Module:
    generator = torch.Generator().manual_seed(2)
    for name, weight in lora.lora_parameters(model, adapter).items():
        if "lora_B" in name:
            weight.data.normal_(generator=generator)
    return model


@pytest.mark.parametrize("kind", sorted(TARGETS))
@pytest.mark.parametrize("options", [{}, {"lora_alpha": 7.0}, {"lora_alpha": 2.0, "rslora": True}])
def test_peft_gives_the_same_answers_and_gradients(kind, options):
    ours, theirs = network(), network()
    names = lora.add_lora(ours, TARGETS[kind], rank=4, **options)
    config = LoraConfig(
        r=4,
        lora_alpha=options.get("lora_alpha", 4),
        target_modules=TARGETS[kind],
        use_rslora=options.get("rslora", False),
    )
    theirs = inject_adapter_in_model(config, theirs).double().eval()
    assert {name for name, _ in theirs.named_parameters()} == set(learned(ours).state_dict())
    theirs.load_state_dict(ours.state_dict())
    assert_close(asked(ours), asked(theirs))
    asked(ours).square().sum().backward()
    asked(theirs).square().sum().backward()
    gradients = {n: p.grad for n, p in theirs.named_parameters() if p.grad is not None}
    assert len(gradients) == 2 * len(names)
    for name, weight in lora.lora_parameters(ours).items():
        assert_close(weight.grad, gradients[name])


def test_what_is_read_off_has_peft_s_names():
    ours = network()
    lora.add_lora(ours, ["to_q"], rank=2)
    theirs = inject_adapter_in_model(LoraConfig(r=2, target_modules=["to_q"]), network())
    assert set(lora.lora_state_dict(ours)) == set(get_peft_model_state_dict(theirs))


def test_the_seed_of_peft_draws_the_same_matrices():
    torch.manual_seed(8)
    ours = network().float()
    torch.manual_seed(8)
    lora.add_lora(ours, lora.QUERY_VALUE, rank=4)
    theirs = network().float()
    torch.manual_seed(8)
    inject_adapter_in_model(LoraConfig(r=4, target_modules=list(lora.QUERY_VALUE)), theirs)
    theirs = get_peft_model_state_dict(theirs)
    assert all(torch.equal(v, theirs[k]) for k, v in lora.lora_state_dict(ours).items())


def test_a_new_adapter_changes_no_bit_of_the_answer():
    model = network()
    before = asked(model)
    lora.add_lora(model, lora.all_linear(model), rank=4)
    assert torch.equal(asked(model), before)


def test_nothing_but_the_new_adapter_learns():
    model = network()
    lora.add_lora(model, ["to_q"], rank=2, adapter="first")
    lora.add_lora(model, ["to_q", "to_v"], rank=1, adapter="second")
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert learning == set(lora.lora_parameters(model, "second"))
    assert len(learning) == 8


def test_all_linear_names_every_linear_layer_and_no_convolution():
    model = network()
    names = {n for n, layer in model.named_modules() if isinstance(layer, nn.Linear)}
    assert set(lora.all_linear(model)) == names
    lora.add_lora(model, ["to_q"], rank=2)
    assert set(lora.all_linear(model)) == names


def test_names_come_in_the_order_of_the_network():
    names = lora.find_layers(network(), ["to_v", "to_q"])
    assert [name.split(".", 2)[2] for name in names] == [
        "attn1.to_q",
        "attn1.to_v",
        "attn2.to_q",
        "attn2.to_v",
    ]


def test_weights_scale_what_adapters_add():
    model = network()
    lora.add_lora(model, ["proj_out"], rank=2, adapter="a")
    lora.add_lora(model, ["proj_out"], rank=3, adapter="b")
    learned(learned(model, "a"), "b")
    changes = {}
    plain = asked(network())
    for weights in ({"a": 1}, {"b": 1}, {"a": 0.5, "b": 2}, {}):
        lora.set_adapters(model, weights)
        changes[tuple(weights)] = asked(model) - plain
    assert_close(changes["a", "b"], 0.5 * changes["a",] + 2 * changes["b",])
    assert torch.equal(changes[()], torch.zeros_like(plain))
    assert lora.adapters(model) == {"a": 0, "b": 0}


def test_merged_and_taken_out_a_plain_network_answers_the_same():
    model = network()
    names = set(model.state_dict())
    lora.add_lora(model, lora.ATTENTION, rank=4)
    before = asked(learned(model))
    lora.merge(model)
    assert_close(asked(model), before, atol=1e-6, rtol=0)
    lora.remove_lora(model)
    assert set(model.state_dict()) == names
    assert_close(asked(model), before, atol=1e-6, rtol=0)


def test_unmerged_it_answers_the_same_too():
    model = network()
    lora.add_lora(model, lora.ATTENTION, rank=4)
    before = asked(learned(model))
    lora.merge(model)
    lora.unmerge(model)
    assert_close(asked(model), before, atol=1e-9, rtol=0)


def test_taken_out_without_merging_nothing_was_there():
    model = network()
    lora.add_lora(model, ["to_q"], rank=2, adapter="a")
    lora.add_lora(model, ["to_q", "to_k"], rank=2, adapter="b")
    learned(learned(model, "a"), "b")
    lora.remove_lora(model, "b")
    assert len(lora.lora_layers(model)) == 2 and lora.adapters(model) == {"a": 1}
    lora.remove_lora(model, "a")
    assert lora.lora_layers(model) == {}
    assert torch.equal(asked(model), asked(network()))


def test_a_network_keeps_its_mode():
    model = network()
    lora.add_lora(model, ["to_q"], rank=2)
    assert not any(layer.training for layer in lora.lora_layers(model).values())


def test_a_target_without_a_layer_is_answered_with_those_there_are(refusal):
    with refusal(
        r"unknown target: expected one of .*'to_out.0', 'to_q', 'to_v'\], got 'to_query'. Did"
    ):
        lora.add_lora(network(), ["to_v", "to_query"], rank=2)


@pytest.mark.parametrize("targets", [[], "to_q"])
def test_targets_are_a_list_of_names(targets, refusal):
    with refusal("targets: expected a list of names"):
        lora.find_layers(network(), targets)


def test_a_part_that_is_no_layer_is_no_target(refusal):
    with refusal("unknown target.*got 'attn1'"):
        lora.find_layers(network(), ["attn1"])


def test_a_refused_adapter_leaves_the_network_as_it_was(refusal):
    model = network()
    with refusal("rank at transformer_blocks.0.attn2.to_k: expected at most 12"):
        lora.add_lora(model, ["to_q", "to_k"], rank=16)
    with refusal("lora_alpha"):
        lora.add_lora(model, ["to_q"], rank=2, lora_alpha=-1)
    assert lora.lora_layers(model) == {}
    assert all(weight.requires_grad for weight in model.parameters())


def test_a_taken_name_is_refused(refusal):
    model = network()
    lora.add_lora(model, ["to_v"], rank=2)
    with refusal("adapter: expected another name"):
        lora.add_lora(model, ["to_q", "to_v"], rank=2)
    assert len(lora.lora_layers(model)) == 2


def test_unknown_adapters_and_weights_without_a_number_are_refused(refusal):
    model = network()
    lora.add_lora(model, ["to_v"], rank=2, adapter="style")
    with refusal("unknown adapter.*got 'stile'. Did you mean 'style'"):
        lora.set_adapters(model, {"stile": 1})
    with refusal("style: expected values"):
        lora.set_adapters(model, {"style": float("nan")})
    for function in (lora.lora_state_dict, lora.remove_lora):
        with refusal("unknown adapter.*got 'shape'"):
            function(model, "shape")


def test_without_lora_there_is_nothing_to_merge(refusal):
    for function in (lora.merge, lora.unmerge):
        with refusal("model: expected a network with LoRA"):
            function(network())


def test_nan_in_the_last_layer_leaves_all_of_them_unmerged(refusal):
    model = network()
    lora.add_lora(model, lora.ATTENTION, rank=2)
    *_, last = lora.lora_parameters(learned(model)).values()
    last.data.fill_(torch.nan)
    with refusal("expected finite numbers"):
        lora.merge(model)
    assert all(layer.merged is None for layer in lora.lora_layers(model).values())


def test_weights_of_a_merged_network_stay(refusal):
    model = network()
    lora.add_lora(model, ["to_v"], rank=2)
    lora.merge(model)
    with refusal("they are merged"):
        lora.set_adapters(model, {"default": 0.5})
