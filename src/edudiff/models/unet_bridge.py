"""The U-Net to diffusers and back, so that saving is diffusers' own `save_pretrained`."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from edudiff.models.unet import UNet

if TYPE_CHECKING:
    from diffusers import UNet2DModel

# Options of ours that diffusers has under the same name and with the same meaning.
OPTIONS = (
    "in_channels",
    "out_channels",
    "block_out_channels",
    "layers_per_block",
    "norm_num_groups",
    "norm_eps",
    "downsample_padding",
    "flip_sin_to_cos",
    "freq_shift",
)
# Options of theirs that ours does not have, and the value that stands for leaving them out.
WITHOUT = {
    "center_input_sample": False,
    "time_embedding_type": "positional",
    "time_embedding_dim": None,
    "mid_block_type": "UNetMidBlock2D",
    "mid_block_scale_factor": 1,
    "downsample_type": "conv",
    "upsample_type": "conv",
    "dropout": 0.0,
    "act_fn": "silu",
    "attn_norm_num_groups": None,
    "resnet_time_scale_shift": "default",
    "class_embed_type": None,
    "num_class_embeds": None,
}


def _block_types(attention_levels: Sequence[bool]) -> dict[str, list[str]]:
    kinds = ["Attn" if level else "" for level in attention_levels]
    return {
        "down_block_types": [f"{kind}DownBlock2D" for kind in kinds],
        "up_block_types": [f"{kind}UpBlock2D" for kind in reversed(kinds)],
    }


def to_diffusers(model: UNet, **config: Any) -> "UNet2DModel":
    """The same network as a `diffusers.UNet2DModel`, a copy in evaluation mode.

    Args:
        model: ours.
        config: further entries of diffusers' configuration, such as `sample_size=64`.

    Raises:
        ValueError: if the model knows no time or has no skips: diffusers' always does.
    """
    from diffusers import UNet2DModel

    if model.time_embedding is None:
        raise ValueError("time_embedding: expected a model that knows the time, got one without")
    if not model.skips:
        raise ValueError("skips: expected a model that has them, got one without")
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = UNet2DModel(
            **{name: getattr(model, name) for name in OPTIONS},
            **{name: tuple(kinds) for name, kinds in _block_types(model.attention_levels).items()},
            add_attention=model.mid_block_add_attention,
            attention_head_dim=None,
            **config,
        )
    reference.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return reference.eval()


def from_diffusers(reference: "UNet2DModel") -> UNet:
    """The same network as ours, a copy in evaluation mode.

    Raises:
        ValueError: if the reference has an option that ours does not have, such as attention with
            several heads.
    """
    theirs: Any = reference
    levels = tuple(kind == "AttnDownBlock2D" for kind in theirs.config["down_block_types"])
    for name, expected in {**WITHOUT, **_block_types(levels)}.items():
        got = theirs.config.get(name, expected)
        got = list(got) if isinstance(got, tuple) else got
        if got != expected:
            raise ValueError(f"{name}: expected {expected!r}, got {got!r}")
    heads = max(getattr(module, "heads", 1) for module in theirs.modules())
    if heads > 1:
        got = theirs.config["attention_head_dim"]
        raise ValueError(f"attention_head_dim: expected one head, got {got}, up to {heads} heads")
    model = UNet(
        **{name: theirs.config[name] for name in OPTIONS},
        attention_levels=levels,
        mid_block_add_attention=theirs.config.get("add_attention", True),
    )
    model.load_state_dict(copy.deepcopy(theirs.state_dict()), assign=True)
    return model.eval()
