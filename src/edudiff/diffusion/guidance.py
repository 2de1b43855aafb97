"""Classifier-free guidance: go further in the direction in which the condition points."""

import math

from jaxtyping import Float
from torch import Tensor

from edudiff import checks


def check_scale(guidance_scale: float) -> None:
    """Refuse what is no guidance scale, before anything is drawn.

    Raises:
        ValueError: for one below 0, infinite or not a number.
    """
    if not 0 <= guidance_scale < math.inf:
        raise ValueError(f"guidance_scale: expected a finite number ≥ 0, got {guidance_scale!r}")


def guide(
    unconditional: Float[Tensor, " b *shape"],
    conditional: Float[Tensor, " b *shape"],
    guidance_scale: float,
) -> Float[Tensor, " b *shape"]:
    """Start at the answer without the condition, go s times as far as the answer with it.

        u + s (c − u)

    Any of the network's answers may be mixed so: ε̂, x̂_0 and v̂ are the same straight line in
    different clothes. With a **negative prompt** the answer to that prompt takes the place of u.

    Args:
        unconditional: u, the answer to the empty (or negative) prompt.
        conditional: c, the answer to the prompt.
        guidance_scale: s ≥ 0; 1 is off, 0 ignores the condition, above 1 overdoes it.

    Raises:
        ValueError: if shapes differ, or the scale is negative or not a number.

    Source:
        Ho and Salimans 2022 (arXiv:2207.12598), eq. 6, whose w is s − 1. In diffusers:
        `guidance_scale`.
    """
    checks.same_shape(unconditional=unconditional, conditional=conditional)
    if not guidance_scale >= 0:
        raise ValueError(f"guidance_scale: expected a number ≥ 0 (1 is off), got {guidance_scale}")
    if guidance_scale == 1:
        return conditional  # u + (c − u) would be c up to rounding
    return unconditional + guidance_scale * (conditional - unconditional)


def rescale(
    guided: Float[Tensor, " b *shape"],
    conditional: Float[Tensor, " b *shape"],
    share: float,
) -> Float[Tensor, " b *shape"]:
    """Give a guided answer the spread of the unguided one again, wholly or in part.

        φ · guided · std(conditional) / std(guided) + (1 − φ) · guided

    Strong guidance makes answers too large, and pictures overexposed. The standard deviations are
    taken over all numbers of one member of the batch.

    Args:
        guided: the result of `guide`.
        conditional: the answer to the prompt.
        share: φ in [0, 1]; 0 changes nothing, the paper found 0.7 best.

    Raises:
        ValueError: if shapes differ, share is not in [0, 1], or a member has fewer than two
            numbers, which have no spread.

    Source:
        Lin et al. 2023 (arXiv:2305.08891), eq. 14 to 16. In diffusers: `guidance_rescale`.
    """
    checks.same_shape(guided=guided, conditional=conditional)
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected a number in [0, 1], got {share}")
    if guided.ndim < 2 or guided[:1].numel() < 2:
        got = tuple(guided.shape)
        raise ValueError(f"guided: expected at least two numbers per member, got shape {got}")
    axes = tuple(range(1, guided.ndim))
    ratio = conditional.std(axes, keepdim=True) / guided.std(axes, keepdim=True)
    return share * guided * ratio + (1 - share) * guided
