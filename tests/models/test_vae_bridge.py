import json

import diffusers
import pytest
import torch

from edudiff.models.vae import AutoencoderKL
from edudiff.models.vae_bridge import OPTIONS, from_diffusers, to_diffusers

OTHER_OPTIONS = {
    "in_channels": 1,
    "out_channels": 2,
    "latent_channels": 3,
    "block_out_channels": (4, 8),
    "layers_per_block": 2,
    "norm_num_groups": 4,
    "mid_block_add_attention": False,
    "scaling_factor": 0.5,
}


def config(model):
    return {name: getattr(model, name) for name in OPTIONS}


@pytest.fixture
def small():
    return AutoencoderKL(block_out_channels=(4, 4), scaling_factor=0.7)


def test_their_copy_reconstructs_what_ours_does(small):
    x = 2 * torch.rand(1, 3, 8, 8) - 1
    torch.testing.assert_close(to_diffusers(small)(x).sample, small(x), atol=1e-5, rtol=0)


def test_there_and_back_keeps_every_weight(small):
    back = from_diffusers(to_diffusers(small)).state_dict()
    assert all(torch.equal(back[name], weight) for name, weight in small.state_dict().items())


def test_there_and_back_keeps_every_option():
    assert config(from_diffusers(to_diffusers(AutoencoderKL(**OTHER_OPTIONS)))) == OTHER_OPTIONS


def test_a_scaling_factor_measured_after_training_is_carried_over(small):
    small.scaling_factor = 0.25
    assert to_diffusers(small).config.scaling_factor == 0.25


def test_the_folder_written_by_diffusers_is_read_again(small, tmp_path):
    to_diffusers(small, sample_size=64).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["_class_name"], written["sample_size"]) == ("AutoencoderKL", 64)
    assert (tmp_path / "diffusion_pytorch_model.safetensors").is_file()
    x = 2 * torch.rand(1, 3, 8, 8) - 1
    back = from_diffusers(diffusers.AutoencoderKL.from_pretrained(tmp_path))
    assert torch.equal(back(x), small(x))
    assert config(back) == config(small)


@pytest.mark.parametrize("there", [True, False])
def test_a_copy_shares_no_weights(small, there):
    source = small if there else to_diffusers(small)
    copied = to_diffusers(source) if there else from_diffusers(source)
    before = copied.quant_conv.bias.clone()
    with torch.no_grad():
        source.quant_conv.bias.add_(1)
    assert torch.equal(copied.quant_conv.bias, before)


def test_a_copy_keeps_the_dtype(small):
    theirs = to_diffusers(small.double())
    assert theirs.dtype == from_diffusers(theirs).quant_conv.weight.dtype == torch.float64


def test_a_copy_is_in_evaluation_mode_and_can_be_trained(small):
    theirs = to_diffusers(small)
    assert not theirs.training and not from_diffusers(theirs.train()).training
    assert all(p.requires_grad for p in from_diffusers(theirs).parameters())


def test_copying_leaves_the_source_and_the_global_randomness_as_they_are(small):
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    to_diffusers(small)
    assert small.training
    assert torch.equal(torch.rand(1), expected)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("act_fn", "relu"),
        ("shift_factor", 0.1),
        ("latents_mean", (0.0,) * 4),
        ("latents_std", (1.0,) * 4),
        ("use_quant_conv", False),
        ("use_post_quant_conv", False),
        ("down_block_types", ("DownEncoderBlock2D", "AttnDownEncoderBlock2D")),
        ("up_block_types", ("AttnUpDecoderBlock2D", "UpDecoderBlock2D")),
    ],
)
def test_an_option_that_ours_does_not_have_is_refused(option, value, refusal):
    levels = {
        "down_block_types": ("DownEncoderBlock2D",) * 2,
        "up_block_types": ("UpDecoderBlock2D",) * 2,
    }
    widths = {"block_out_channels": (4, 4), "norm_num_groups": 2}
    theirs = diffusers.AutoencoderKL(**levels | widths | {option: value})
    with refusal(f"{option}: expected"):
        from_diffusers(theirs)
