"""Small changes to scenes, and what becomes of their captions."""

import dataclasses

import pytest
import torch

from edudiff.data import captions, drawing, edits, scenes

TWO = [scene for scene in scenes.scenes(range(300)) if len(scene.objects) == 2]
ONE = next(scene for scene in scenes.scenes(range(300)) if len(scene.objects) == 1)


def test_a_new_colour_is_all_that_changes():
    changed = edits.recolour(TWO[0], 1, "cyan")
    assert changed.objects[1].colour == "cyan"
    assert edits.recolour(changed, 1, TWO[0].objects[1].colour) == TWO[0]


def test_a_new_shape_is_all_that_changes():
    changed = edits.reshape(TWO[0], 0, "star")
    assert changed.objects[0].shape == "star"
    assert edits.reshape(changed, 0, TWO[0].objects[0].shape) == TWO[0]


def test_the_scene_itself_is_left_as_it_was():
    before = scenes.scene(0)
    edits.recolour(before, 0, "cyan"), edits.reshape(before, 0, "star")
    assert before == scenes.scene(0)


def test_exchanged_colours_stand_on_the_other_shapes():
    for scene in TWO:
        first, second = edits.swap_colours(scene).objects
        expected = [(scene.objects[0].shape, scene.objects[1].colour)]
        expected += [(scene.objects[1].shape, scene.objects[0].colour)]
        assert [(first.shape, first.colour), (second.shape, second.colour)] == expected


def test_exchanged_shapes_have_the_other_colours():
    for scene in TWO:
        first, second = edits.swap_shapes(scene).objects
        assert first.shape == scene.objects[1].shape
        assert second.shape == scene.objects[0].shape
        assert [first.colour, second.colour] == [thing.colour for thing in scene.objects]


@pytest.mark.parametrize("edit", [edits.swap_colours, edits.swap_shapes, edits.turn_relation])
def test_twice_changed_is_unchanged(edit):
    assert [edit(edit(scene)) for scene in TWO] == TWO


@pytest.mark.parametrize("edit", [edits.swap_colours, edits.swap_shapes])
def test_an_exchange_leaves_places_and_sizes_alone(edit):
    for scene in TWO:
        for before, after in zip(scene.objects, edit(scene).objects, strict=True):
            assert (before.x, before.y, before.radius) == (after.x, after.y, after.radius)


def test_a_turned_relation_moves_nothing():
    scene = TWO[0]
    turned = edits.turn_relation(scene)
    assert turned.relation == scenes.INVERSE[scene.relation]
    assert torch.equal(drawing.draw([turned], 32), drawing.draw([scene], 32))


@pytest.mark.parametrize("edit", [edits.swap_colours, edits.swap_shapes])
def test_a_caption_of_exchanged_things_has_the_same_words(edit):
    changed = 0
    for seed, scene in enumerate(TWO):
        right, wrong = (captions.describe(each, seed) for each in (scene, edit(scene)))
        plain = [each.replace(",", "").replace("an ", "a ").split() for each in (right, wrong)]
        assert sorted(plain[0]) == sorted(plain[1])
        changed += right != wrong
    assert changed > len(TWO) / 2


def test_a_turned_relation_is_said_as_its_opposite():
    for seed, scene in enumerate(TWO):
        right, wrong = (
            captions.read(captions.describe(each, seed))
            for each in (scene, edits.turn_relation(scene))
        )
        assert wrong.objects == right.objects
        if right.relation is not None:
            assert wrong.relation == scenes.INVERSE[right.relation]


@pytest.mark.parametrize("edit", [edits.swap_colours, edits.swap_shapes])
def test_one_object_cannot_exchange_anything(edit, refusal):
    with refusal("expected two objects, got 1"):
        edit(ONE)


def test_without_a_relation_there_is_none_to_turn(refusal):
    with refusal("expected one with a relation"):
        edits.turn_relation(ONE)


def test_sides_are_exchanged_word_by_word_and_back_again():
    said = "a small red ring to the left of a star, on a dark background"
    turned = "a small red ring to the right of a star, on a dark background"
    assert edits.exchange_sides(said) == turned
    assert edits.exchange_sides(turned) == said


@pytest.mark.parametrize("seed", range(2**31, 2**31 + 40))
def test_exchanging_sides_turns_relation_or_place_and_nothing_else(seed):
    claims = captions.read(captions.describe(scenes.scene(seed), seed))
    turned = captions.read(edits.exchange_sides(captions.describe(scenes.scene(seed), seed)))
    sideways = claims.relation in ("left of", "right of", "above", "below")
    expected = scenes.INVERSE[claims.relation] if sideways else claims.relation
    other = {"left": "right", "right": "left", "top": "bottom", "bottom": "top"}
    place = other.get(claims.place, claims.place)
    assert turned == dataclasses.replace(claims, relation=expected, place=place)
