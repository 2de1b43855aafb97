import io

import numpy as np
import pytest
import torch
from PIL import Image

from edudiff.data.captions import Claims, ObjectClaim, describe, read
from edudiff.data.drawing import draw
from edudiff.data.scenes import (
    RICH_WORLD,
    SMALL_WORLD,
    Background,
    Object,
    Scene,
    World,
    scenes,
)
from edudiff.evaluation.oracle import STATEMENTS, Verdict, agrees, judge, look, relations, score

DARK = Background("dark", "plain", 0)


def all_right(seeds, size=64, change=lambda pictures: pictures, world=SMALL_WORLD, split="all"):
    """The share of scenes seen entirely as they are."""
    true = scenes(seeds, world, split)
    sights = look(change(draw(true, size)), world)
    return sum(agrees(sight, one) for sight, one in zip(sights, true, strict=True)) / len(true)


def noisy(pictures):
    """25 dB: the peak is 2."""
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(1))
    return (pictures + noise * 2 / 10 ** (25 / 20)).clamp(-1, 1)


def blurred(pictures, sigma=0.7):
    kernel = torch.exp(-torch.arange(-3, 4.0).square() / (2 * sigma**2))
    kernel = (kernel[:, None] * kernel / kernel.sum() ** 2).expand(3, 1, 7, 7)
    padded = torch.nn.functional.pad(pictures, (3, 3, 3, 3), mode="replicate")
    return torch.nn.functional.conv2d(padded, kernel, groups=3)


def through_jpeg(pictures):
    def passed(picture):
        file = io.BytesIO()
        pixels = ((picture + 1) * 127.5).round().byte().permute(1, 2, 0).numpy()
        Image.fromarray(pixels).save(file, "JPEG", quality=60)
        return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 127.5 - 1

    return torch.stack([passed(picture) for picture in pictures])


# Pictures drawn by the package


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_clean_pictures_are_read_without_mistake(split):
    assert all_right(range(25), split=split) == 1


def test_pictures_of_128_pixels_are_read_as_well():
    assert all_right(range(200, 210), size=128) == 1


def test_most_pictures_of_32_pixels_are_read():
    assert all_right(range(300, 320), size=32) >= 0.9


def test_noise_of_25_decibels_does_no_harm():
    assert all_right(range(400, 425), change=noisy) >= 0.96


def test_a_mild_blur_does_no_harm():
    assert all_right(range(500, 525), change=blurred) >= 0.96


def test_most_jpeg_files_are_read():
    assert all_right(range(600, 620), change=through_jpeg) >= 0.65


def test_ten_silhouettes_are_told_apart():
    assert all_right(range(700, 720), world=RICH_WORLD) >= 0.95


# Relations


def placed(first, second):
    """Scenes' objects as seen: a circle before a square, at (x, y, radius) each."""
    things = (Object("circle", "red", *first), Object("square", "blue", *second))
    return look(draw([Scene(things, None, DARK)], 64))[0]


def both_ways(sight):
    one = next(k for k, thing in enumerate(sight.objects) if thing.shape == "circle")
    return relations(sight, one, 1 - one), relations(sight, 1 - one, one)


@pytest.mark.parametrize(
    ("first", "second", "there", "back"),
    [
        ((0.2, 0.5, 0.15), (0.7, 0.6, 0.2), {"left of"}, {"right of"}),
        ((0.8, 0.5, 0.15), (0.3, 0.4, 0.2), {"right of"}, {"left of"}),
        ((0.5, 0.2, 0.15), (0.6, 0.7, 0.2), {"above"}, {"below"}),
        ((0.5, 0.8, 0.15), (0.4, 0.3, 0.2), {"below"}, {"above"}),
        ((0.5, 0.5, 0.15), (0.5, 0.5, 0.4), {"inside", "in front of"}, {"around", "behind"}),
        ((0.7, 0.5, 0.15), (0.5, 0.5, 0.3), {"in front of"}, {"behind"}),
    ],
)
def test_a_relation_is_seen_from_both_sides(first, second, there, back):
    assert both_ways(placed(first, second)) == (there, back)


def test_a_big_object_before_a_small_one_is_seen_as_it_is():
    big, small = Object("circle", "red", 0.4, 0.5, 0.25), Object("square", "blue", 0.68, 0.5, 0.2)
    (sight,) = look(draw([Scene((big, small), None, DARK)], 64))
    assert [thing.shape for thing in sight.objects] == ["circle", "square"]
    assert relations(sight, 0, 1) == {"in front of"}


# Verdicts


def test_what_is_said_of_a_scene_is_judged_to_hold():
    true = scenes(range(25), split="all")
    verdicts = judge(draw(true, 64), [describe(one, seed) for seed, one in enumerate(true)])
    assert score(verdicts)["all"] >= 0.96


def verdict(picture, caption):
    return judge(picture[None], [caption])[0]


def drawn(*things):
    """A picture of objects on a dark ground, the nearest first: (shape, colour, x, y, radius)."""
    return draw([Scene(tuple(Object(*thing) for thing in things), None, DARK)], 64)[0]


LEFT_OF = drawn(("circle", "red", 0.25, 0.5, 0.15), ("square", "blue", 0.7, 0.5, 0.22))


def test_a_statement_that_is_not_made_is_not_judged():
    expected = dict.fromkeys(STATEMENTS) | {"count": True, "shape": True, "relation": True}
    assert verdict(LEFT_OF, "a circle left of a square") == expected


@pytest.mark.parametrize(
    ("caption", "wrong"),
    [
        ("a small red circle to the left of a big blue square, on a dark plain background", set()),
        ("a blue square and a red circle", set()),
        ("a red circle", {"count"}),
        ("a red circle left of a blue star", {"shape", "binding"}),
        ("a green circle left of a blue square", {"colour", "binding"}),
        ("a blue circle left of a red square", {"binding"}),
        ("a red circle right of a blue square", {"relation"}),
        ("a blue square left of a red circle", {"relation"}),
        ("a red circle above a blue square", {"relation"}),
        ("a red circle inside a blue square", {"relation"}),
        ("a big red circle left of a blue square", {"size"}),
        ("a small red circle left of a small blue square", {"size"}),
        ("a red circle and a red circle", {"shape", "colour", "binding"}),
        ("a red circle left of a blue square on a light background", {"background"}),
        ("a red circle left of a blue square on a dark striped background", {"background"}),
    ],
)
def test_just_the_wrong_statements_fail(caption, wrong):
    judged = verdict(LEFT_OF, caption)
    assert {statement for statement, holds in judged.items() if holds is False} == wrong
    assert judged.all == (not wrong)


def test_swapped_twins_are_told_apart_by_their_colours():
    twins = drawn(("circle", "red", 0.25, 0.5, 0.15), ("circle", "blue", 0.7, 0.5, 0.2))
    assert verdict(twins, "a red circle left of a blue circle").all
    assert not verdict(twins, "a blue circle left of a red circle").all


def test_three_objects_are_not_two():
    three = drawn(
        ("circle", "red", 0.2, 0.5, 0.15),
        ("square", "blue", 0.7, 0.7, 0.15),
        ("star", "cyan", 0.7, 0.25, 0.15),
    )
    judged = verdict(three, "a red circle to the left of a blue square")
    assert (judged["count"], judged["binding"], judged["relation"]) == (False, True, True)


@pytest.mark.parametrize(
    ("x", "y", "place"),
    [
        (0.25, 0.5, "left"),
        (0.75, 0.5, "right"),
        (0.5, 0.25, "top"),
        (0.5, 0.75, "bottom"),
        (0.5, 0.5, "middle"),
    ],
)
def test_an_object_is_at_one_place_only(x, y, place):
    picture = drawn(("circle", "red", x, y, 0.15))
    places = ["left", "right", "top", "bottom", "middle"]
    claims = [Claims((ObjectClaim("circle"),), place=where) for where in places]
    verdicts = judge(picture.expand(5, -1, -1, -1), claims)
    assert [one["place"] for one in verdicts] == [where == place for where in places]


def test_what_cannot_be_told_does_not_hold(generator):
    judged = verdict(
        torch.rand(3, 64, 64, generator=generator) * 2 - 1,
        "a red circle left of a blue square on a dark background",
    )
    assert set(judged.values()) == {False, None}


def test_claims_that_were_read_already_are_judged_alike():
    caption = "a red circle left of a blue square"
    assert judge(LEFT_OF[None], [read(caption)]) == judge(LEFT_OF[None], [caption])


def test_the_score_is_the_share_among_the_captions_that_say_it():
    nothing = dict.fromkeys(STATEMENTS)
    verdicts = [
        Verdict(nothing | {"count": True, "shape": True}),
        Verdict(nothing | {"count": True, "shape": False, "size": True}),
        Verdict(nothing | {"count": True, "shape": True, "size": False}),
        Verdict(nothing | {"count": False, "shape": True}),
    ]
    assert score(verdicts) == {"all": 0.25, "count": 0.75, "shape": 0.75, "size": 0.5}


@pytest.mark.parametrize(
    "change",
    [
        {"objects": (Object("circle", "red", 0.3, 0.5, 0.2),)},
        {"objects": (Object("square", "green", 0.3, 0.5, 0.2),)},
        {"objects": (Object("square", "red", 0.4, 0.5, 0.2),)},
        {"objects": (Object("square", "red", 0.3, 0.5, 0.25),)},
        {"objects": ()},
        {"background": Background("light", "plain", 0)},
        {"background": Background("dark", "striped", 0)},
    ],
)
def test_a_sight_agrees_with_no_other_scene(change):
    true = {"objects": (Object("square", "red", 0.3, 0.5, 0.2),), "background": DARK}
    (sight,) = look(draw([Scene(relation=None, **true)], 64))
    assert agrees(sight, Scene(relation=None, **true))
    assert not agrees(sight, Scene(relation=None, **(true | change)))


def test_a_sight_agrees_with_no_other_relation():
    true = next(one for one in scenes(range(99)) if one.relation == "above")
    (sight,) = look(draw([true], 64))
    assert agrees(sight, true)
    assert not agrees(sight, Scene(true.objects, "below", true.background))


# Refusals


@pytest.mark.parametrize("captions", ["a red circle", [], ["a red circle"] * 2])
def test_another_number_of_captions_is_refused(captions, refusal):
    with refusal("captions: expected a list of 1, one a picture, got"):
        judge(torch.zeros(1, 3, 64, 64), captions)


def test_a_caption_that_cannot_be_read_is_refused(refusal):
    with refusal("caption: expected words of this world, got 'dragon'"):
        judge(torch.zeros(1, 3, 64, 64), ["a dragon"])


def test_a_claim_of_a_shape_this_world_does_not_have_is_refused(refusal):
    with refusal("unknown shape: expected one of"):
        judge(torch.zeros(1, 3, 64, 64), ["a red heart"])


def test_a_claim_of_a_colour_this_world_does_not_have_is_refused(refusal):
    with refusal("unknown colour: expected one of"):
        judge(torch.zeros(1, 3, 64, 64), ["a red circle"], World(colours=("green", "blue")))


def test_a_score_of_nothing_is_refused(refusal):
    with refusal("verdicts: expected a whole number ≥ 1, got 0"):
        score([])
