import math

import pytest
import torch

from edudiff.data.drawing import draw
from edudiff.data.scenes import Background, Object, Scene
from edudiff.data.shapes import OUTLINES

AREAS = {
    "circle": math.pi * 0.95**2,
    "square": 1.7**2,
    "triangle": 1.8**2 / math.sqrt(3),
    "star": 5 * 1.1 * 0.5 * math.sin(math.pi / 5),
    "cross": 4 * 0.64 - 0.64**2,
    "ring": math.pi * (1 - 0.48**2),
    "diamond": 2 * 1.05**2,
    "hexagon": 2 * math.sqrt(3) * 0.88**2,
}
"""Analytic areas at radius 1."""

MIRRORED = ("circle", "square", "triangle", "star", "cross", "ring", "diamond", "hexagon", "heart")


def plane(count=200, reach=1.4):
    line = (torch.arange(count, dtype=torch.float64) + 0.5) / count * 2 * reach - reach
    return torch.meshgrid(line, line, indexing="xy")


@pytest.mark.parametrize("shape", AREAS)
def test_the_inside_has_the_analytic_area(shape):
    x, y = plane(800)
    inside = (OUTLINES[shape](x, y) < 0).double().mean() * 2.8**2
    assert inside.item() == pytest.approx(AREAS[shape], rel=3e-3)


@pytest.mark.parametrize("shape", OUTLINES)
def test_near_the_outline_the_distance_grows_as_fast_as_one_walks(shape):
    x, y = plane()
    outline, step = OUTLINES[shape], 1e-5
    along_x = (outline(x + step, y) - outline(x - step, y)) / (2 * step)
    along_y = (outline(x, y + step) - outline(x, y - step)) / (2 * step)
    slope = torch.hypot(along_x, along_y)[outline(x, y).abs() < 0.03]
    # Exactly 1 but where two edges are equally near and the finite difference straddles the crease.
    assert (slope - 1).abs().quantile(0.98) < 1e-4


@pytest.mark.parametrize("shape", OUTLINES)
def test_the_middle_of_the_edge_is_where_the_sign_changes(shape):
    x, y = plane()
    distance = OUTLINES[shape](x, y)
    assert distance.min() < -0.1
    assert distance.max() > 0.3


@pytest.mark.parametrize("shape", OUTLINES)
def test_a_silhouette_reaches_at_most_one_and_a_tenth_of_its_radius(shape):
    x, y = plane()
    outside = (x.abs() > 1.1) | (y.abs() > 1.1)
    assert (OUTLINES[shape](x, y)[outside] > 0).all()


@pytest.mark.parametrize("shape", MIRRORED)
def test_left_and_right_are_mirror_images(shape):
    x, y = plane()
    torch.testing.assert_close(OUTLINES[shape](x, y), OUTLINES[shape](-x, y))


@pytest.mark.parametrize("shape", ["circle", "square", "cross", "ring", "diamond"])
def test_a_quarter_turn_changes_nothing(shape):
    x, y = plane()
    torch.testing.assert_close(OUTLINES[shape](x, y), OUTLINES[shape](-y, x))


@pytest.mark.parametrize("shape", ["triangle", "star"])
def test_one_point_is_up(shape):
    zero, high = torch.zeros(1), torch.tensor([0.85])
    assert OUTLINES[shape](zero, -high) < 0 < OUTLINES[shape](zero, high + 0.1)


def test_the_stars_tips_and_notches_lie_on_its_outline():
    angles = torch.arange(10, dtype=torch.float64) * math.pi / 5
    reach = torch.tensor([1.1, 0.5], dtype=torch.float64).repeat(5)
    distance = OUTLINES["star"](reach * angles.sin(), 0.06 - reach * angles.cos())
    assert distance.abs().max() < 1e-5


def test_a_ring_has_a_hole():
    assert OUTLINES["ring"](torch.zeros(1), torch.zeros(1)) > 0


@pytest.mark.parametrize("shape", OUTLINES)
def test_the_distance_follows_the_dtype(shape):
    x = torch.zeros(2, dtype=torch.float64)
    assert OUTLINES[shape](x, x).dtype == torch.float64


@pytest.mark.parametrize("shape", AREAS)
@pytest.mark.parametrize("radius", [0.15, 0.3])
def test_the_pixels_covered_add_up_to_the_analytic_area(shape, radius):
    scene = Scene((Object(shape, "red", 0.51, 0.48, radius),), None, Background("dark", "plain", 0))
    red = (draw([scene], 64)[0, 0] + 1) / 2
    covered = ((red - 0.12) / (0.86 - 0.12)).sum() / 64**2
    # At sharp tips a pixel's share by the distance is a little off.
    assert covered.item() == pytest.approx(AREAS[shape] * radius**2, rel=0.02)
