"""Lessons of something new: the same each time, said as they are, outlined or dotted if asked."""

import math

import pytest
import torch
from scipy import ndimage

from edudiff.data import captions, drawing, new_shapes, scenes


def lessons(shape: str = "diamond", **options: object) -> list[scenes.Scene]:
    return [new_shapes.lesson(k, shape, **options) for k in range(20)]


def test_the_same_number_gives_the_same_scene():
    assert lessons() == lessons()
    assert len(set(lessons())) == 20


def test_objects_lie_within_the_picture():
    for scene in lessons(smallest=0.05):
        (thing,) = scene.objects
        assert 0.05 <= thing.radius <= new_shapes.LARGEST
        assert 1.1 * thing.radius < min(thing.x, thing.y, 1 - thing.x, 1 - thing.y)


def test_colours_and_tones_take_turns():
    some = lessons(colours=("red", "blue", "green"))
    assert [s.objects[0].colour for s in some[:4]] == ["red", "blue", "green", "red"]
    pairs = {(s.objects[0].colour, s.background.tone) for s in some}
    assert len(pairs) == 6


def test_the_package_reads_what_is_said():
    scene = new_shapes.lesson(1, "diamond")
    said = new_shapes.say(scene)
    assert said == "an orange diamond on a light background"
    claims = captions.read(said)
    assert (claims.objects[0].shape, claims.objects[0].colour) == ("diamond", "orange")
    assert new_shapes.say(scene, "outlined") == "an outlined orange diamond on a light background"


@pytest.mark.parametrize("shape", ["circle", "square", "triangle", "star", "cross", "diamond"])
def test_the_middle_is_background_and_the_rim_is_not(shape):
    some = lessons(shape)
    outlined, whole = new_shapes.draw_outlined(some, 64), drawing.draw(some, 64)
    assert outlined.min() >= -1 and outlined.max() <= 1
    for scene, made, full in zip(some, outlined, whole, strict=True):
        (thing,) = scene.objects
        middle = made[:, int(64 * thing.y), int(64 * thing.x)]
        corner = made[:, 0, 0]
        torch.testing.assert_close(middle, corner, atol=1e-5, rtol=0)
        changed = (made - full).abs().amax(0) > 0.1
        coloured = (full - full[:, :1, :1]).abs().amax(0) > 0.1
        assert 0.05 < (changed & coloured).sum() / coloured.sum() < 0.6


def pieces(picture: torch.Tensor) -> int:
    """How many separate coloured places there are."""
    return ndimage.label(picture.amax(0) - picture.amin(0) > 0.5)[1]


@pytest.mark.parametrize(
    ("shape", "number"), [("circle", 5), ("square", 9), ("triangle", 5), ("diamond", 5)]
)
def test_dotted_shapes_are_whole_dots_within_the_shape(shape, number):
    some = lessons(shape)
    dotted, whole = new_shapes.draw_dotted(some, 256), drawing.draw(some, 256)
    assert [pieces(picture) for picture in dotted] == [number] * 20
    covered = (whole - whole[:, :, :1, :1]).abs().amax(1) > 1e-3
    for scene, made, full, inside in zip(some, dotted, whole, covered, strict=True):
        (thing,) = scene.objects
        x, y = int(256 * thing.x), int(256 * thing.y)
        torch.testing.assert_close(made[:, y, x], full[:, y, x])  # a dot in the middle
        dots = (made - made[:, :1, :1]).abs().amax(0) > 0.5
        area = number * math.pi * (0.28 * thing.radius * 256) ** 2
        assert dots.sum().item() == pytest.approx(area, rel=0.03)
        assert (dots & ~inside).sum() < 0.3 * dots.sum()


def test_finer_dots_are_more_and_stay_apart():
    some = lessons("square", smallest=0.3)
    counts = [
        pieces(new_shapes.draw_dotted(some[:1], 256, apart=apart, dot=0.4 * apart)[0])
        for apart in (0.7, 0.5, 0.35)
    ]
    assert counts == [9, 9, 25]


def test_what_cannot_be_drawn_is_refused():
    with pytest.raises(ValueError, match="shape: expected"):
        new_shapes.lesson(0, "dragon")
    with pytest.raises(ValueError, match="colour: expected"):
        new_shapes.lesson(0, "star", colours=("mauve",))
    with pytest.raises(ValueError, match="number: expected"):
        new_shapes.lesson(-1, "star")
    with pytest.raises(ValueError, match=r"smallest: expected a radius .* got 0\.5"):
        new_shapes.lesson(0, "star", smallest=0.5)
    with pytest.raises(ValueError, match="cut: expected"):
        new_shapes.draw_outlined(lessons(), 64, cut=1.0)
    for apart, dot in ((0.7, 0.4), (0.7, 0.0), (1.1, 0.2)):
        with pytest.raises(ValueError, match="dot, apart: expected"):
            new_shapes.draw_dotted(lessons(), 64, apart=apart, dot=dot)
    two = next(s for s in scenes.scenes(range(20)) if len(s.objects) == 2)
    with pytest.raises(ValueError, match="scene: expected one object, got 2"):
        new_shapes.say(two)
    with pytest.raises(ValueError, match="one object in each, got 2"):
        new_shapes.draw_outlined([two], 64)
    with pytest.raises(ValueError, match="one object in each, got 2"):
        new_shapes.draw_dotted([two], 64)
