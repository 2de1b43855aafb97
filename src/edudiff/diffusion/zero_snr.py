"""Schedules that end in pure noise, with nothing left of the data."""

import torch
from jaxtyping import Float64
from torch import Tensor

from edudiff import checks


def zero_terminal_snr(betas: Float64[Tensor, " T"]) -> Float64[Tensor, " T"]:
    """Shift and stretch √ᾱ so that it ends at 0 and still begins where it did; the last β is 1.

        √ᾱ_t ← (√ᾱ_t − √ᾱ_{T−1}) · √ᾱ_0 / (√ᾱ_0 − √ᾱ_{T−1})

    With Stable Diffusion's own table 7 % of the picture's amplitude is left at the last timestep,
    enough to give away its mean brightness, which sampling from pure noise then cannot give.

    At ᾱ = 0 a network that predicts ε has nothing to say: x_t is ε, any x_0 fits, and
    x̂_0 = (x_t − ε̂) / 0. It must predict v, which is −x_0 there, or x_0 itself.

    Args:
        betas: at least two values in (0, 1), or a result of this function, which stays as it is.

    Raises:
        ValueError: if there are fewer than two betas, or they are not in (0, 1).

    Source:
        Lin et al. 2023 (arXiv:2305.08891), algorithm 1. In diffusers: `rescale_betas_zero_snr`.
    """
    if betas.ndim != 1 or len(betas) < 2:
        raise ValueError(f"betas: expected at least two, got shape {tuple(betas.shape)}")
    checks.in_range(0.0, 1.0, betas=betas)
    roots = (1 - betas).cumprod(dim=0).sqrt()
    roots = (roots - roots[-1]) * roots[0] / (roots[0] - roots[-1])
    alphas_cumprod = roots.square()
    return 1 - torch.cat([alphas_cumprod[:1], alphas_cumprod[1:] / alphas_cumprod[:-1]])
