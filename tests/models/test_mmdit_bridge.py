import json

import diffusers
import pytest
import torch

from edudiff.models.mmdit import MMDiT
from edudiff.models.mmdit_bridge import NAMES, from_diffusers, to_diffusers

OPTIONS = {
    "sample_size": 6,
    "patch_size": 2,
    "in_channels": 3,
    "out_channels": 5,
    "num_layers": 2,
    "num_heads": 2,
    "head_dim": 8,
    "context_dim": 7,
    "pooled_dim": 9,
    "pos_embed_max_size": 4,
}


def small(**options):
    model = MMDiT(**OPTIONS | options)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


@pytest.mark.parametrize("qk_norm", [False, True])
def test_there_and_back_through_a_folder_keeps_every_option_and_weight(qk_norm, tmp_path):
    model = small(qk_norm=qk_norm)
    to_diffusers(model).save_pretrained(tmp_path)
    assert json.loads((tmp_path / "config.json").read_text())["num_attention_heads"] == 2
    back = from_diffusers(diffusers.SD3Transformer2DModel.from_pretrained(tmp_path))
    assert {name: getattr(back, name) for name in NAMES} == OPTIONS
    assert back.qk_norm == qk_norm and not back.training
    weights = back.state_dict()
    assert all(torch.equal(weights[n], weight) for n, weight in model.state_dict().items())


def test_a_copy_shares_no_weights():
    model = small()
    theirs = to_diffusers(model)
    before = theirs.proj_out.bias.clone()
    with torch.no_grad():
        model.proj_out.bias.add_(1)
    assert torch.equal(theirs.proj_out.bias, before)


def test_copying_draws_nothing_from_the_global_state():
    model = small()
    torch.manual_seed(5)
    expected = torch.randn(3)
    torch.manual_seed(5)
    to_diffusers(model)
    assert torch.equal(torch.randn(3), expected)


@pytest.mark.parametrize(
    ("option", "value"),
    [("dual_attention_layers", [0]), ("caption_projection_dim", 20), ("qk_norm", "layer_norm")],
)
def test_options_that_ours_does_not_have_are_refused(option, value, refusal):
    theirs = to_diffusers(small())
    theirs.register_to_config(**{option: value})
    with refusal(f"{option}: expected"):
        from_diffusers(theirs)
