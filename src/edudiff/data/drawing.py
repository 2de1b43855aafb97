"""Pictures of scenes: anti-aliased, at any size, whole or cropped, many at once."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edudiff import checks
from edudiff.data.scenes import Background, Scene
from edudiff.data.shapes import OUTLINES

PALETTE = {
    "red": (0.86, 0.12, 0.14),
    "orange": (0.98, 0.55, 0.08),
    "yellow": (0.97, 0.87, 0.15),
    "green": (0.13, 0.62, 0.22),
    "cyan": (0.15, 0.80, 0.86),
    "blue": (0.13, 0.28, 0.85),
    "purple": (0.52, 0.18, 0.68),
    "pink": (0.98, 0.52, 0.72),
}
"""The eight colours, in sRGB from 0 to 1."""

GREYS = {
    ("dark", "plain"): (0.12, 0.12),
    ("dark", "gradient"): (0.06, 0.40),
    ("dark", "striped"): (0.08, 0.27),
    ("light", "plain"): (0.92, 0.92),
    ("light", "gradient"): (0.98, 0.62),
    ("light", "striped"): (0.96, 0.76),
}
"""The two grey levels of each background: the ends of a gradient, or the two stripes."""

NUM_STRIPES = 4
"""Pairs of a darker and a lighter stripe across the picture."""

STEPS = ((1, 0), (1, 1), (0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1))
"""The direction of each multiple of 45 degrees, as whole steps in x and y."""

Windows = Float[Tensor, " b 4"]


def draw(
    scenes: Sequence[Scene], size: int, *, windows: Windows | None = None
) -> Float[Tensor, " b 3 size size"]:
    """Draw scenes.

    An outline is smoothed over one pixel: the share of a pixel that an object covers is
    ½ − distance, in pixels, kept within [0, 1].

    Args:
        scenes: what to draw; the first object of each is nearest to the eye.
        size: pixels a side, from 16 to 256.
        windows: which part of each scene fills the picture: left, top, right, bottom, in
            fractions of the whole scene; the whole scene if not given. What lies beyond the
            scene's edge is background.

    Returns:
        Pictures in [-1, 1].

    Raises:
        ValueError: if there are no scenes, for a size outside 16 to 256, or for a window that is
            not square or not a window.
    """
    xs, ys, pixels = _grid(scenes, size, windows)
    pictures = _grey(scenes, xs, ys, pixels)[:, None].expand(-1, 3, -1, -1).contiguous()
    for rows, shape, place, colours in _layers(scenes):
        covered = _coverage(shape, place, xs[rows], ys[rows], pixels[rows])[:, None]
        pictures[rows] = _mix(pictures[rows], colours[:, :, None, None], covered)
    return pictures.mul_(2).sub_(1)


def label_maps(
    scenes: Sequence[Scene], size: int, *, windows: Windows | None = None
) -> Int[Tensor, " b size size"]:
    """Say for each pixel which silhouette is seen there.

    Returns:
        0 for background, otherwise 1 + the place of the shape in `shapes.OUTLINES`; a pixel
        belongs to the nearest object that covers at least half of it.

    Raises:
        ValueError: as `draw`.
    """
    xs, ys, pixels = _grid(scenes, size, windows)
    labels = torch.zeros(len(scenes), size, size, dtype=torch.int64)
    for rows, shape, place, _ in _layers(scenes):
        covered = _coverage(shape, place, xs[rows], ys[rows], pixels[rows]) >= 0.5
        labels[rows] = labels[rows].masked_fill(covered, 1 + list(OUTLINES).index(shape))
    return labels


def _grid(
    scenes: Sequence[Scene], size: int, windows: Windows | None
) -> tuple[Float[Tensor, " b 1 size"], Float[Tensor, " b size 1"], Float[Tensor, " b 1 1"]]:
    """Where in its scene each pixel's centre lies, and how many pixels make one side of it."""
    checks.whole_at_least(1, scenes=len(scenes))
    if isinstance(size, bool) or not isinstance(size, int) or not 16 <= size <= 256:
        raise ValueError(f"size: expected a whole number from 16 to 256, got {size!r}")
    if windows is None:
        windows = torch.tensor([[0.0, 0.0, 1.0, 1.0]]).expand(len(scenes), 4)
    if len(windows) != len(scenes):
        raise ValueError(f"windows: expected {len(scenes)}, one a scene, got {len(windows)}")
    left, top, right, bottom = windows.float()[:, :, None, None].unbind(1)
    sides = right - left
    if not bool((sides > 0).all()) or not torch.allclose(sides, bottom - top, atol=1e-4):
        raise ValueError("windows: expected squares (left, top, right, bottom), got others")
    centres = (torch.arange(size) + 0.5) / size
    xs, ys = left + centres[None, None, :] * sides, top + centres[None, :, None] * sides
    return xs, ys, size / sides


def _grey(
    scenes: Sequence[Scene],
    xs: Float[Tensor, " b 1 size"],
    ys: Float[Tensor, " b size 1"],
    pixels: Float[Tensor, " b 1 1"],
) -> Float[Tensor, " b size size"]:
    """The backgrounds, in [0, 1]."""
    kinds = [(scene.background.tone, scene.background.pattern) for scene in scenes]
    levels = torch.tensor([GREYS[kind] for kind in kinds])[:, :, None, None]
    steps = torch.tensor([_step(scene.background) for scene in scenes])[:, :, None, None]
    along = (xs - 0.5) * steps[:, 0] + (ys - 0.5) * steps[:, 1]  # 0 in the middle of the scene
    share = (along + 0.5).clamp(0, 1)
    striped = torch.tensor([kind[1] == "striped" for kind in kinds])
    if bool(striped.any()):
        phase = along[striped] * NUM_STRIPES
        ramp = (phase - phase.floor() - 0.5).abs() - 0.25  # > 0 in one stripe, < 0 in the other
        share[striped] = (0.5 + ramp * pixels[striped] / NUM_STRIPES).clamp(0, 1)
    return _mix(levels[:, 0], levels[:, 1], share)


def _mix(
    below: Float[Tensor, "..."], above: Float[Tensor, "..."], share: Float[Tensor, "..."]
) -> Float[Tensor, "..."]:
    """From `below`, where the share is 0, to `above`, where it is 1.

    `torch.lerp` multiplies and adds in one rounding on some processors and in two on others.
    """
    return below + share * (above - below)


def _step(background: Background) -> tuple[float, float]:
    """How far `along` moves for a step in x and in y; a diagonal is as long as a side."""
    step_x, step_y = STEPS[background.angle // 45 % 8]
    length = abs(step_x) + abs(step_y)
    return step_x / length, step_y / length


def _layers(
    scenes: Sequence[Scene],
) -> list[tuple[Tensor, str, Float[Tensor, " n 3"], Float[Tensor, " n 3"]]]:
    """Every object, from the farthest to the nearest, those of one shape in one layer together.

    Of each layer: the rows of its scenes, its shape, x, y and radius, and its colours.
    """
    layers = []
    for depth in reversed(range(max(len(scene.objects) for scene in scenes))):
        for shape in OUTLINES:
            found = [
                (row, scene.objects[depth])
                for row, scene in enumerate(scenes)
                if len(scene.objects) > depth and scene.objects[depth].shape == shape
            ]
            if found:
                place = torch.tensor([(thing.x, thing.y, thing.radius) for _, thing in found])
                colours = torch.tensor([PALETTE[thing.colour] for _, thing in found])
                layers.append((torch.tensor([row for row, _ in found]), shape, place, colours))
    return layers


def _coverage(
    shape: str,
    place: Float[Tensor, " n 3"],
    xs: Float[Tensor, " n 1 size"],
    ys: Float[Tensor, " n size 1"],
    pixels: Float[Tensor, " n 1 1"],
) -> Float[Tensor, " n size size"]:
    """The share of each pixel that a shape covers."""
    x, y, radius = place[:, :, None, None].unbind(1)
    distance = OUTLINES[shape]((xs - x) / radius, (ys - y) / radius)
    return (0.5 - distance * radius * pixels).clamp(0, 1)
