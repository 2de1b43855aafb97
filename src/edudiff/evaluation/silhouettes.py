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

LEAST_LEAD = 0.6
"""The best silhouette's misfit is at most this share of the second best's, or none is named."""

LEAST_IN_SIGHT = 0.45
"""The share of a silhouette's area that must be in sight for it to be named."""

LEAST_IN_PICTURE = 0.985
"""The share of a silhouette's area that must lie within the picture for it to be named."""


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
    small, seen = _shrink(alpha), _shrink(weight)
    places = torch.stack([_start(shape, alpha) for shape in shapes])
    places = _settle(shapes, places, small, seen, soft=2.5, steps=6)
    rough = _tanimoto(_coverages(shapes, places, len(small), 1.0) * seen, small)
    best = rough.topk(min(2, len(shapes))).indices
    shapes, places = [shapes[k] for k in best], places[best]
    places = _settle(shapes, places, alpha, weight, soft=1.5, steps=3)
    fine = _tanimoto(_coverages(shapes, places, len(alpha), 1.0) * weight, alpha)
    fits = [
        Fit(shape, x, y, radius, fit)
        for shape, (x, y, radius), fit in zip(shapes, places.tolist(), fine.tolist(), strict=True)
    ]
    return sorted(fits, key=lambda fit: -fit.fit)


def named(fits: Sequence[Fit], weight: Float[Tensor, " size size"]) -> bool:
    """Whether the first fit is good, clearly the best, and of a shape that is mostly in sight."""
    best, second = fits[0], fits[1].fit if len(fits) > 1 else 0.0
    covered = coverage(best.shape, torch.tensor([best[1:4]]), len(weight))[0]
    rim = (covered * (1 - covered)).sum() / covered.sum()
    whole = unit_box(best.shape)[4] * (best.radius * len(weight)) ** 2
    return (
        1 - best.fit <= MOST_MISFIT + MOST_RIM_MISFIT * float(rim)
        and 1 - best.fit <= LEAST_LEAD * (1 - second)
        and float((covered * weight).sum()) >= LEAST_IN_SIGHT * whole
        and float(covered.sum()) >= LEAST_IN_PICTURE * whole
    )


def _start(shape: str, alpha: Float[Tensor, " size size"]) -> Float[Tensor, " 3"]:
    """Where a shape would have to lie to have the area's bounding box."""
    left, top, right, bottom, _ = unit_box(shape)
    columns, rows = ((alpha > 0.5).any(axis).nonzero()[:, 0] / len(alpha) for axis in (0, 1))
    low_x, low_y = columns[0], rows[0]
    wide, high = (ends[-1] - ends[0] + 1 / len(alpha) for ends in (columns, rows))
    radius = (wide / (right - left) + high / (bottom - top)) / 2
    x = low_x + wide / 2 - (left + right) / 2 * radius
    y = low_y + high / 2 - (top + bottom) / 2 * radius
    return torch.stack([x, y, radius])


def _coverages(
    shapes: Sequence[str], places: Float[Tensor, " n *m 3"], size: int, soft: float
) -> Float[Tensor, " n *m size size"]:
    """The coverage of each shape at its own places."""
    return torch.stack(
        [
            coverage(shape, place.reshape(-1, 3), size, soft).reshape(*place.shape[:-1], size, size)
            for shape, place in zip(shapes, places, strict=True)
        ]
    )


def _settle(
    shapes: Sequence[str],
    places: Float[Tensor, " n 3"],
    target: Float[Tensor, " size size"],
    weight: Float[Tensor, " size size"],
    soft: float,
    steps: int,
) -> Float[Tensor, " n 3"]:
    """Gauss-Newton steps towards the places where each shape covers the target best."""
    nudge = 1e-3
    nudges = torch.cat([torch.zeros(1, 3), nudge * torch.eye(3)])
    for _ in range(steps):
        covered = _coverages(shapes, places[:, None] + nudges, len(target), soft) * weight
        misfit = (target - covered[:, 0]).flatten(1)
        slopes = ((covered[:, 1:] - covered[:, :1]) / nudge).flatten(2)
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


def _shrink(picture: Float[Tensor, " size size"]) -> Float[Tensor, " small small"]:
    """The picture at 32 pixels a side, which is enough to come near."""
    return torch.nn.functional.adaptive_avg_pool2d(picture[None], 32)[0]
