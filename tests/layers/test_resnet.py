import pytest
import torch
import torch.nn.functional as F
from diffusers.models.downsampling import Downsample2D
from diffusers.models.resnet import ResnetBlock2D
from diffusers.models.upsampling import Upsample2D
from torch import nn

from edudiff.layers.resnet import Downsample, ResnetBlock, Upsample


def test_a_block_whose_last_convolution_is_zero_is_the_identity():
    block, x = ResnetBlock(4, 4, groups=2), torch.randn(2, 4, 5, 3)
    nn.init.zeros_(block.conv2.weight)
    nn.init.zeros_(block.conv2.bias)
    assert torch.equal(block(x), x)


def test_a_block_that_changes_the_width_has_a_shortcut_of_one_by_one():
    block = ResnetBlock(4, 6, groups=2)
    assert block.conv_shortcut.weight.shape == (6, 4, 1, 1)


def test_time_shifts_every_channel_alike_at_all_pixels():
    block, x = ResnetBlock(4, 4, temb_channels=5, groups=4), torch.randn(1, 4, 6, 6)
    temb, seen = torch.randn(1, 5), []
    block.norm2.register_forward_hook(lambda _, args, __: seen.append(args[0]))
    for time in (temb, torch.zeros(1, 5)):
        block(x, time)
    shift = block.time_emb_proj.weight @ F.silu(temb[0])
    expected = shift.view(1, 4, 1, 1).expand(1, 4, 6, 6)
    torch.testing.assert_close(seen[0] - seen[1], expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("temb_channels", [None, 5])
@pytest.mark.parametrize(("width_in", "width_out"), [(4, 4), (4, 6), (6, 4)])
@pytest.mark.parametrize(("groups", "eps"), [(1, 1e-6), (2, 0.1)])
def test_a_block_is_that_of_diffusers(temb_channels, width_in, width_out, groups, eps):
    ours = ResnetBlock(width_in, width_out, temb_channels=temb_channels, groups=groups, eps=eps)
    theirs = ResnetBlock2D(
        in_channels=width_in,
        out_channels=width_out,
        temb_channels=temb_channels,
        groups=groups,
        eps=eps,
    )
    ours.load_state_dict(theirs.state_dict())
    x, temb = torch.randn(2, width_in, 5, 3), temb_channels and torch.randn(2, temb_channels)
    torch.testing.assert_close(ours(x, temb), theirs(x, temb), atol=1e-5, rtol=0)


def test_a_block_normalises_in_groups_of_32_with_the_epsilon_of_the_autoencoder_by_default():
    norms = [m for m in ResnetBlock(64, 64).modules() if isinstance(m, nn.GroupNorm)]
    assert [(norm.num_groups, norm.eps) for norm in norms] == [(32, 1e-6)] * 2


def test_a_block_without_time_refuses_a_time_embedding(refusal):
    with refusal("temb: expected none, as the block was built, got one"):
        ResnetBlock(4, 4, groups=2)(torch.randn(1, 4, 2, 2), torch.randn(1, 5))


def test_a_block_with_time_refuses_to_go_without(refusal):
    with refusal("temb: expected one, as the block was built, got none"):
        ResnetBlock(4, 4, temb_channels=5, groups=2)(torch.randn(1, 4, 2, 2))


@pytest.mark.parametrize("padding", [0, 1])
@pytest.mark.parametrize("size", [(8, 8), (6, 10), (7, 5)])
def test_downsampling_is_that_of_diffusers(padding, size):
    ours, theirs = (
        Downsample(4, padding=padding),
        Downsample2D(4, use_conv=True, padding=padding, name="op"),
    )
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, *size)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize(("padding", "expected"), [(0, 3), (1, 4)])
def test_half_of_seven_is_rounded_down_without_padding_and_up_with_it(padding, expected):
    assert Downsample(1, padding=padding)(torch.randn(1, 1, 7, 7)).shape[2:] == (expected,) * 2


def test_upsampling_repeats_every_pixel_four_times():
    up, x = Upsample(1), torch.arange(4.0).reshape(1, 1, 2, 2)
    nn.init.dirac_(up.conv.weight)
    nn.init.zeros_(up.conv.bias)
    expected = torch.tensor([[0, 0, 1, 1], [0, 0, 1, 1], [2, 2, 3, 3], [2, 2, 3, 3]])
    torch.testing.assert_close(up(x)[0, 0], expected.float())


def test_upsampling_is_that_of_diffusers():
    ours, theirs = Upsample(4), Upsample2D(4, use_conv=True)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 4, 3, 5)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-6, rtol=0)


@pytest.mark.parametrize("layer", [ResnetBlock(4, 6, groups=2), Downsample(4), Upsample(4)])
def test_what_comes_out_for_one_picture_does_not_depend_on_the_others(layer):
    x = torch.randn(3, 4, 8, 8)
    torch.testing.assert_close(layer(x[1:2]), layer(x)[1:2], atol=1e-6, rtol=0)


@pytest.mark.parametrize("build", [lambda: ResnetBlock(4, 6, groups=2), lambda: Upsample(4)])
def test_the_dtype_follows_the_input(build):
    assert build().double()(torch.randn(1, 4, 4, 4).double()).dtype == torch.float64
