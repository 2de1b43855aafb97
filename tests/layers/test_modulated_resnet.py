import pytest
import torch
import torch.nn.functional as F

from edudiff.layers.modulated_resnet import ModulatedResnet, zero


def awake(before=8, after=12):
    """A block whose last convolution has left its zeros."""
    block = ModulatedResnet(before, after, temb_channels=6, groups=4)
    torch.nn.init.normal_(block.conv2.weight, std=0.1)
    return block


def test_the_formula_of_the_docstring():
    block, x, temb = awake(), torch.randn(2, 8, 4, 4), torch.randn(2, 6)
    scale, shift = block.time_layer(F.silu(temb)).reshape(2, 2, 12, 1, 1).unbind(dim=1)
    h = block.norm2(block.conv1(F.silu(block.norm1(x)))) * (1 + scale) + shift
    expected = block.conv3(x) + block.conv2(F.silu(h))
    torch.testing.assert_close(block(x, temb), expected, atol=1e-5, rtol=0)


def test_an_untrained_block_changes_nothing():
    block, x = ModulatedResnet(8, 8, temb_channels=6, groups=4), torch.randn(2, 8, 4, 4)
    assert torch.equal(block(x, torch.randn(2, 6)), x)


def test_where_the_width_stays_there_is_no_third_convolution():
    names = [{n for n, _ in awake(8, after).named_parameters()} for after in (8, 12)]
    assert names[1] - names[0] == {"conv3.weight", "conv3.bias"}


@pytest.mark.parametrize("which", ["scale", "shift"])
def test_the_time_can_stretch_and_shift(which):
    block, x, temb = awake(8, 8), torch.randn(2, 8, 4, 4), torch.randn(2, 6)
    before = block(x, temb)
    half = slice(0, 8) if which == "scale" else slice(8, 16)
    with torch.no_grad():
        block.time_layer.bias[half] += 1
    assert (block(x, temb) - before).abs().max() > 1e-3


def test_gradient_reaches_every_parameter():
    block = awake()
    block(torch.randn(2, 8, 4, 4), torch.randn(2, 6)).square().sum().backward()
    assert all(p.grad is not None and p.grad.any() for p in block.parameters())


def test_zero_makes_every_parameter_zero_and_returns_the_same_module():
    module = torch.nn.Linear(3, 2)
    assert zero(module) is module
    assert not any(p.any() for p in module.parameters())
