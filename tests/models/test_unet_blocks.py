from functools import partial

import pytest
import torch
from torch import nn

from edudiff.layers.attention import PixelAttention
from edudiff.layers.resnet import Downsample, ResnetBlock
from edudiff.models.unet_blocks import DownBlock, MidBlock, UpBlock

resnet = partial(ResnetBlock, temb_channels=5, groups=2)
attention = partial(PixelAttention, groups=2)


@pytest.fixture
def temb():
    return torch.randn(2, 5)


def test_the_way_down_keeps_the_state_after_every_residual_block_and_after_halving(temb):
    block = DownBlock(4, 6, 2, resnet, downsampler=Downsample(6))
    x = torch.randn(2, 4, 8, 8)
    first, second, last = block(x, temb)
    torch.testing.assert_close(first, block.resnets[0](x, temb))
    torch.testing.assert_close(second, block.resnets[1](first, temb))
    torch.testing.assert_close(last, block.downsamplers[0](second))


def test_a_level_without_a_downsampler_keeps_its_size(temb):
    (state,) = DownBlock(4, 6, 1, resnet)(torch.randn(2, 4, 8, 8), temb)
    assert state.shape == (2, 6, 8, 8)


def test_attention_stands_behind_each_residual_block_and_before_what_is_kept(temb):
    block = DownBlock(4, 6, 2, resnet, attention)
    x = torch.randn(2, 4, 4, 4)
    first, second = block(x, temb)
    torch.testing.assert_close(first, block.attentions[0](block.resnets[0](x, temb)))
    torch.testing.assert_close(second, block.attentions[1](block.resnets[1](first, temb)))


@pytest.mark.parametrize("make", [None, attention])
def test_the_middle_refines_looks_around_and_refines(make, temb):
    block = MidBlock(4, resnet, make)
    x = torch.randn(2, 4, 4, 4)
    between = block.resnets[0](x, temb)
    if make:
        between = block.attentions[0](between)
    torch.testing.assert_close(block(x, temb), block.resnets[1](between, temb))


def test_the_way_up_takes_the_last_states_and_leaves_the_others(temb):
    block = UpBlock(4, 6, [8, 2], resnet, double=True)
    other, second, first = (torch.randn(2, width, 4, 4) for width in (3, 2, 8))
    states = [other, second, first]
    x = torch.randn(2, 4, 4, 4)
    found = block(x, states, temb)
    h = block.resnets[0](torch.cat([x, first], dim=1), temb)
    h = block.resnets[1](torch.cat([h, second], dim=1), temb)
    torch.testing.assert_close(found, block.upsamplers[0](h))
    assert len(states) == 1 and states[0] is other


def test_the_last_level_of_the_way_up_does_not_double(temb):
    block = UpBlock(4, 6, [2], resnet, double=False)
    assert block(torch.randn(2, 4, 4, 4), [torch.randn(2, 2, 4, 4)], temb).shape == (2, 6, 4, 4)


def test_any_attention_can_stand_in_a_level(temb):
    made = []

    def double(width):
        made.append(width)
        return nn.Upsample(scale_factor=1)

    UpBlock(4, 6, [8, 2], resnet, double, double=True)
    DownBlock(4, 8, 1, resnet, double)
    MidBlock(10, resnet, double)
    assert made == [6, 6, 8, 10]
