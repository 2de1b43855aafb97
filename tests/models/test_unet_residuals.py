"""What a ControlNet adds inside the U-Net."""

import diffusers
import pytest
import torch

from edudiff.models.unet import UNet
from edudiff.models.unet_residuals import add

STATES = [(2, 8, 8, 8), (2, 8, 8, 8), (2, 8, 4, 4), (2, 16, 4, 4)]
MIDDLE = (2, 16, 4, 4)


@pytest.fixture
def states():
    return [torch.randn(shape) for shape in STATES]


@pytest.fixture
def residuals():
    return [torch.randn(shape) for shape in STATES]


def test_the_u_net_answers_as_diffusers_does_with_the_same_residuals(residuals):
    theirs = diffusers.UNet2DConditionModel(
        block_out_channels=(8, 16),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=12,
        attention_head_dim=2,
        norm_num_groups=4,
        layers_per_block=1,
    )
    ours = UNet(
        in_channels=4,
        out_channels=4,
        block_out_channels=(8, 16),
        attention_levels=(False, True),
        context_dim=12,
        num_heads=2,
        norm_num_groups=4,
    )
    ours.load_state_dict(theirs.state_dict())
    question = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.randn(2, 5, 12)
    extra = {
        "down_block_additional_residuals": residuals,
        "mid_block_additional_residual": torch.randn(MIDDLE),
    }
    with torch.no_grad():
        expected, answer = theirs(*question, **extra).sample, ours(*question, **extra)
        without = ours(*question)
    torch.testing.assert_close(answer, expected, atol=1e-5, rtol=1e-5)
    assert (answer - without).abs().max() > 0.01


def test_every_state_gets_its_own(states, residuals):
    h, mid = torch.randn(MIDDLE), torch.randn(MIDDLE)
    added, middle = add(states, h, residuals, mid)
    for before, residual, after in zip(states, residuals, added, strict=True):
        assert torch.equal(after, before + residual)
    assert torch.equal(middle, h + mid)


def test_without_residuals_everything_stays(states):
    h = torch.randn(MIDDLE)
    added, middle = add(states, h, None, None)
    assert added is states and middle is h


def test_one_without_the_other_is_refused(states, residuals, refusal):
    h = torch.randn(MIDDLE)
    with refusal("mid_block_additional_residual: expected some beside the other, got none"):
        add(states, h, residuals, None)
    with refusal("down_block_additional_residuals: expected some beside the other, got none"):
        add(states, h, None, h)


def test_another_number_or_shape_is_refused(states, residuals, refusal):
    h = torch.randn(MIDDLE)
    with refusal("down_block_additional_residuals: expected one for each of 4 states, got 3"):
        add(states, h, residuals[:3], h)
    with refusal(r"down_block_additional_residuals\[0\]: expected the shape of state"):
        add(states, h, [residuals[0][:1], *residuals[1:]], h)
    with refusal("mid_block_additional_residual: expected the shape of state"):
        add(states, h, residuals, h[..., :1])
