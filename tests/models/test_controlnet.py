"""The ControlNet: zero at the start, diffusers' names, diffusers' numbers."""

import diffusers
import pytest
import torch

from edudiff.models.controlnet import ConditioningEmbedding, ControlNet, ZeroConv
from edudiff.models.unet import UNet

SMALL = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16),
    "attention_levels": (False, True),
    "context_dim": 12,
    "num_heads": 2,
    "norm_num_groups": 4,
}
THEIRS = {
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
    "cross_attention_dim": 12,
    "attention_head_dim": 2,
    "norm_num_groups": 4,
    "layers_per_block": 1,
    "conditioning_embedding_out_channels": (4, 6, 8),
}
SDXL = {"linear_projection": True, "num_transformer_layers": (1, 2), "pooled_dim": 10}
THEIRS_SDXL = {
    "use_linear_projection": True,
    "transformer_layers_per_block": (1, 2),
    "addition_embed_type": "text_time",
    "addition_time_embed_dim": 256,
    "projection_class_embeddings_input_dim": 10 + 6 * 256,
}
EMBEDDING = {"conditioning_embedding_out_channels": (4, 6, 8)}


def randomised(model):
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


@pytest.fixture
def unet():
    return randomised(UNet(**SMALL))


@pytest.fixture
def controlnet(unet):
    return ControlNet.from_unet(unet, conditioning_channels=1, **EMBEDDING)


@pytest.fixture
def question():
    """x, t, words."""
    return torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.randn(2, 5, 12)


@pytest.fixture
def control():
    return torch.rand(2, 1, 32, 32)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["SD", "SDXL"])
def test_it_takes_diffusers_weights_as_they_are_and_answers_alike(kind, channels, question):
    more, theirs_more = (SDXL, THEIRS_SDXL) if kind == "SDXL" else ({}, {})
    theirs = diffusers.ControlNetModel(**THEIRS, **theirs_more, conditioning_channels=channels)
    randomised(theirs)
    ours = ControlNet(**SMALL, **more, conditioning_channels=channels, **EMBEDDING)
    ours.load_state_dict(theirs.state_dict())
    beside = {"text_embeds": torch.randn(2, 10), "time_ids": 64 * torch.rand(2, 6)} if more else {}
    control = torch.rand(2, channels, 32, 32)
    with torch.no_grad():
        expected = theirs(*question, control, 0.7, added_cond_kwargs=beside or None)
        down, mid = ours(*question, control, 0.7, **beside)
    assert len(down) == len(expected.down_block_res_samples) == 4
    for one, other in zip(down, expected.down_block_res_samples, strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mid, expected.mid_block_res_sample, atol=1e-5, rtol=1e-5)
    assert mid.abs().mean() > 0.01


def test_at_the_start_the_answer_is_the_u_net_s_to_the_last_bit(
    unet, controlnet, question, control
):
    down, mid = controlnet(*question, control)
    steered = unet(
        *question, down_block_additional_residuals=down, mid_block_additional_residual=mid
    )
    assert torch.equal(steered, unet(*question))


def test_one_step_of_learning_opens_the_zero_convolutions_and_two_all_else(
    unet, controlnet, question, control
):
    unet.requires_grad_(False)
    optimizer = torch.optim.SGD(controlnet.parameters(), lr=0.1)
    target = torch.randn(2, 4, 8, 8)
    learning = []
    for _ in range(3):
        down, mid = controlnet(*question, control)
        answer = unet(
            *question, down_block_additional_residuals=down, mid_block_additional_residual=mid
        )
        optimizer.zero_grad()
        (answer - target).square().mean().backward()
        moved = {n for n, p in controlnet.named_parameters() if p.grad.abs().max() > 0}
        learning.append(moved)
        optimizer.step()
    zero = {n for n, _ in controlnet.named_parameters() if n.startswith("controlnet_")}
    zero -= {n for n in zero if n.startswith("controlnet_cond")}
    everything = {n for n, _ in controlnet.named_parameters()}
    assert learning[0] == zero
    assert learning[1] >= zero | {"conv_in.weight", "controlnet_cond_embedding.conv_out.weight"}
    assert learning[2] == everything


def test_it_begins_with_the_u_net_s_weights_and_leaves_it_alone(unet, controlnet):
    before = {name: weight.clone() for name, weight in unet.state_dict().items()}
    own, theirs = controlnet.state_dict(), unet.state_dict()
    shared = own.keys() & theirs.keys()
    assert {name.split(".")[0] for name in own.keys() - theirs.keys()} == {
        "controlnet_cond_embedding",
        "controlnet_down_blocks",
        "controlnet_mid_block",
    }
    assert {name.split(".")[0] for name in theirs.keys() - own.keys()} == {
        "up_blocks",
        "conv_norm_out",
        "conv_out",
    }
    assert all(torch.equal(own[name], theirs[name]) for name in shared)
    with torch.no_grad():
        for parameter in controlnet.parameters():
            parameter.add_(1)
    assert all(torch.equal(before[name], weight) for name, weight in unet.state_dict().items())


def test_the_precision_is_the_u_net_s(unet):
    assert ControlNet.from_unet(unet.double(), **EMBEDDING).controlnet_mid_block.weight.dtype == (
        torch.float64
    )


def test_everything_is_multiplied_by_the_scale(unet, question, control):
    model = randomised(ControlNet.from_unet(unet, conditioning_channels=1, **EMBEDDING))
    down, mid = model(*question, control)
    half_down, half_mid = model(*question, control, 0.5)
    torch.testing.assert_close([*half_down, half_mid], [d / 2 for d in (*down, mid)])
    none_down, none_mid = model(*question, control, 0.0)
    assert not any(each.any() for each in (*none_down, none_mid))


def test_the_picture_that_steers_matters(unet, question, control):
    model = randomised(ControlNet.from_unet(unet, conditioning_channels=1, **EMBEDDING))
    mid, other = model(*question, control)[1], model(*question, 1 - control)[1]
    assert (mid - other).abs().max() > 1e-3


def test_height_and_width_may_differ(unet, controlnet):
    x, t, words = torch.randn(1, 4, 8, 12), torch.tensor([5]), torch.randn(1, 3, 12)
    down, mid = controlnet(x, t, words, torch.rand(1, 1, 32, 48))
    assert [tuple(d.shape[2:]) for d in down] == [(8, 12), (8, 12), (4, 6), (4, 6)]
    assert mid.shape == (1, 16, 4, 6)


def test_a_zero_convolution_is_zero_and_still_learns():
    layer = ZeroConv(2, 3, 1)
    x = torch.randn(1, 2, 4, 4)
    answer = layer(x)
    assert not answer.any()
    answer.sum().backward()
    torch.testing.assert_close(layer.weight.grad[0, :, 0, 0], x.sum(dim=(0, 2, 3)))


def test_the_embedding_halves_between_widths():
    embedding = ConditioningEmbedding(1, 8, (4, 6, 8, 10))
    assert embedding(torch.rand(1, 1, 32, 64)).shape == (1, 8, 4, 8)


@pytest.mark.parametrize(
    ("shape", "got"), [((2, 3, 32, 32), "3"), ((2, 1, 32, 16), "16"), ((1, 1, 32, 32), "1")]
)
def test_a_picture_of_another_shape_is_refused(shape, got, controlnet, question, refusal):
    with refusal(rf"controlnet_cond: expected shape \(2, 1, 32, 32\), got shape .*{got}"):
        controlnet(*question, torch.rand(shape))


def test_what_the_u_net_refuses_is_refused(controlnet, question, control, refusal):
    x, t, words = question
    with refusal("encoder_hidden_states: expected shape"):
        controlnet(x, t, words[..., :5], control)
    with refusal("t: expected int64"):
        controlnet(x, t.float(), words, control)
    with refusal("x: expected sides divisible by 2"):
        controlnet(x[..., :7], t, words, control)


def test_channels_below_one_are_refused(unet, refusal):
    with refusal("conditioning_channels: expected a whole number ≥ 1, got 0"):
        ControlNet.from_unet(unet, conditioning_channels=0)
    with refusal("conditioning_embedding_out_channels: expected a whole number ≥ 1, got 0"):
        ControlNet.from_unet(unet, conditioning_embedding_out_channels=(4, 0))
