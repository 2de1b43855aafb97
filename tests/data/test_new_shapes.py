"""Lessons of something new: the same each time, said as they are, outlined where asked."""

import pytest
import torch

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
    two = next(s for s in scenes.scenes(range(20)) if len(s.objects) == 2)
    with pytest.raises(ValueError, match="scene: expected one object, got 2"):
        new_shapes.say(two)
    with pytest.raises(ValueError, match="one object in each, got 2"):
        new_shapes.draw_outlined([two], 64)
