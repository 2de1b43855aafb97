import math

import pytest
import torch

from edudiff.data.drawing import PALETTE, draw
from edudiff.data.scenes import SMALL_WORLD, Background, Object, Scene, World, scene, scenes
from edudiff.data.shapes import OUTLINES
from edudiff.evaluation.sight import look

RED, CYAN = PALETTE["red"], PALETTE["cyan"]
DARK = Background("dark", "plain", 0)


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


@pytest.mark.parametrize("angle", range(0, 360, 45))
@pytest.mark.parametrize("tone", SMALL_WORLD.tones)
@pytest.mark.parametrize("pattern", SMALL_WORLD.patterns)
def test_every_background_is_told(tone, pattern, angle):
    star = Object("star", "green", 0.6, 0.4, 0.25)
    (sight,) = look(draw([Scene((star,), None, Background(tone, pattern, angle))], 64))
    assert (sight.tone, sight.pattern) == (tone, pattern)


@pytest.mark.parametrize("shape", SMALL_WORLD.shapes)
@pytest.mark.parametrize("colour", SMALL_WORLD.colours)
@pytest.mark.parametrize("tone", SMALL_WORLD.tones)
def test_every_shape_is_told_in_every_colour(shape, colour, tone):
    true = Object(shape, colour, 0.3, 0.6, 0.15)
    (sight,) = look(draw([Scene((true,), None, Background(tone, "plain", 0))], 64))
    assert [(thing.shape, thing.colour) for thing in sight.objects] == [(shape, colour)]


def test_place_and_radius_are_found_to_a_third_of_a_pixel():
    true = [s for s in scenes(range(30)) if len(s.objects) == 1]
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


@pytest.mark.parametrize("pair", [("circle", "star"), ("square", "cross")])
@pytest.mark.parametrize("radius", [0.28, 0.4])
def test_a_large_shape_half_way_that_fits_a_circle_is_not_named(pair, radius):
    """The circle fits the area well; only its outline gives it away."""
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
    colours = torch.randn(3, 3, cells, cells, generator=generator)
    pictures = torch.nn.functional.interpolate(colours, size=64, mode="bicubic").clamp(-1, 1)
    assert {thing.shape for sight in look(pictures) for thing in sight.objects} <= {None}


def test_no_shape_is_named_in_coloured_gradients(generator):
    ramp = torch.linspace(-1, 1, 64)
    share = torch.rand(3, 3, 1, 1, generator=generator)
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


# Determinism, types and refusals


def test_a_picture_is_seen_alike_alone_and_among_others():
    pictures = draw(scenes(range(3)), 64)
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
    (sight,) = look(draw([scene(3)], 64).half())
    true = [(thing.shape, thing.colour) for thing in scene(3).objects]
    assert [(thing.shape, thing.colour) for thing in sight.objects] == true


def test_a_world_may_have_one_shape_only():
    picture = paint((OUTLINES["circle"], 0.5, 0.5, 0.3, RED))
    (sight,) = look(picture[None], World(shapes=("circle",)))
    assert sight.objects[0].shape == "circle"


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
