"""Keeping estimates of x_0 among the pictures, when guidance has pushed them out of [-1, 1]."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor


def keep(x0: Float[Tensor, " b *shape"]) -> Float[Tensor, " b *shape"]:
    """Leave the estimate as it is."""
    return x0


def clip(x0: Float[Tensor, " b *shape"]) -> Float[Tensor, " b *shape"]:
    """Cut everything off at −1 and 1 (static thresholding): too much becomes flat colour."""
    return x0.clamp(-1, 1)


def dynamic(
    x0: Float[Tensor, " b *shape"], share: float = 0.995, most: float = 100.0
) -> Float[Tensor, " b *shape"]:
    """Divide each picture by a number that brings nearly all of it into [-1, 1]; cut off the rest.

        s = the `share`-quantile of |x_0|, but at least 1 and at most `most`
        x_0 ← clamp(x_0, −s, s) / s

    Args:
        x0: estimates of pictures.
        share: share of a picture's numbers that is not cut off, in [0, 1].
        most: the largest divisor, at least 1; 1 is `clip`.

    Returns:
        Pictures in [-1, 1], in the dtype of `x0`.

    Raises:
        ValueError: if share is not in [0, 1] or most is below 1.

    Source:
        Saharia et al. 2022 (arXiv:2205.11487), section 2.3. In diffusers: `thresholding=True`.
    """
    if not 0 <= share <= 1:
        raise ValueError(f"share: expected a number in [0, 1], got {share!r}")
    if not most >= 1:
        raise ValueError(f"most: expected a number ≥ 1, got {most!r}")
    numbers = x0.float().flatten(start_dim=1)
    s = numbers.abs().quantile(share, dim=1, keepdim=True).clamp(1, most)
    return (torch.clamp(numbers, -s, s) / s).reshape(x0.shape).to(x0.dtype)


def dynamic_if(x0: Float[Tensor, " b *shape"]) -> Float[Tensor, " b *shape"]:
    """`dynamic` that divides by 1.5 at most, as in Matryoshka's demonstration."""
    return dynamic(x0, share=0.95, most=1.5)


THRESHOLDS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": keep,
    "clip": clip,
    "dynamic": dynamic,
    "dynamic_if": dynamic_if,
}
"""Every way by name: estimates of x_0 → pictures."""
