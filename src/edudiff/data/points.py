"""Two-dimensional toy laws, small enough to draw and, where possible, with a known density."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from edudiff import checks

RING_RADIUS = 2.0
RING_STD = 0.1
MOONS_STD = 0.06
SWISS_ROLL_STD = 0.04


@dataclass(frozen=True)
class PointLaw:
    """A law on the plane that can be sampled.

    Attributes:
        name: the name it is asked for by.
        draw: (n, generator) → n points, float32, spread over about [-3, 3] in both directions.
        log_density: points (n, 2) → natural logarithm of the density at each, in nats, or None
            where no closed form exists. Outside the support it is -inf.
        centers: the modes, (number of modes, 2), or None where the law has no separate modes.
    """

    name: str
    draw: Callable[[int, Generator], Tensor]
    log_density: Callable[[Tensor], Tensor] | None = None
    centers: Tensor | None = None


def ring_centers(num_modes: int = 8) -> Float[Tensor, " modes 2"]:
    """The modes of the ring: equally spaced on a circle of radius 2, the first at angle 0."""
    angles = torch.arange(num_modes) * (2 * math.pi / num_modes)
    return RING_RADIUS * torch.stack([angles.cos(), angles.sin()], dim=1)


def _draw_ring(n: int, generator: Generator) -> Tensor:
    centers = ring_centers()
    chosen = torch.randint(len(centers), (n,), generator=generator)
    return centers[chosen] + RING_STD * torch.randn(n, 2, generator=generator)


def ring_log_density(points: Float[Tensor, " n 2"]) -> Float[Tensor, " n"]:
    """log p(x) for p = (1/8) Σ_k N(x; μ_k, 0.1² I), in nats."""
    centers = ring_centers().to(points)
    squared = (points[:, None] - centers).square().sum(dim=-1)
    each = -squared / (2 * RING_STD**2) - math.log(2 * math.pi * RING_STD**2)
    return each.logsumexp(dim=1) - math.log(len(centers))


def _draw_moons(n: int, generator: Generator) -> Tensor:
    upper = torch.randint(2, (n,), generator=generator).bool()
    angle = math.pi * torch.rand(n, generator=generator)
    x = torch.where(upper, angle.cos(), 1 - angle.cos())
    y = torch.where(upper, angle.sin(), 0.5 - angle.sin())
    moons = torch.stack([x - 0.5, y - 0.25], dim=1)
    return 1.5 * (moons + MOONS_STD * torch.randn(n, 2, generator=generator))


def _draw_swiss_roll(n: int, generator: Generator) -> Tensor:
    angle = 1.5 * math.pi * (1 + 2 * torch.rand(n, generator=generator))
    spiral = angle[:, None] * torch.stack([angle.cos(), angle.sin()], dim=1) / 6
    return spiral + SWISS_ROLL_STD * torch.randn(n, 2, generator=generator)


def _draw_checkerboard(n: int, generator: Generator) -> Tensor:
    column = torch.randint(4, (n,), generator=generator)
    row = 2 * torch.randint(2, (n,), generator=generator) + column % 2
    corner = torch.stack([column, row], dim=1) - 2
    return corner + torch.rand(n, 2, generator=generator)


def checkerboard_log_density(points: Float[Tensor, " n 2"]) -> Float[Tensor, " n"]:
    """log p(x) for the uniform law on 8 of the 16 unit squares of [-2, 2)²: log(1/8) or -inf."""
    square = points.floor()
    inside = ((square >= -2) & (square < 2)).all(dim=1) & (square.sum(dim=1) % 2 == 0)
    return torch.where(inside, -math.log(8.0), -math.inf).to(points.dtype)


LAWS: dict[str, PointLaw] = {
    law.name: law
    for law in (
        PointLaw("ring", _draw_ring, ring_log_density, ring_centers()),
        PointLaw("moons", _draw_moons),
        PointLaw("swiss_roll", _draw_swiss_roll),
        PointLaw("checkerboard", _draw_checkerboard, checkerboard_log_density),
    )
}


def law(name: str) -> PointLaw:
    """Look a law up: "ring", "moons", "swiss_roll" or "checkerboard".

    Raises:
        ValueError: if there is no such law; the message names the nearest.
    """
    return checks.choose("point law", name, LAWS)


def sample(name: str, n: int, *, generator: Generator) -> Float[Tensor, " n 2"]:
    """Draw n independent points from the law called `name`.

    Args:
        name: "ring" (8 Gaussians of standard deviation 0.1 on a circle of radius 2), "moons"
            (two interleaved half circles), "swiss_roll" (a spiral) or "checkerboard".
        n: number of points, at least 1.
        generator: the source of randomness, on the CPU.

    Returns:
        float32 points, roughly within [-3, 3].

    Raises:
        ValueError: for an unknown name or an n below 1.
    """
    checks.whole_at_least(1, n=n)
    return law(name).draw(n, generator)


def log_density(name: str, points: Float[Tensor, " n 2"]) -> Float[Tensor, " n"]:
    """The exact log-density of the law called `name`, in nats.

    Raises:
        ValueError: for an unknown name, or for a law with no closed form.
    """
    density = law(name).log_density
    if density is None:
        known = sorted(name for name, law in LAWS.items() if law.log_density is not None)
        raise ValueError(f"log_density: expected a law with a closed form, {known}, got {name!r}")
    return density(points)


def from_picture(
    ink: Float[Tensor, " h w"], n: int, *, generator: Generator
) -> Float[Tensor, " n 2"]:
    """Draw points where a picture has ink: any drawing becomes a law on the plane.

    Each pixel is chosen in proportion to its ink, each point lies anywhere within its pixel. The
    picture's longer side is laid on [-2, 2], upright and centred.

    Args:
        ink: how much ink each pixel holds, ≥ 0, not all zero.
        n: number of points, at least 1.
        generator: the source of randomness, on the CPU.

    Raises:
        ValueError: if `ink` is not two-dimensional, is negative somewhere or empty everywhere, or
            n is below 1.
    """
    checks.whole_at_least(1, n=n)
    if ink.ndim != 2 or not bool((ink >= 0).all()) or not bool((ink > 0).any()):
        raise ValueError(
            f"ink: expected (h, w) with values ≥ 0, some above, got shape {tuple(ink.shape)}"
        )
    height, width = ink.shape
    pixel = torch.multinomial(ink.flatten().float(), n, replacement=True, generator=generator)
    corner = torch.stack([pixel % width, height - 1 - pixel // width], dim=1)
    inside = corner + torch.rand(n, 2, generator=generator)
    return (inside - torch.tensor([width, height]) / 2) * (4 / max(width, height))
