"""Which silhouette is this? Each outline is laid over the area and moved until it fits best."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from edudiff.data.shapes import OUTLINES

MOST_MISFIT = 0.05
"""A silhouette whose misfit, 1 − fit, is larger than this is not named, not counting its rim."""

MOST_RIM_MISFIT = 0.85
"""How much more is forgiven for blur and noise at the rim, per share of half-covered pixels."""

MOST_BULGE = (0.4, 0.045)
"""An outline may leave the silhouette's by so many pixels, and so much of the radius more."""

CROWDED = 2.5
"""So many times as far where another area touches: what blends with both is not told apart."""

LEAST_LEAD = 0.6
"""The best silhouette's misfit is at most this share of the second best's, or none is named."""

LEAST_IN_SIGHT = 0.45
"""The share of a silhouette's area that must be in sight for it to be named."""

LEAST_IN_PICTURE = 0.985
"""The share of a silhouette's area that must lie within the picture for it to be named."""

ROUNDS = ((32, 2.5, 3, 3), (32, 2.5, 3, 2), (None, 1.5, 3, 2))
"""Pixels a side, softness, steps, and how many shapes go on: coarse and all first, fine last."""


class Fit(NamedTuple):
    """A silhouette laid over an area: where, how large, and how well it fits, from 0 to 1."""

    shape: str
    x: float
    y: float
    radius: float
    fit: float


def coverage(
    shape: str, places: Float[Tensor, " n 3"], size: int, soft: float = 1.0
) -> Float[Tensor, " n size size"]:
    """The share of each pixel that a shape covers, its outline smoothed over `soft` pixels."""
    centres = (torch.arange(size) + 0.5) / size
    x, y, radius = places[:, :, None, None].unbind(1)
    distance = OUTLINES[shape]((centres - x) / radius, (centres[:, None] - y) / radius)
    return (0.5 - distance * radius * size / soft).clamp(0, 1)


@functools.cache
def unit_box(shape: str) -> tuple[float, float, float, float, float]:
    """Left, top, right, bottom and area of a shape of radius 1."""
    line = torch.linspace(-1.5, 1.5, 601)
    inside = OUTLINES[shape](line[None, :], line[:, None]) < 0
    columns, rows = line[inside.any(0)], line[inside.any(1)]
    box = columns.min(), rows.min(), columns.max(), rows.max(), inside.sum() * 0.005**2
    left, top, right, bottom, area = (float(edge) for edge in box)
    return left, top, right, bottom, area


def best_fits(
    alpha: Float[Tensor, " size size"], weight: Float[Tensor, " size size"], shapes: Sequence[str]
) -> list[Fit]:
    """Lay every shape over an area; return the best two fits, the better one first.

    Args:
        alpha: how much of each pixel the area covers, from 0 to 1.
        weight: 0 where something hides what is behind, otherwise 1.
        shapes: the names of the silhouettes to try.
    """
    alpha = alpha * weight
    if not bool((alpha > 0.5).any()):
        return [Fit(shape, 0.5, 0.5, 0.25, 0.0) for shape in shapes[:2]]
    places = _starts(shapes, alpha)
    for side, soft, steps, keep in ROUNDS:
        target, seen = (_shrink(picture, side or len(alpha)) for picture in (alpha, weight))
        places = _settle(shapes, places, target, seen, soft, steps)
        fits = _tanimoto(_coverages(shapes, places, len(target), 1.0) * seen, target)
        fits, best = fits.topk(min(keep, len(shapes)))
        shapes, places = [shapes[k] for k in best], places[best]
    return [
        Fit(shape, x, y, radius, fit)
        for shape, (x, y, radius), fit in zip(shapes, places.tolist(), fits.tolist(), strict=True)
    ]


def named(
    fits: Sequence[Fit],
    alpha: Float[Tensor, " size size"],
    weight: Float[Tensor, " size size"],
    alone: bool = True,
) -> bool:
    """Whether the first fit is good, clearly the best, and of a shape that is mostly in sight.

    Args:
        fits: as `best_fits` returns them.
        alpha: as for `best_fits`.
        weight: as for `best_fits`.
        alone: whether no other area touches this one.
    """
    best, second = fits[0], fits[1].fit if len(fits) > 1 else 0.0
    covered = coverage(best.shape, torch.tensor([best[1:4]]), len(weight))[0]
    rim = (covered * (1 - covered)).sum() / covered.sum()
    radius = best.radius * len(weight)
    whole = unit_box(best.shape)[4] * radius**2
    most = (MOST_BULGE[0] + MOST_BULGE[1] * radius) * (1 if alone else CROWDED)
    return (
        1 - best.fit <= MOST_MISFIT + MOST_RIM_MISFIT * float(rim)
        and 1 - best.fit <= LEAST_LEAD * (1 - second)
        and worst_bulge(covered, alpha, weight) <= most
        and float((covered * weight).sum()) >= LEAST_IN_SIGHT * whole
        and float(covered.sum()) >= LEAST_IN_PICTURE * whole
    )


def worst_bulge(
    covered: Float[Tensor, " size size"],
    alpha: Float[Tensor, " size size"],
    weight: Float[Tensor, " size size"],
) -> float:
    """How far, in pixels, an area's outline leaves a silhouette's over a stretch of five pixels.

    Blur takes from the inside of an outline what it gives to the outside, so it counts for little.

    Args:
        covered: the coverage of the silhouette.
        alpha: as for `best_fits`.
        weight: as for `best_fits`.
    """
    gap = (alpha - covered) * weight
    across = 5 * torch.nn.functional.avg_pool2d(gap[None], 5, stride=1, padding=2)
    return float(across.abs().max())


def _starts(shapes: Sequence[str], alpha: Float[Tensor, " size size"]) -> Float[Tensor, " n 3"]:
    """Where each shape would have to lie to have the area's bounding box."""
    left, top, right, bottom, _ = torch.tensor([unit_box(shape) for shape in shapes]).unbind(1)
    x, y = ((alpha > 0.5).any(axis).nonzero()[:, 0] / len(alpha) for axis in (0, 1))
    wide, high = (ends[-1] - ends[0] + 1 / len(alpha) for ends in (x, y))
    radius = (wide / (right - left) + high / (bottom - top)) / 2
    x = x[0] + wide / 2 - (left + right) / 2 * radius
    y = y[0] + high / 2 - (top + bottom) / 2 * radius
    return torch.stack([x, y, radius], dim=1)


def _coverages(
    shapes: Sequence[str], places: Float[Tensor, " n 3"], size: int, soft: float
) -> Float[Tensor, " n size size"]:
    """The coverage of each shape at its own place."""
    each = zip(shapes, places.split(1), strict=True)
    return torch.cat([coverage(shape, place, size, soft) for shape, place in each])


def _settle(
    shapes: Sequence[str],
    places: Float[Tensor, " n 3"],
    target: Float[Tensor, " size size"],
    weight: Float[Tensor, " size size"],
    soft: float,
    steps: int,
) -> Float[Tensor, " n 3"]:
    """Gauss-Newton steps towards the places where each shape covers the target best.

    The coverage is a function of (pixel - centre) / radius, so its slopes with respect to the
    place follow from those along the picture's axes.
    """
    centres = (torch.arange(len(target)) + 0.5) / len(target)
    for _ in range(steps):
        covered = _coverages(shapes, places, len(target), soft)
        x, y, radius = places[:, :, None, None].unbind(1)
        down, right = torch.gradient(covered, spacing=1 / len(target), dim=(1, 2))
        outwards = (right * (centres - x) + down * (centres[:, None] - y)) / radius
        slopes = -(torch.stack([right, down, outwards], dim=1) * weight).flatten(2)
        misfit = ((target - covered) * weight).flatten(1)
        gram = slopes @ slopes.mT
        ridge = 0.01 * gram.diagonal(dim1=1, dim2=2).mean(1)[:, None, None] + 1e-6
        move = torch.linalg.solve(gram + ridge * torch.eye(3), slopes @ misfit[:, :, None])
        places = places + move[:, :, 0].clamp(-0.05, 0.05)
        places[:, 2].clamp_(0.04, 0.7)
    return places


def _tanimoto(
    covered: Float[Tensor, " n size size"], alpha: Float[Tensor, " size size"]
) -> Float[Tensor, " n"]:
    """Soft intersection over union: Σab / (Σa² + Σb² − Σab)."""
    both = (covered * alpha).sum((1, 2))
    return both / (covered.square().sum((1, 2)) + alpha.square().sum() - both + 1e-9)


def _shrink(picture: Float[Tensor, " size size"], side: int) -> Float[Tensor, " side side"]:
    return torch.nn.functional.adaptive_avg_pool2d(picture[None], side)[0]
