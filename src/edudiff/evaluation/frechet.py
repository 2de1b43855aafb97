"""The Fréchet distance: how far apart two clouds are, if each is taken for a Gaussian."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from edudiff import checks


@dataclass(frozen=True)
class Gaussian:
    """What is left of a cloud: its mean and its covariance, in float64.

    Attributes:
        mean: (d,).
        covariance: (d, d), symmetric, divided by n − 1.
    """

    mean: Tensor
    covariance: Tensor


def fit_gaussian(x: Float[Tensor, " n d"]) -> Gaussian:
    """Mean and covariance of a cloud.

    Raises:
        ValueError: for fewer than two points, which have no covariance.
    """
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"x: expected shape (n, d) with n ≥ 2, got {tuple(x.shape)}")
    checks.floating(x=x)
    x = x.double()
    mean = x.mean(dim=0)
    centred = x - mean
    return Gaussian(mean, centred.T @ centred / (len(x) - 1))


def gaussian_distance(p: Gaussian, q: Gaussian) -> Float[Tensor, ""]:
    """The squared Fréchet distance of two Gaussians, in squared units of the data.

        d² = ‖μ_p − μ_q‖² + tr(Σ_p + Σ_q − 2 (Σ_p Σ_q)^½)

    In one dimension (μ_p − μ_q)² + (σ_p − σ_q)². The trace of the root is the sum of the roots of
    the eigenvalues of Σ_p^½ Σ_q Σ_p^½, which is symmetric, so that nothing complex comes up, also
    where a cloud is flat.

    Raises:
        ValueError: if they do not live in the same space.

    Source:
        Dowson and Landau 1982 (doi:10.1016/0047-259X(82)90077-X), eq. 4. It is also the squared
        2-Wasserstein distance of the two.
    """
    checks.same_shape(p=p.covariance, q=q.covariance)
    values, vectors = torch.linalg.eigh(p.covariance)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    cross = torch.linalg.eigvalsh(root @ q.covariance @ root).clamp(min=0).sqrt().sum()
    spread = p.covariance.trace() + q.covariance.trace() - 2 * cross
    return ((p.mean - q.mean).square().sum() + spread).clamp(min=0)


def frechet_distance(x: Float[Tensor, " n d"], y: Float[Tensor, " m d"]) -> float:
    """The squared Fréchet distance of two clouds; of features of pictures, it is called FID.

    It is biased: of two clouds with the same law it is above 0, by about 1/n.

    Args:
        x: one cloud, at least two points.
        y: the other, at least two.

    Raises:
        ValueError: if the clouds have fewer points or do not lie in the same space.

    Source:
        Heusel et al. 2017 (arXiv:1706.08500), eq. 6, there on 2,048 features of an Inception
        network. In torchmetrics: `FrechetInceptionDistance`.
    """
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1]:
        got = f"{tuple(x.shape)} and {tuple(y.shape)}"
        raise ValueError(f"x, y: expected shapes (n, d) and (m, d), got {got}")
    return gaussian_distance(fit_gaussian(x), fit_gaussian(y)).item()


def extrapolated(
    x: Float[Tensor, " n d"],
    y: Float[Tensor, " m d"],
    sizes: Sequence[int],
    *,
    generator: Generator,
    repeats: int = 4,
) -> tuple[float, list[float]]:
    """What the distance would be with infinitely many points in `x`: a straight line in 1/n.

    Args:
        x: the cloud that is judged; subsets of it are drawn.
        y: the reference, all of it taken every time.
        sizes: how large the subsets are, at least two sizes.
        generator: draws the subsets.
        repeats: subsets of each size, to be averaged.

    Returns:
        The line's value at 1/n = 0, and the mean distance at each size.

    Raises:
        ValueError: for fewer than two different sizes, or one that `x` does not have.

    Source:
        Chong and Forsyth 2020 (arXiv:1911.07023), section 3.2, who call it FID∞.
    """
    if len(set(sizes)) < 2 or min(sizes) < 2 or max(sizes) > len(x):
        raise ValueError(f"sizes: expected two or more within 2…{len(x)}, got {list(sizes)}")
    checks.whole_at_least(1, repeats=repeats)
    reference, found = fit_gaussian(y), []
    for size in sizes:
        subsets = [x[torch.randperm(len(x), generator=generator)[:size]] for _ in range(repeats)]
        each = torch.stack([gaussian_distance(fit_gaussian(s), reference) for s in subsets])
        found.append(each.mean().item())
    inverse = torch.tensor([1 / size for size in sizes], dtype=torch.float64)
    design = torch.stack([torch.ones_like(inverse), inverse], dim=1)
    line = torch.linalg.lstsq(design, torch.tensor(found, dtype=torch.float64)[:, None]).solution
    return line[0].item(), found
