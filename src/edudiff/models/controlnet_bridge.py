"""The ControlNet to diffusers' `ControlNetModel` and back."""

import copy
from typing import Any

import torch

from edudiff import checks
from edudiff.models.controlnet import ControlNet
from edudiff.models.unet_bridge import BOTH, WITH_CONTEXT, check_known_to_us, pooled_dim, structure

NAMES = (
    BOTH
    | WITH_CONTEXT
    | {
        "conditioning_channels": "conditioning_channels",
        "conditioning_embedding_out_channels": "conditioning_embedding_out_channels",
    }
)
NAMES.pop("out_channels")
"""Options that mean the same in ours and in diffusers': our name, then theirs."""


def to_diffusers(model: ControlNet) -> Any:
    """The same network as a `diffusers.ControlNetModel`, a copy in evaluation mode.

    Raises:
        ValueError: if diffusers has no such network: one that knows no time, has no context, or no
            attention in the middle.
    """
    for name in ("time_embedding", "context_dim"):
        if getattr(model, name) is None:
            raise ValueError(f"{name}: expected some, as diffusers' ControlNet has, got none")
    if not model.mid_block_add_attention:
        raise ValueError("mid_block_add_attention: expected True beside a context, got False")
    import diffusers

    told = None if model.add_embedding is None else model.add_embedding.linear_1.in_features
    options = {theirs: getattr(model, ours) for ours, theirs in NAMES.items()}
    options |= structure(model.attention_levels, True, told)
    options.pop("up_block_types")
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = diffusers.ControlNetModel(**options)
    reference.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return reference.eval()


def from_diffusers(reference: Any, *, num_time_ids: int = 6) -> ControlNet:
    """The same network as ours, a copy in evaluation mode.

    Args:
        reference: a `diffusers.ControlNetModel`.
        num_time_ids: see `unet_bridge.from_diffusers`.

    Raises:
        ValueError: if the reference has an option that ours does not have.
    """
    config = reference.config
    levels = tuple("Attn" in kind for kind in config["down_block_types"])
    told = config.get("projection_class_embeddings_input_dim")
    check_known_to_us(reference, NAMES, structure(levels, True, told))
    checks.whole_at_least(1, context_dim=config["cross_attention_dim"])
    options = {ours: config[theirs] for ours, theirs in NAMES.items()}
    if told is not None:
        options |= {"pooled_dim": pooled_dim(told, num_time_ids), "num_time_ids": num_time_ids}
    model = ControlNet(**options, attention_levels=levels)
    model.load_state_dict(copy.deepcopy(reference.state_dict()), assign=True)
    return model.eval()
