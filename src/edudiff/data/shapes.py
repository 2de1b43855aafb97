"""The silhouettes of the picture world, each the signed distance to its outline.

A distance is below 0 inside, above 0 outside, and measured in units of the object's radius. Near
the outline it is the true distance, which is all that a smooth edge needs. Only +, −, ×, ÷, √,
minimum and maximum are used: every machine rounds those alike, so the same scene is the same
picture everywhere. (PyTorch's √ does so to its last bit but one only; see `_length`.)
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

Outline = Callable[[Float[Tensor, "..."], Float[Tensor, "..."]], Float[Tensor, "..."]]


def _length(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """The distance from the origin, in single precision the nearest number to the true root.

    The root is taken in double precision: that of single precision differs between processors in
    its last bit, which once moved a pixel by a grey level.
    """
    squared = x * x + y * y
    return squared.double().sqrt().to(squared.dtype)


def circle(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to a circle of radius 0.95."""
    return _length(x, y) - 0.95


def square(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to an upright square of side 1.7."""
    return torch.maximum(x.abs(), y.abs()) - 0.85


def triangle(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to an equilateral triangle, point up, 1.8 high."""
    side = 0.5 * math.sqrt(3) * x.abs() - 0.5 * (y + 0.9)
    return torch.maximum(y - 0.9, side)


def star(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to a five-pointed star, one point up, tips at 1.1 and notches at 0.5."""
    x, y = x.abs(), 0.06 - y
    for cosine, sine in ((0.809017, -0.587785), (-0.809017, -0.587785)):
        beyond = 2 * (cosine * x + sine * y).clamp(min=0)
        x, y = x - beyond * cosine, y - beyond * sine
    x = x.abs()
    edge_x, edge_y = 0.5 * 0.587785, 0.5 * 0.809017 - 1.1
    return (x * -edge_y + (y - 1.1) * edge_x) / math.hypot(edge_x, edge_y)


def cross(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to an upright cross with arms 0.64 wide."""
    x, y = x.abs(), y.abs()
    upright, level = torch.maximum(x - 0.32, y - 1), torch.maximum(x - 1, y - 0.32)
    return torch.minimum(upright, level)


def ring(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to a ring between the radii 0.48 and 1."""
    return (_length(x, y) - 0.74).abs() - 0.26


def diamond(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to a square that stands on a corner."""
    return (x.abs() + y.abs() - 1.05) * math.sqrt(0.5)


def hexagon(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to a regular hexagon with a corner on either side."""
    slanted = 0.5 * math.sqrt(3) * x.abs() + 0.5 * y.abs()
    return torch.maximum(slanted, y.abs()) - 0.88


def crescent(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to a crescent that opens to the right."""
    disc = _length(x, y) - 1
    bite = _length(x - 0.55, y) - 0.75
    return torch.maximum(disc, -bite)


def heart(x: Float[Tensor, "..."], y: Float[Tensor, "..."]) -> Float[Tensor, "..."]:
    """Signed distance to a heart: two discs and the corner of a square below them."""
    x = x.abs()
    lobe = _length(x - 0.46, y + 0.38) - 0.54
    corner = torch.maximum(x + y - 0.8437, x - y - 0.84) * math.sqrt(0.5)
    return torch.minimum(lobe, torch.maximum(corner, -y - 0.38))


OUTLINES: dict[str, Outline] = {
    "circle": circle,
    "square": square,
    "triangle": triangle,
    "star": star,
    "cross": cross,
    "ring": ring,
    "diamond": diamond,
    "hexagon": hexagon,
    "crescent": crescent,
    "heart": heart,
}
"""Every silhouette by name: (x, y), y pointing down, to signed distance."""
