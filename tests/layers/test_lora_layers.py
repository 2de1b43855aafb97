"""One layer with LoRA, held against its definition and against peft's."""

import pytest
import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from torch.testing import assert_close

from edudiff.layers.lora_layers import LoRAConv2d, LoRALayer, LoRALinear, check_rank

CONVOLUTIONS = {
    "kernel 1": {"kernel_size": 1},
    "padded": {"kernel_size": 3, "padding": 1},
    "strided": {"kernel_size": 3, "stride": 2, "padding": 1, "bias": False},
}


def linear(rank: int = 3, **options: object) -> LoRALinear:
    layer = LoRALinear(nn.Linear(6, 5).double())
    layer.add("default", rank=rank, **{"lora_alpha": 4.0} | options)
    return layer


def convolution(kind: str = "padded") -> LoRAConv2d:
    layer = LoRAConv2d(nn.Conv2d(4, 6, **CONVOLUTIONS[kind]).double())
    layer.add("default", rank=3, lora_alpha=4.0)
    return layer


LAYERS = {"linear": linear} | {name: lambda name=name: convolution(name) for name in CONVOLUTIONS}


@pytest.fixture(params=sorted(LAYERS))
def layer(request: pytest.FixtureRequest) -> LoRALayer:
    return LAYERS[request.param]()


def some_input(layer: LoRALayer) -> torch.Tensor:
    shape = (2, 7, 6) if isinstance(layer, LoRALinear) else (2, 4, 8, 8)
    return torch.randn(shape, dtype=torch.float64)


def learned(layer: LoRALayer, adapter: str = "default") -> LoRALayer:
    """The same layer with a B that is not zero, as after training."""
    nn.init.normal_(layer.lora_B[adapter].weight)
    return layer


def test_a_new_adapter_changes_no_bit(layer):
    x = some_input(layer)
    assert torch.equal(layer(x), layer.base_layer(x))


def test_only_a_and_b_learn(layer):
    layer(some_input(layer)).sum().backward()
    learning = {name for name, weight in layer.named_parameters() if weight.requires_grad}
    assert learning == {"lora_A.default.weight", "lora_B.default.weight"}
    assert layer.base_layer.weight.grad is None
    assert layer.lora_B["default"].weight.grad.abs().max() > 0


def test_section_4_1_the_answer_is_that_of_the_sum_of_both_matrices():
    layer, x = learned(linear()), torch.randn(2, 6, dtype=torch.float64)
    down, up = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    expected = x @ (layer.weight + 4 / 3 * up @ down).T + layer.bias
    assert_close(layer(x), expected)


@pytest.mark.parametrize("rank", [1, 2, 5])
def test_the_change_has_the_rank_of_the_adapter(rank):
    assert torch.linalg.matrix_rank(learned(linear(rank)).delta("default")) == rank


def test_of_a_convolution_too():
    change = learned(convolution()).delta("default")
    assert change.shape == (6, 4, 3, 3)
    assert torch.linalg.matrix_rank(change.flatten(1)) == 3


def test_merged_it_answers_as_it_did(layer):
    x = some_input(learned(layer))
    before = layer(x)
    layer.merge()
    assert_close(layer(x), before, atol=1e-6, rtol=0)
    assert torch.equal(layer(x), layer.base_layer(x))


def test_unmerged_it_is_what_it_was(layer):
    weight = learned(layer).weight.clone()
    layer.merge()
    assert not torch.equal(layer.weight, weight)
    layer.unmerge()
    assert_close(layer.weight, weight)


def test_what_is_taken_out_is_what_was_put_in_whatever_the_weights_are_now():
    layer = learned(linear())
    weight = layer.weight.clone()
    layer.merge()
    layer.weights = {"default": 0.3}
    layer.unmerge()
    assert_close(layer.weight, weight)


def test_several_adapters_add_up_with_their_weights():
    layer, x = learned(linear()), torch.randn(2, 6, dtype=torch.float64)
    layer.add("other", rank=2, lora_alpha=1.0)
    learned(layer, "other")
    layer.weights = {"default": 0.5, "other": -1.0}
    change = 0.5 * layer.delta("default") - layer.delta("other")
    assert_close(layer(x), layer.base_layer(x) + x @ change.T)
    layer.merge()
    assert_close(layer(x), x @ layer.weight.T + layer.bias)


def test_with_weight_zero_no_bit_is_changed():
    layer, x = learned(linear()), torch.randn(2, 6, dtype=torch.float64)
    layer.weights = {"default": 0.0}
    assert torch.equal(layer(x), layer.base_layer(x))


def test_rank_stabilised_scaling_divides_by_the_root():
    assert linear(4).scaling("default") == 1
    assert linear(4, rslora=True).scaling("default") == 2


def test_beside_half_precision_what_learns_is_in_float32():
    layer = LoRALinear(nn.Linear(6, 5).bfloat16())
    layer.add("default", rank=2, lora_alpha=2.0)
    assert learned(layer).lora_A["default"].weight.dtype == torch.float32
    x = torch.randn(3, 6).bfloat16()
    assert layer(x).dtype == torch.bfloat16
    layer.merge()
    assert layer.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("kind", sorted(LAYERS))
def test_peft_answers_and_learns_the_same_with_the_same_matrices(kind, rslora):
    layer = LAYERS[kind]()
    layer.rslora["default"] = rslora
    x = some_input(learned(layer))
    model = nn.Sequential(layer.base_layer)
    base = {name: value.clone() for name, value in model.state_dict().items()}
    config = LoraConfig(r=3, lora_alpha=4, target_modules=["0"], use_rslora=rslora)
    theirs = inject_adapter_in_model(config, model).double()
    state = {f"0.{name}": value for name, value in layer.state_dict().items()}
    assert state.keys() == theirs.state_dict().keys() and len(state) == len(base) + 2
    theirs.load_state_dict(state)
    assert_close(layer(x), theirs(x))
    layer(x).square().sum().backward()
    theirs(x).square().sum().backward()
    for part in ("lora_A", "lora_B"):
        ours, its = getattr(layer, part), getattr(theirs[0], part)
        assert_close(ours["default"].weight.grad, its["default"].weight.grad)


@pytest.mark.parametrize(
    "rank, said",
    [(6, "rank: expected at most 5, as the layer is a matrix of 5 × 6, got 6"), (0, "whole")],
)
def test_a_rank_that_the_layer_cannot_have_is_refused(rank, said, refusal):
    with refusal(said):
        check_rank(nn.Linear(6, 5), rank)


def test_a_name_can_be_taken_once_and_has_no_dot(refusal):
    with refusal("adapter: expected another name than"):
        linear().add("default", rank=1, lora_alpha=1)
    with refusal("adapter: expected a name without dots, got 'a.b'"):
        linear().add("a.b", rank=1, lora_alpha=1)


def test_a_scale_of_nothing_is_refused(refusal):
    with refusal("lora_alpha: expected a number above 0"):
        linear(lora_alpha=0)


def test_a_convolution_in_groups_is_refused(refusal):
    with refusal("groups: expected a convolution with 1, got 2"):
        LoRAConv2d(nn.Conv2d(4, 4, 1, groups=2))


def test_merged_it_takes_no_changes(refusal):
    layer = linear()
    with refusal("unmerge: expected a layer that is merged"):
        layer.unmerge()
    layer.merge()
    for change in (
        layer.merge,
        lambda: layer.remove("default"),
        lambda: layer.add("other", rank=1, lora_alpha=1),
    ):
        with refusal("they are merged: unmerge it"):
            change()


def test_nan_is_not_merged(refusal):
    layer = learned(linear())
    layer.lora_A["default"].weight.data[0, 0] = torch.nan
    weight = layer.weight.clone()
    with refusal("default: expected finite numbers"):
        layer.merge()
    assert torch.equal(layer.weight, weight)
