"""At which times a flow is trained: mostly half-way, where the answer is hardest to know."""

import torch
from jaxtyping import Float
from torch import Tensor

from edudiff import checks


def logit_normal_times(
    uniform: Float[Tensor, " *b"], mean: float = 0.0, std: float = 1.0
) -> Float[Tensor, " *b"]:
    """Times in [0, 1] whose logit, log s / (1 − s), is normal, from uniform numbers in [0, 1].

        s = σ(mean + std · Φ⁻¹(uniform)),   π(s) = N(logit s; mean, std²) / (s (1 − s))

    Near s = 1 the best answer is ε − E[x_0], near s = 0 it is E[ε] − x_0, both easy; so the ends
    get fewer examples. Uniform numbers that are spread evenly give times spread evenly.

    Args:
        uniform: in [0, 1]; 0 gives 0 and 1 gives 1.
        mean: above 0 for more times near the noise.
        std: above 0; 1 as in Stable Diffusion 3.

    Raises:
        ValueError: if a number is outside [0, 1] or the standard deviation is not above 0.

    Source:
        Esser et al. 2024 (arXiv:2403.03206), eq. 19. In diffusers:
        `compute_density_for_timestep_sampling("logit_normal", …)` in `training_utils`.
    """
    checks.in_range(0.0, 1.0, uniform=uniform)
    checks.positive(std=std)
    return torch.sigmoid(mean + std * torch.special.ndtri(uniform))
