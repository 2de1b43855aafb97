import inspect
import json
import subprocess
import sys

import diffusers
import pytest
import torch

from edudiff.models.unet import UNet
from edudiff.models.unet_bridge import from_diffusers, to_diffusers

OTHER_OPTIONS = {
    "in_channels": 1,
    "out_channels": 2,
    "block_out_channels": (8, 16),
    "layers_per_block": 2,
    "attention_levels": (True, False),
    "mid_block_add_attention": False,
    "norm_num_groups": 4,
    "norm_eps": 1e-3,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
}

WORDS = {"context_dim": 12, "num_heads": (1, 2)}
# What only a network with a context has, in the three ways of Stable Diffusion.
TEXT_OPTIONS = [
    {**WORDS, "num_transformer_layers": (1, 1), "linear_projection": False},
    {**WORDS, "num_transformer_layers": (2, 3), "linear_projection": True, "pooled_dim": 10},
    {
        **WORDS,
        "num_transformer_layers": (1, 2),
        "linear_projection": True,
        "pooled_dim": 10,
        "num_time_ids": 5,
    },
]


def config(model, names=None):
    names = names or set(inspect.signature(UNet).parameters) - {"time_embedding", "skips"}
    return {name: getattr(model, name) for name in names}


def with_words(**options):
    """A small network that is told words, with random weights."""
    small = {"block_out_channels": (8, 16), "attention_levels": (False, True)}
    model = UNet(**small | WORDS | options)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def told(model):
    """Words, and for SDXL what it is told beside them."""
    words = torch.randn(2, 5, model.context_dim)
    if model.pooled_dim is None:
        return words, {}
    sizes = torch.randint(0, 1024, (2, model.num_time_ids)).float()
    return words, {"text_embeds": torch.randn(2, model.pooled_dim), "time_ids": sizes}


@pytest.fixture
def small():
    return UNet(block_out_channels=(8, 16), attention_levels=(False, True))


@pytest.fixture
def x():
    return torch.randn(2, 3, 8, 8)


@pytest.fixture
def t():
    return torch.tensor([3, 200])


def test_their_copy_answers_as_ours_does(small, x, t):
    torch.testing.assert_close(to_diffusers(small)(x, t).sample, small(x, t), atol=1e-5, rtol=0)


def test_there_and_back_keeps_every_weight(small):
    back = from_diffusers(to_diffusers(small)).state_dict()
    assert all(torch.equal(back[name], weight) for name, weight in small.state_dict().items())


def test_there_and_back_keeps_every_option():
    back = from_diffusers(to_diffusers(UNet(**OTHER_OPTIONS)))
    assert config(back, OTHER_OPTIONS) == OTHER_OPTIONS
    assert (back.context_dim, back.pooled_dim) == (None, None)


@pytest.mark.parametrize("options", TEXT_OPTIONS)
def test_their_copy_of_one_with_words_answers_as_ours_does(options, x, t):
    model = with_words(**options)
    theirs, (words, beside) = to_diffusers(model), told(model)
    assert type(theirs) is diffusers.UNet2DConditionModel
    expected = theirs(x, t, words, added_cond_kwargs=beside or None).sample
    torch.testing.assert_close(model(x, t, words, **beside), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("options", TEXT_OPTIONS)
def test_there_and_back_one_with_words_keeps_every_option_and_weight(options):
    options = OTHER_OPTIONS | {"mid_block_add_attention": True} | options
    model = with_words(**options)
    back = from_diffusers(to_diffusers(model), num_time_ids=model.num_time_ids)
    assert config(back) == config(model) and config(back, options) == options
    weights = back.state_dict()
    assert all(torch.equal(weights[name], weight) for name, weight in model.state_dict().items())


@pytest.mark.parametrize("options", TEXT_OPTIONS)
def test_the_folder_of_one_with_words_written_by_diffusers_is_read_again(options, x, t, tmp_path):
    model = with_words(**options)
    to_diffusers(model, sample_size=8).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["_class_name"], written["sample_size"]) == ("UNet2DConditionModel", 8)
    assert (written["cross_attention_dim"], written["attention_head_dim"]) == (12, [1, 2])
    assert written["down_block_types"] == ["DownBlock2D", "CrossAttnDownBlock2D"]
    read = diffusers.UNet2DConditionModel.from_pretrained(tmp_path)
    back = from_diffusers(read, num_time_ids=model.num_time_ids)
    words, beside = told(model)
    assert torch.equal(back(x, t, words, **beside), model(x, t, words, **beside))
    assert config(back) == config(model)


@pytest.mark.parametrize("there", [True, False])
def test_a_copy_of_one_with_words_shares_no_weights_and_is_in_evaluation_mode(there):
    model = with_words()
    source = model if there else to_diffusers(model).train()
    copied = to_diffusers(source) if there else from_diffusers(source)
    before = copied.conv_out.bias.clone()
    with torch.no_grad():
        source.conv_out.bias.add_(1)
    assert torch.equal(copied.conv_out.bias, before) and not copied.training


def test_the_folder_written_by_diffusers_is_read_again(small, x, t, tmp_path):
    to_diffusers(small, sample_size=64).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["_class_name"], written["sample_size"]) == ("UNet2DModel", 64)
    assert (tmp_path / "diffusion_pytorch_model.safetensors").is_file()
    back = from_diffusers(diffusers.UNet2DModel.from_pretrained(tmp_path))
    assert torch.equal(back(x, t), small(x, t))
    assert config(back) == config(small)


@pytest.mark.parametrize("there", [True, False])
def test_a_copy_shares_no_weights(small, there):
    source = small if there else to_diffusers(small)
    copied = to_diffusers(source) if there else from_diffusers(source)
    before = copied.conv_out.bias.clone()
    with torch.no_grad():
        source.conv_out.bias.add_(1)
    assert torch.equal(copied.conv_out.bias, before)


def test_a_copy_keeps_the_dtype(small):
    theirs = to_diffusers(small.double())
    assert theirs.dtype == from_diffusers(theirs).conv_in.weight.dtype == torch.float64


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


def test_importing_the_bridge_does_not_import_diffusers():
    code = "import sys, edudiff.models.unet_bridge; sys.exit('diffusers' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_head_as_wide_as_its_level_is_one_head_and_is_taken(x, t):
    theirs = diffusers.UNet2DModel(
        block_out_channels=(8, 16),
        norm_num_groups=4,
        down_block_types=("DownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=16,
    )
    expected = theirs(x, t).sample
    torch.testing.assert_close(from_diffusers(theirs)(x, t), expected, atol=1e-5, rtol=0)


def test_a_model_that_knows_no_time_is_refused(refusal):
    with refusal("time_embedding: expected a model that knows the time"):
        to_diffusers(UNet(block_out_channels=(8,), time_embedding=False))


def test_words_without_attention_in_the_middle_are_refused(refusal):
    with refusal("mid_block_add_attention: expected True beside a context, got False"):
        to_diffusers(with_words(mid_block_add_attention=False))


def test_a_pooled_text_without_words_is_refused(refusal):
    with refusal("pooled_dim: expected None without a context, got 10"):
        to_diffusers(UNet(block_out_channels=(8,), pooled_dim=10))


def test_more_time_ids_than_there_is_room_for_are_refused(refusal):
    theirs = to_diffusers(with_words(pooled_dim=10))
    with refusal("num_time_ids: expected 1 to 6, as 1546 numbers are told in all, got 7"):
        from_diffusers(theirs, num_time_ids=7)


def test_a_model_without_skips_is_refused(refusal):
    with refusal("skips: expected a model that has them"):
        to_diffusers(UNet(block_out_channels=(8,), skips=False))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("center_input_sample", True),
        ("time_embedding_type", "fourier"),
        ("time_embedding_dim", 8),
        ("mid_block_type", None),
        ("mid_block_scale_factor", 2),
        ("downsample_type", "resnet"),
        ("upsample_type", "resnet"),
        ("dropout", 0.1),
        ("act_fn", "relu"),
        ("attn_norm_num_groups", 2),
        ("resnet_time_scale_shift", "scale_shift"),
        ("class_embed_type", "identity"),
        ("num_class_embeds", 10),
        ("attention_head_dim", 8),
        ("down_block_types", ("DownBlock2D", "SkipDownBlock2D")),
        ("up_block_types", ("AttnUpBlock2D", "UpBlock2D")),
    ],
)
def test_an_option_that_ours_does_not_have_is_refused(option, value, refusal):
    options = {
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "UpBlock2D"),
        "attention_head_dim": None,
    }
    theirs = diffusers.UNet2DModel(**options | {option: value})
    with refusal(f"{option}: expected"):
        from_diffusers(theirs)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("center_input_sample", True),
        ("mid_block_type", "UNetMidBlock2D"),
        ("only_cross_attention", True),
        ("mid_block_only_cross_attention", True),
        ("mid_block_scale_factor", 2),
        ("dropout", 0.1),
        ("act_fn", "relu"),
        ("encoder_hid_dim", 8),
        ("dual_cross_attention", True),
        ("class_embed_type", "timestep"),
        ("addition_embed_type", "text"),
        ("addition_time_embed_dim", 128),
        ("num_class_embeds", 10),
        ("resnet_time_scale_shift", "scale_shift"),
        ("resnet_skip_time_act", True),
        ("resnet_out_scale_factor", 2.0),
        ("time_embedding_type", "fourier"),
        ("time_embedding_dim", 8),
        ("time_embedding_act_fn", "silu"),
        ("timestep_post_act", "silu"),
        ("time_cond_proj_dim", 8),
        ("conv_in_kernel", 1),
        ("conv_out_kernel", 1),
        ("attention_type", "gated"),
        ("reverse_transformer_layers_per_block", (1, 2)),
        ("down_block_types", ("DownBlock2D", "SimpleCrossAttnDownBlock2D")),
        ("up_block_types", ("UpBlock2D", "CrossAttnUpBlock2D")),
        ("cross_attention_dim", (12, 12)),
        ("layers_per_block", (1, 1)),
    ],
)
def test_an_option_of_one_with_words_that_ours_does_not_have_is_refused(option, value, refusal):
    options = {
        "block_out_channels": (8, 16),
        "norm_num_groups": 4,
        "layers_per_block": 1,
        "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D"),
        "cross_attention_dim": 12,
        "attention_head_dim": 2,
    }
    theirs = diffusers.UNet2DConditionModel(**options | {option: value})
    with refusal(f"{option}: expected"):
        from_diffusers(theirs)


def test_an_option_without_effect_is_taken():
    theirs = to_diffusers(with_words(), sample_size=8, upcast_attention=True)
    assert from_diffusers(theirs).context_dim == 12
