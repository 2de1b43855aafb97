"""The last step of every latent pipeline: from latents to pictures."""

import torch
from jaxtyping import Float
from torch import Tensor

from edudiff.models.vae import AutoencoderKL


@torch.no_grad()
def to_pictures(vae: AutoencoderKL, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 H W"]:
    """Take the latents out of the units in which networks know them, and decode them.

    Args:
        vae: the autoencoder; it may be in half precision.
        latents: as a network knows them.

    Returns:
        Pictures in [-1, 1], in the precision of the latents.

    Raises:
        ValueError: if latents or pictures are not finite.
    """
    z = (latents / vae.scaling_factor).to(vae.quant_conv.weight.dtype)
    pictures = vae.decode(z).to(latents.dtype)
    if not pictures.isfinite().all():
        raise ValueError("vae: expected finite pictures, got infinity or NaN")
    return pictures.clamp(-1, 1)
