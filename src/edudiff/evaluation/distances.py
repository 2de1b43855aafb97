"""How far apart are two clouds of samples?"""

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff import checks


def _same_space(x: Tensor, y: Tensor) -> None:
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or not len(x) or not len(y):
        got = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x, y: expected shapes (n, d) and (m, d) with n, m ≥ 1, got {got}")
    checks.floating(x=x, y=y)


def mmd(
    x: Float[Tensor, " n d"], y: Float[Tensor, " m d"], bandwidth: float = 1.0
) -> Float[Tensor, ""]:
    """Squared maximum mean discrepancy with a Gaussian kernel, unbiased.

        MMD² = E k(x, x') + E k(y, y') − 2 E k(x, y),   k(a, b) = exp(−‖a − b‖² / (2 bandwidth²))

    Zero on average if both clouds have the same law (so it may be slightly negative), at most 2.

    Args:
        x: one cloud, at least two points.
        y: the other, at least two points.
        bandwidth: the distance at which the kernel stops seeing two points as alike.

    Raises:
        ValueError: if the clouds do not lie in the same space, hold fewer than two points, or the
            bandwidth is not above 0.

    Source:
        Gretton et al. 2012, JMLR 13, lemma 6, eq. 3.
    """
    _same_space(x, y)
    checks.positive(bandwidth=bandwidth)
    if min(len(x), len(y)) < 2:
        raise ValueError(f"x, y: expected at least 2 points each, got {len(x)} and {len(y)}")

    def kernel(a: Tensor, b: Tensor) -> Tensor:
        return torch.exp(-torch.cdist(a, b).square() / (2 * bandwidth**2))

    def off_diagonal_mean(gram: Tensor) -> Tensor:
        n = len(gram)
        return (gram.sum() - gram.diagonal().sum()) / (n * (n - 1))

    within = off_diagonal_mean(kernel(x, x)) + off_diagonal_mean(kernel(y, y))
    return within - 2 * kernel(x, y).mean()


def sliced_wasserstein(
    x: Float[Tensor, " n d"],
    y: Float[Tensor, " n d"],
    *,
    generator: Generator,
    num_projections: int = 256,
) -> Float[Tensor, ""]:
    """Sliced 2-Wasserstein distance, in the units of the data.

        SW₂² = E_θ W₂²(θᵀx, θᵀy),   θ uniform on the unit sphere

    On a line the best transport pairs the points in order, so each slice is a sort.

    Args:
        x: one cloud.
        y: the other, of the same size.
        generator: draws the directions.
        num_projections: how many directions to average over.

    Raises:
        ValueError: if the clouds differ in shape or there is not at least one projection.

    Source:
        Rabin et al. 2012; Bonneel et al. 2015, eq. 8.
    """
    _same_space(x, y)
    checks.same_shape(x=x, y=y)
    checks.whole_at_least(1, num_projections=num_projections)
    directions = torch.randn(x.shape[1], num_projections, generator=generator).to(x)
    directions = directions / directions.norm(dim=0)
    slices_x, slices_y = (x @ directions).sort(dim=0).values, (y @ directions).sort(dim=0).values
    return (slices_x - slices_y).square().mean().sqrt()


def nearest_mode(
    x: Float[Tensor, " n d"], centers: Float[Tensor, " modes d"], radius: float
) -> Int[Tensor, " n"]:
    """The index of the nearest centre for each point, or −1 if none is within `radius`.

    Raises:
        ValueError: if points and centres do not lie in the same space or radius is not above 0.
    """
    _same_space(x, centers)
    checks.positive(radius=radius)
    distance, index = torch.cdist(x, centers.to(x)).min(dim=1)
    return torch.where(distance <= radius, index, -1)


def mode_coverage(
    x: Float[Tensor, " n d"],
    centers: Float[Tensor, " modes d"],
    radius: float,
    *,
    min_share: float = 0.25,
) -> int:
    """How many modes get at least `min_share` of their fair share of the samples.

    The fair share of each of K modes is n / K. A sample counts for a mode only within `radius` of
    its centre, so stray samples between the modes count for none.

    Args:
        x: samples.
        centers: the modes, equally likely.
        radius: how near a sample must be, in the units of the data.
        min_share: share of n / K that a covered mode must have, in (0, 1].

    Raises:
        ValueError: if points and centres do not lie in the same space, or a number is out of range.
    """
    if not 0 < min_share <= 1:
        raise ValueError(f"min_share: expected a number in (0, 1], got {min_share!r}")
    index = nearest_mode(x, centers, radius)
    counts = torch.bincount(index[index >= 0], minlength=len(centers))
    return int((counts >= min_share * len(x) / len(centers)).sum())
