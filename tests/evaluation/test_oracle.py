import io
import itertools
import math

import numpy as np
import pytest
import torch
from PIL import Image

from edudiff.data.captions import Claims, ObjectClaim, describe, read
from edudiff.data.drawing import PALETTE, draw
from edudiff.data.scenes import (
    RICH_WORLD,
    SMALL_WORLD,
    Background,
    Object,
    Scene,
    World,
    scene,
    scenes,
)
from edudiff.data.shapes import OUTLINES
from edudiff.evaluation.oracle import STATEMENTS, Verdict, agrees, judge, look, relations, score

RED, BLUE, CYAN = (PALETTE[name] for name in ("red", "blue", "cyan"))
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


def paint(*things, size=64, grey=0.12):
    """A picture of any silhouettes, the farthest first: (distance, x, y, radius, colour)."""
    centres = (torch.arange(size) + 0.5) / size
    picture = torch.full((3, size, size), grey)
    for distance, x, y, radius, colour in things:
        xs = ((centres[None] - x) / radius).expand(size, size)
        ys = ((centres[:, None] - y) / radius).expand(size, size)
        covered = (0.5 - distance(xs, ys) * radius * size).clamp(0, 1)
        picture = torch.lerp(picture, torch.tensor(colour)[:, None, None], covered)
    return picture * 2 - 1


def seen(picture):
    return look(picture[None])[0].objects


def shapes_of(picture):
    return [thing.shape for thing in seen(picture)]


def turned(shape, degrees):
    cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return lambda x, y: OUTLINES[shape](cosine * x - sine * y, sine * x + cosine * y)


def stretched(shape, by):
    return lambda x, y: OUTLINES[shape](x / by**0.5, y * by**0.5)


def halfway(one, other):
    return lambda x, y: (OUTLINES[one](x, y) + OUTLINES[other](x, y)) / 2


# Pictures drawn by the package


@pytest.mark.parametrize("split", ["train", "held_out"])
def test_clean_pictures_are_read_without_mistake(split):
    assert all_right(range(40), split=split) == 1


def test_pictures_of_128_pixels_are_read_as_well():
    assert all_right(range(200, 210), size=128) == 1


def test_most_pictures_of_32_pixels_are_read():
    assert all_right(range(300, 330), size=32) >= 0.9


def test_noise_of_25_decibels_does_no_harm():
    assert all_right(range(400, 430), change=noisy) >= 0.96


def test_a_mild_blur_does_no_harm():
    assert all_right(range(500, 530), change=blurred) >= 0.96


def test_most_jpeg_files_are_read():
    assert all_right(range(600, 630), change=through_jpeg) >= 0.8


def test_ten_silhouettes_are_told_apart():
    assert all_right(range(700, 720), world=RICH_WORLD) >= 0.95


@pytest.mark.parametrize(
    "background", list(itertools.product(("dark", "light"), range(0, 360, 45)))
)
@pytest.mark.parametrize("pattern", ["plain", "gradient", "striped"])
def test_every_background_is_told(background, pattern):
    tone, angle = background
    true = Scene((Object("star", "green", 0.6, 0.4, 0.25),), None, Background(tone, pattern, angle))
    assert agrees(look(draw([true], 64))[0], true)


@pytest.mark.parametrize("shape", SMALL_WORLD.shapes)
@pytest.mark.parametrize("colour", SMALL_WORLD.colours)
def test_every_shape_is_told_in_every_colour(shape, colour):
    true = Scene((Object(shape, colour, 0.3, 0.6, 0.15),), None, DARK)
    assert agrees(look(draw([true], 64))[0], true)


def test_place_and_radius_are_found_to_a_third_of_a_pixel():
    true = [s for s in scenes(range(40)) if len(s.objects) == 1]
    found = [sight.objects[0] for sight in look(draw(true, 64))]
    for one, other in zip(found, (s.objects[0] for s in true), strict=True):
        gaps = (one.x - other.x, one.y - other.y, one.radius - other.radius)
        assert max(map(abs, gaps)) < 1 / 3 / 64


# Pictures made to deceive


@pytest.mark.parametrize(
    "pair",
    [
        ("circle", "square"),
        ("circle", "triangle"),
        ("circle", "cross"),
        ("square", "triangle"),
        ("square", "star"),
        ("square", "ring"),
        ("triangle", "star"),
        ("triangle", "cross"),
        ("star", "cross"),
        ("star", "ring"),
        ("cross", "ring"),
    ],
)
@pytest.mark.parametrize("radius", [0.15, 0.28])
def test_a_shape_half_way_between_two_is_not_named(pair, radius):
    assert shapes_of(paint((halfway(*pair), 0.5, 0.5, radius, RED))) == [None]


@pytest.mark.parametrize("shape", SMALL_WORLD.shapes)
def test_an_outline_alone_is_not_named(shape):
    outline = paint((lambda x, y: OUTLINES[shape](x, y).abs() - 0.1, 0.5, 0.5, 0.3, RED))
    assert set(shapes_of(outline)) == {None}


@pytest.mark.parametrize("shape", SMALL_WORLD.shapes)
@pytest.mark.parametrize("by", [1.4, 1 / 1.4])
def test_a_stretched_shape_is_not_named(shape, by):
    assert shapes_of(paint((stretched(shape, by), 0.5, 0.5, 0.28, RED))) == [None]


@pytest.mark.parametrize("turn", [("square", 45), ("triangle", 45), ("cross", 45), ("star", 36)])
def test_a_turned_shape_is_not_named(turn):
    assert shapes_of(paint((turned(*turn), 0.5, 0.5, 0.25, RED))) == [None]


@pytest.mark.parametrize("shape", SMALL_WORLD.shapes)
def test_a_shape_cut_by_the_border_is_not_named(shape):
    assert shapes_of(paint((OUTLINES[shape], 0.14, 0.5, 0.28, RED))) == [None]


def test_two_overlapping_shapes_of_one_colour_are_not_named():
    circle, square = OUTLINES["circle"], OUTLINES["square"]
    assert set(shapes_of(paint((circle, 0.4, 0.5, 0.2, RED), (square, 0.6, 0.5, 0.2, RED)))) == {
        None
    }


@pytest.mark.parametrize("colour", [(0.5, 0.3, 0.31), (0.5, 0.5, 0.5), (0.975, 0.71, 0.115)])
def test_a_colour_that_is_none_of_the_palette_is_not_named(colour):
    (thing,) = seen(paint((OUTLINES["circle"], 0.5, 0.5, 0.3, colour)))
    assert (thing.shape, thing.colour) == ("circle", None)


@pytest.mark.parametrize("side", [8, 10])
def test_a_patch_of_a_hundredth_and_a_half_of_the_picture_counts(side):
    picture = paint((OUTLINES["circle"], 0.35, 0.6, 0.2, RED))
    picture[:, 5 : 5 + side, 50 : 50 + side] = torch.tensor(CYAN)[:, None, None] * 2 - 1
    assert len(seen(picture)) == 2


@pytest.mark.parametrize("side", [1, 2, 3, 4])
def test_a_few_stray_pixels_do_not_count(side):
    picture = paint((OUTLINES["circle"], 0.35, 0.6, 0.2, RED))
    picture[:, 5 : 5 + side, 50 : 50 + side] = torch.tensor(CYAN)[:, None, None] * 2 - 1
    assert shapes_of(picture) == ["circle"]


@pytest.mark.parametrize("cells", [4, 6, 10, 64])
def test_no_shape_is_named_in_random_colours(cells, generator):
    colours = torch.randn(6, 3, cells, cells, generator=generator)
    pictures = torch.nn.functional.interpolate(colours, size=64, mode="bicubic").clamp(-1, 1)
    assert {thing.shape for sight in look(pictures) for thing in sight.objects} <= {None}


def test_no_shape_is_named_in_coloured_gradients(generator):
    ramp = torch.linspace(-1, 1, 64)
    share = torch.rand(6, 3, 1, 1, generator=generator)
    pictures = share * ramp + (1 - share) * ramp[:, None]
    assert {thing.shape for sight in look(pictures) for thing in sight.objects} <= {None}


def test_a_background_of_this_world_is_not_seen_in_noise(generator):
    (sight,) = look(torch.rand(1, 3, 64, 64, generator=generator) * 2 - 1)
    assert (sight.tone, sight.pattern) == (None, None)


def test_a_middle_grey_is_no_background_of_this_world():
    (sight,) = look(paint((OUTLINES["circle"], 0.5, 0.5, 0.3, RED), grey=0.5)[None])
    assert (sight.tone, sight.objects[0].shape) == (None, "circle")


def test_an_empty_scene_has_no_objects():
    assert look(draw([Scene((), None, DARK)], 64))[0].objects == ()


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
    true = scenes(range(30), split="all")
    verdicts = judge(draw(true, 64), [describe(one, seed) for seed, one in enumerate(true)])
    assert score(verdicts)["all"] >= 0.96


def verdict(picture, caption):
    return judge(picture[None], [caption])[0]


LEFT_OF = paint(
    (OUTLINES["circle"], 0.25, 0.5, 0.15, RED), (OUTLINES["square"], 0.7, 0.5, 0.22, BLUE)
)


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
    twins = paint(
        (OUTLINES["circle"], 0.25, 0.5, 0.15, RED), (OUTLINES["circle"], 0.7, 0.5, 0.2, BLUE)
    )
    assert verdict(twins, "a red circle left of a blue circle").all
    assert not verdict(twins, "a blue circle left of a red circle").all


def test_three_objects_are_not_two():
    three = paint(
        (OUTLINES["circle"], 0.2, 0.5, 0.15, RED),
        (OUTLINES["square"], 0.7, 0.7, 0.15, BLUE),
        (OUTLINES["star"], 0.7, 0.25, 0.15, CYAN),
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
    picture = paint((OUTLINES["circle"], x, y, 0.15, RED))
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


# Determinism and refusals


def test_a_picture_is_seen_alike_alone_and_among_others():
    pictures = draw(scenes(range(5)), 64)
    assert look(pictures) == [look(picture[None])[0] for picture in pictures]


def test_looking_twice_gives_the_same_and_leaves_the_picture_alone():
    pictures = draw([scene(3)], 64)
    before = pictures.clone()
    assert look(pictures) == look(pictures)
    assert torch.equal(pictures, before)


def test_values_a_little_out_of_range_are_clamped():
    pictures = draw(scenes(range(3)), 64)
    assert look(1.9 * pictures) == look((1.9 * pictures).clamp(-1, 1))


def test_half_precision_is_read_as_well():
    true = scene(3)
    assert agrees(look(draw([true], 64).half())[0], true)


def test_a_world_may_have_one_shape_only():
    true = Scene((Object("circle", "red", 0.5, 0.5, 0.3),), None, DARK)
    assert agrees(look(draw([true], 64), World(shapes=("circle",)))[0], true)


@pytest.mark.parametrize("shape", [(3, 64, 64), (1, 1, 64, 64), (1, 3, 64, 48)])
def test_a_batch_of_another_shape_is_refused(shape, refusal):
    with refusal(r"pictures: expected shape \(b, 3, size, size\), got"):
        look(torch.zeros(shape))


@pytest.mark.parametrize("size", [16, 257])
def test_a_picture_too_small_or_too_large_is_refused(size, refusal):
    with refusal("pictures: expected 32 to 256 pixels a side, got"):
        look(torch.zeros(1, 3, size, size))


def test_pictures_of_bytes_are_refused(refusal):
    with refusal("pictures: expected a floating-point tensor"):
        look(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))


@pytest.mark.parametrize("value", [math.nan, math.inf, 2.1, -2.1])
def test_values_far_out_of_range_are_refused(value, refusal):
    with refusal(r"pictures: expected values in \[-2, 2\]"):
        look(torch.full((1, 3, 64, 64), value))


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
