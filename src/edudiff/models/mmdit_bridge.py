"""The diffusion transformer to diffusers and back, so that saving is their `save_pretrained`."""

import copy
from typing import Any

import torch

from edudiff.models.mmdit import MMDiT

NAMES = {
    "sample_size": "sample_size",
    "patch_size": "patch_size",
    "in_channels": "in_channels",
    "out_channels": "out_channels",
    "num_layers": "num_layers",
    "num_heads": "num_attention_heads",
    "head_dim": "attention_head_dim",
    "context_dim": "joint_attention_dim",
    "pooled_dim": "pooled_projection_dim",
    "pos_embed_max_size": "pos_embed_max_size",
}
"""Options that mean the same: our name, then theirs."""
NORMS = {False: None, True: "rms_norm"}


def to_diffusers(model: MMDiT) -> Any:
    """The same network as a `diffusers.SD3Transformer2DModel`, a copy in evaluation mode."""
    import diffusers

    options = {theirs: getattr(model, ours) for ours, theirs in NAMES.items()}
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = diffusers.SD3Transformer2DModel(
            **options,
            caption_projection_dim=model.num_heads * model.head_dim,
            qk_norm=NORMS[model.qk_norm],
        )
    reference.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return reference.eval()


def from_diffusers(reference: Any) -> MMDiT:
    """A `diffusers.SD3Transformer2DModel` as ours, a copy in evaluation mode.

    Raises:
        ValueError: if the reference has an option that ours does not have, such as the second
            attention in the first blocks of Stable Diffusion 3.5 medium.
    """
    config = reference.config
    width = config["num_attention_heads"] * config["attention_head_dim"]
    norms = [*NORMS.values()]
    for name, expected, fits in (
        ("dual_attention_layers", "none", not config["dual_attention_layers"]),
        ("caption_projection_dim", width, config["caption_projection_dim"] == width),
        ("qk_norm", f"one of {norms}", config["qk_norm"] in norms),
    ):
        if not fits:
            raise ValueError(f"{name}: expected {expected}, got {config[name]!r}")
    options = {ours: config[theirs] for ours, theirs in NAMES.items()}
    model = MMDiT(**options, qk_norm=config["qk_norm"] is not None)
    model.load_state_dict(copy.deepcopy(reference.state_dict()), assign=True)
    return model.eval()
