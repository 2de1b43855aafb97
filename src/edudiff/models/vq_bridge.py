"""The autoencoder with a codebook: to diffusers and back, and made out of one without."""

import copy
from typing import Any

import torch

from edudiff.models.vae import AutoencoderKL
from edudiff.models.vector_quantizer import VQModel

BOTH = ("latent_channels", "block_out_channels", "layers_per_block", "norm_num_groups")


def to_diffusers(model: VQModel, **config: Any) -> Any:
    """The same network as a `diffusers.VQModel`, a copy in evaluation mode.

    Args:
        model: ours.
        config: further entries of diffusers' configuration, such as `sample_size=64`.
    """
    import diffusers

    levels = len(model.block_out_channels)
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = diffusers.VQModel(
            down_block_types=("DownEncoderBlock2D",) * levels,
            up_block_types=("UpDecoderBlock2D",) * levels,
            num_vq_embeddings=model.num_codes,
            **{name: getattr(model, name) for name in BOTH},
            **config,
        )
    reference.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return reference.eval()


def from_diffusers(reference: Any) -> VQModel:
    """A `diffusers.VQModel` as ours, a copy in evaluation mode.

    Raises:
        ValueError: if the reference has an option that ours does not have.
    """
    config = reference.config
    levels = len(config["block_out_channels"])
    fixed: dict[str, Any] = {
        "in_channels": 3,
        "out_channels": 3,
        "down_block_types": ["DownEncoderBlock2D"] * levels,
        "up_block_types": ["UpDecoderBlock2D"] * levels,
        "act_fn": "silu",
        "norm_type": "group",
        "mid_block_add_attention": True,
    }
    for name, expected in fixed.items():
        got = config.get(name, expected)
        got = list(got) if isinstance(got, tuple) else got
        if got != expected:
            raise ValueError(f"{name}: expected {expected!r}, got {got!r}")
    if config["vq_embed_dim"] not in (None, config["latent_channels"]):
        expected = f"{config['latent_channels']}, as the latents have"
        raise ValueError(f"vq_embed_dim: expected {expected}, got {config['vq_embed_dim']}")
    options = {name: config[name] for name in BOTH}
    model = VQModel(num_codes=config["num_vq_embeddings"], **options)
    model.load_state_dict(copy.deepcopy(reference.state_dict()), assign=True)
    return model.eval()


@torch.no_grad()
def from_autoencoder(autoencoder: AutoencoderKL, num_codes: int) -> VQModel:
    """The same encoder and decoder around a codebook that has learnt nothing yet.

    Of the encoder's Gaussian only the mean is left. Its 1×1 convolution goes into the 3×3 one
    before it, since a linear map of a linear map is one.

    Args:
        autoencoder: with latents as they go to the decoder, `scaling_factor` left alone.
        num_codes: codes of the codebook.
    """
    options = {name: getattr(autoencoder, name) for name in BOTH}
    model, channels = VQModel(num_codes=num_codes, **options), autoencoder.latent_channels
    weights = copy.deepcopy(autoencoder.state_dict())
    mean = weights["quant_conv.weight"][:channels, :, 0, 0]
    last, bias = weights["encoder.conv_out.weight"], weights["encoder.conv_out.bias"]
    weights["encoder.conv_out.weight"] = torch.einsum("om, mihw -> oihw", mean, last)
    weights["encoder.conv_out.bias"] = mean @ bias + weights["quant_conv.bias"][:channels]
    identity = torch.eye(channels, dtype=mean.dtype, device=mean.device)
    weights["quant_conv.weight"] = identity[:, :, None, None]
    weights["quant_conv.bias"] = torch.zeros_like(bias[:channels])
    weights["quantize.embedding.weight"] = model.quantize.embedding.weight
    model.load_state_dict(weights)
    return model
