import json

import diffusers
import pytest
import torch

from edudiff.models.controlnet import ControlNet
from edudiff.models.controlnet_bridge import from_diffusers, to_diffusers

SMALL = {
    "in_channels": 4,
    "block_out_channels": (8, 16),
    "attention_levels": (False, True),
    "context_dim": 12,
    "num_heads": (1, 2),
    "norm_num_groups": 4,
    "conditioning_channels": 1,
    "conditioning_embedding_out_channels": (4, 6, 8),
}
SDXL = {"linear_projection": True, "num_transformer_layers": (1, 2), "pooled_dim": 10}


def small(**options):
    model = ControlNet(**SMALL | options)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return model


def answers(model, options):
    torch.manual_seed(3)
    question = torch.randn(2, 4, 8, 8), torch.tensor([3, 700]), torch.randn(2, 5, 12)
    control, pooled, sizes = torch.rand(2, 1, 32, 32), torch.randn(2, 10), torch.rand(2, 6)
    beside = {"text_embeds": pooled, "time_ids": sizes} if "pooled_dim" in options else {}
    with torch.no_grad():
        if isinstance(model, ControlNet):
            down, mid = model(*question, control, **beside)
        else:
            down, mid = model(
                *question, control, added_cond_kwargs=beside or None, return_dict=False
            )
    return [*down, mid]


@pytest.mark.parametrize("options", [{}, SDXL])
def test_their_copy_answers_as_ours_does(options):
    model = small(**options)
    theirs = to_diffusers(model)
    assert type(theirs) is diffusers.ControlNetModel
    torch.testing.assert_close(answers(theirs, options), answers(model, options))


@pytest.mark.parametrize("options", [{}, SDXL, {"layers_per_block": 2, "downsample_padding": 0}])
def test_the_folder_that_diffusers_writes_is_read_again(options, tmp_path):
    model = small(**options)
    to_diffusers(model).save_pretrained(tmp_path)
    written = json.loads((tmp_path / "config.json").read_text())
    assert (written["_class_name"], written["conditioning_channels"]) == ("ControlNetModel", 1)
    back = from_diffusers(diffusers.ControlNetModel.from_pretrained(tmp_path))
    assert all(map(torch.equal, answers(back, options), answers(model, options)))
    assert all(getattr(back, name) == getattr(model, name) for name in SMALL | options)


@pytest.mark.parametrize("there", [True, False])
def test_a_copy_shares_no_weights_and_is_in_evaluation_mode(there):
    source = small() if there else to_diffusers(small()).train()
    copied = to_diffusers(source) if there else from_diffusers(source)
    before = copied.controlnet_mid_block.bias.clone()
    with torch.no_grad():
        source.controlnet_mid_block.bias.add_(1)
    assert torch.equal(copied.controlnet_mid_block.bias, before) and not copied.training


def test_saving_does_not_change_what_is_drawn_next():
    model = small()
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    to_diffusers(model)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"time_embedding": False}, "time_embedding: expected some"),
        ({"context_dim": None}, "context_dim: expected some"),
        ({"mid_block_add_attention": False}, "mid_block_add_attention: expected True"),
    ],
)
def test_what_diffusers_does_not_have_is_refused(options, message, refusal):
    with refusal(message):
        to_diffusers(small(**options))


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("controlnet_conditioning_channel_order", "bgr"),
        ("act_fn", "relu"),
        ("mid_block_type", "UNetMidBlock2D"),
        ("global_pool_conditions", True),
    ],
)
def test_an_option_that_ours_does_not_have_is_refused(option, value, refusal):
    theirs = to_diffusers(small())
    theirs.register_to_config(**{option: value})
    with refusal(f"{option}: expected"):
        from_diffusers(theirs)
