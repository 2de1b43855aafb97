import itertools
from collections import Counter

import pytest
import torch

from edudiff.data.scenes import (
    INVERSE,
    RICH_WORLD,
    SMALL_WORLD,
    SMALLEST_BIG,
    Background,
    Object,
    Scene,
    World,
    is_held_out,
    scene,
    scenes,
)
from edudiff.data.shapes import OUTLINES

ALL = scenes(range(2000), split="all")
PAIRS = [one for one in ALL if one.relation is not None]


def mask(thing, count=96):
    """Where in the picture a silhouette lies."""
    centres = (torch.arange(count) + 0.5) / count
    x, y = (centres - thing.x) / thing.radius, (centres[:, None] - thing.y) / thing.radius
    return OUTLINES[thing.shape](x, y) < 0


def of_relation(*relations):
    return [one for one in PAIRS if one.relation in relations]


def test_a_seed_always_gives_the_same_scene():
    assert scenes(range(50)) == scenes(range(50))


def test_a_seeds_scene_does_not_depend_on_the_others():
    assert scenes([7, 3]) == [scene(7), scene(3)]


def test_seeds_differ():
    assert len(set(ALL)) == len(ALL)


def test_a_seed_means_the_same_on_every_machine():
    square = Object("square", "purple", 0.503022321664454, 0.7273838255203953, 0.15959496472586931)
    ring = Object("ring", "cyan", 0.4225345657053163, 0.3174555329229961, 0.1519149238538089)
    assert scene(0) == Scene((square, ring), "below", Background("light", "gradient", 270))


@pytest.mark.parametrize("world", [SMALL_WORLD, RICH_WORLD])
def test_training_shows_nothing_that_is_held_out(world):
    assert not any(is_held_out(one, world) for one in scenes(range(800), world, "train"))


@pytest.mark.parametrize("world", [SMALL_WORLD, RICH_WORLD])
def test_held_out_scenes_always_show_what_is_held_out(world):
    assert all(is_held_out(one, world) for one in scenes(range(300), world, "held_out"))


def test_all_is_the_scene_before_anything_is_left_out():
    kept = [seed for seed in range(200) if not is_held_out(scene(seed, split="all"))]
    assert 100 < len(kept) < 200
    assert all(scene(seed, split="all") == scene(seed) for seed in kept)


def test_a_held_out_relation_is_held_out_from_both_sides():
    said = {(s.objects[0].shape, s.relation, s.objects[1].shape) for s in of_relation("right of")}
    train = scenes(range(1000))
    assert ("cross", "right of", "circle") in said
    assert not any(
        (s.objects[0].shape, s.relation, s.objects[1].shape) == ("cross", "right of", "circle")
        for s in train
        if s.relation
    )


def test_every_shape_and_colour_is_still_seen_in_training():
    seen = Counter((o.colour, o.shape) for one in scenes(range(1500)) for o in one.objects)
    everything = set(itertools.product(SMALL_WORLD.colours, SMALL_WORLD.shapes))
    assert set(seen) == everything - SMALL_WORLD.held_out_pairs


def test_every_relation_tone_and_pattern_occurs():
    backgrounds = {(one.background.tone, one.background.pattern) for one in ALL}
    assert {one.relation for one in ALL} == {None, *SMALL_WORLD.relations}
    assert backgrounds == set(itertools.product(SMALL_WORLD.tones, SMALL_WORLD.patterns))


def test_there_are_two_objects_exactly_where_there_is_a_relation():
    assert all(len(one.objects) == (1 if one.relation is None else 2) for one in ALL)


def test_objects_stay_within_the_picture():
    for thing in (thing for one in ALL for thing in one.objects):
        reach = {"circle": 0.95, "square": 0.85, "cross": 1.0, "ring": 1.0}.get(thing.shape, 1.05)
        assert reach * thing.radius <= thing.x <= 1 - reach * thing.radius
        assert reach * thing.radius <= thing.y <= 1 - reach * thing.radius


def test_no_object_is_of_a_middling_size():
    radii = [thing.radius for one in ALL for thing in one.objects]
    assert not any(0.17 < radius < 0.205 for radius in radii)
    assert min(radii) < SMALLEST_BIG < max(radii)


@pytest.mark.parametrize(
    ("relation", "axis", "sign"),
    [("left of", "x", 1), ("right of", "x", -1), ("above", "y", 1), ("below", "y", -1)],
)
def test_objects_side_by_side_are_apart_along_their_axis_above_all(relation, axis, sign):
    other = "y" if axis == "x" else "x"
    for first, second in (one.objects for one in of_relation(relation)):
        along = sign * (getattr(second, axis) - getattr(first, axis))
        assert along > first.radius + second.radius
        assert abs(getattr(second, other) - getattr(first, other)) < 0.5 * along


def test_objects_side_by_side_do_not_touch():
    for first, second in (one.objects for one in of_relation("left of", "above")[:200]):
        assert not (mask(first) & mask(second)).any()


def test_an_inner_object_lies_within_the_outline_of_its_container():
    for one in of_relation("inside"):
        inner, outer = one.objects
        room = {"circle": 0.95, "square": 0.85, "triangle": 0.9, "star": 0.5, "ring": 0.48}
        assert outer.shape in SMALL_WORLD.containers
        assert (inner.x, inner.y) == (outer.x, outer.y)
        assert inner.radius < room[outer.shape] * outer.radius


def test_an_object_in_front_hides_a_part_of_the_one_behind():
    hidden = [(mask(s.objects[0]) & mask(s.objects[1])).sum() for s in of_relation("in front of")]
    # One in some hundred meets its neighbour by less than a pixel of this grid.
    assert sum(int(part) > 0 for part in hidden) >= 0.99 * len(hidden)


def test_more_than_half_of_an_object_behind_stays_in_sight():
    for one in of_relation("in front of"):
        front, behind = (mask(thing) for thing in one.objects)
        assert (behind & ~front).sum() > 0.5 * behind.sum()


def test_objects_that_meet_differ_in_colour():
    meeting = of_relation("inside", "in front of")
    assert all(first.colour != second.colour for first, second in (s.objects for s in meeting))


def test_objects_that_are_apart_may_share_a_colour():
    assert any(first.colour == second.colour for first, second in (s.objects for s in PAIRS))


@pytest.mark.parametrize("relation", INVERSE)
def test_a_relation_said_back_and_back_again_is_itself(relation):
    assert INVERSE[INVERSE[relation]] == relation != INVERSE[relation]


@pytest.mark.parametrize(("radius", "size"), [(0.15, "small"), (0.19, "big"), (0.3, "big")])
def test_the_word_for_a_size(radius, size):
    assert Object("circle", "red", 0.5, 0.5, radius).size == size


def test_a_world_of_ones_own_shows_only_what_it_has():
    world = World(shapes=("circle",), colours=("red", "blue"), relations=("above",))
    things = [thing for one in scenes(range(50), world) for thing in one.objects]
    assert {thing.shape for thing in things} == {"circle"}
    assert {thing.colour for thing in things} == {"red", "blue"}


def test_a_negative_seed_is_refused(refusal):
    with refusal("seed: expected a whole number ≥ 0, got -1"):
        scene(-1)


def test_an_unknown_split_is_refused(refusal):
    with refusal("unknown split: expected one of .*Did you mean 'held_out'"):
        scene(0, split="heldout")
