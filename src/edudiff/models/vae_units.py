"""Other units for an autoencoder's latents: the same pictures from numbers of even size."""

import copy

import torch
from jaxtyping import Float
from torch import Tensor

from edudiff.models.vae import AutoencoderKL


@torch.no_grad()
def standardised(model: AutoencoderKL, latents: Float[Tensor, " b c h w"]) -> AutoencoderKL:
    """A copy whose latents have mean 0 and variance 1 in each channel, and which decodes the same.

    One number per latent, 1 / the standard deviation of all, is Stable Diffusion's way. It leaves
    a channel with four times the spread of another, and noise then drowns the quiet one first. The
    1×1 convolutions around the latents can change the units of each channel at no cost:

        z' = (z − μ) / s,   log σ'² = log σ² − 2 log s;   before decoding   z = s z' + μ

    Args:
        model: the autoencoder.
        latents: the latents of many pictures, to measure μ and s on.

    Source:
        In diffusers, the later entries `latents_mean` and `latents_std` of `AutoencoderKL`'s
        configuration say the same beside the weights; here the weights hold it.
    """
    mean, std = latents.mean(dim=(0, 2, 3)), latents.std(dim=(0, 2, 3))
    model, channels = copy.deepcopy(model), model.latent_channels
    into, out = model.quant_conv, model.post_quant_conv
    assert into.bias is not None and out.bias is not None
    into.bias[:channels] = (into.bias[:channels] - mean) / std
    into.bias[channels:] -= 2 * std.log()
    into.weight[:channels] /= std[:, None, None, None]
    out.bias += out.weight[:, :, 0, 0] @ mean
    out.weight *= std[:, None, None]
    model.scaling_factor = 1.0
    return model
