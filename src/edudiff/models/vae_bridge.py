"""The autoencoder to diffusers and back, so that saving is diffusers' own `save_pretrained`."""

import copy
import inspect
from typing import Any

import diffusers
import torch

from edudiff.models.vae import AutoencoderKL

OPTIONS = tuple(inspect.signature(AutoencoderKL).parameters)


# Any, because diffusers loads its classes so late that type checkers find nothing inside them.
def to_diffusers(model: AutoencoderKL, **config: Any) -> Any:
    """The same network as a `diffusers.AutoencoderKL`, a copy in evaluation mode.

    Args:
        model: ours.
        config: further entries of diffusers' configuration, such as `sample_size=64`.
    """
    levels = len(model.block_out_channels)
    options = {name: getattr(model, name) for name in OPTIONS}
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = diffusers.AutoencoderKL(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            **options,
            **config,
        )
    reference.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return reference.eval()


def from_diffusers(reference: Any) -> AutoencoderKL:
    """A `diffusers.AutoencoderKL` as ours, a copy in evaluation mode.

    Raises:
        ValueError: if the reference has an option that ours does not have.
    """
    levels = len(reference.config["block_out_channels"])
    fixed: dict[str, Any] = {
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "act_fn": "silu",
        "use_quant_conv": True,
        "use_post_quant_conv": True,
        **dict.fromkeys(("shift_factor", "latents_mean", "latents_std")),
    }
    for name, expected in fixed.items():
        got = reference.config.get(name, expected)
        got = list(got) if isinstance(got, tuple) else got
        if got != expected:
            raise ValueError(f"{name}: expected {expected!r}, got {got!r}")
    model = AutoencoderKL(**{name: reference.config[name] for name in OPTIONS})
    model.load_state_dict(copy.deepcopy(reference.state_dict()), assign=True)
    return model.eval()
