import itertools

import numpy as np
import pytest
import torch

from edudiff.data.drawing import GREYS, PALETTE
from edudiff.data.scenes import SMALL_WORLD
from edudiff.evaluation.patches import find_patches
from edudiff.evaluation.silhouettes import coverage

PLACES = {"left": (0.27, 0.5, 0.2), "right": (0.73, 0.5, 0.24)}


def covered(shape, place, size=64):
    return coverage(shape, torch.tensor([place]), size)[0].numpy()


def painted(*things, grey=0.12, size=64):
    """A picture of (share of each pixel, paint), the farthest first."""
    picture = np.full((3, size, size), grey, "f4")
    for alpha, paint in things:
        picture += alpha * (np.array(paint, "f4")[:, None, None] - picture)
    return picture


def patches_of(picture, grey=0.12):
    ground = np.full(picture.shape[1:], grey, "f4")
    return find_patches(picture, picture, ground, SMALL_WORLD)


@pytest.mark.parametrize("colour", PALETTE)
@pytest.mark.parametrize("grey", sorted(set(itertools.chain(*GREYS.values()))))
def test_the_share_of_each_pixel_is_found_again(colour, grey):
    """Where a colour comes near to the grey, the contrast is too small for the rim's last bit."""
    disc = covered("circle", PLACES["left"])
    (patch,) = patches_of(painted((disc, PALETTE[colour]), grey=grey), grey)
    np.testing.assert_allclose(patch.alpha, disc, atol=0.02)
    np.testing.assert_allclose(patch.paint, PALETTE[colour], atol=1e-6)


def test_the_share_is_found_again_where_two_colours_blend():
    outer, inner = covered("circle", (0.5, 0.5, 0.4)), covered("circle", (0.5, 0.5, 0.2))
    near, _ = patches_of(painted((outer, PALETTE["red"]), (inner, PALETTE["cyan"])))
    sure = (inner == 0) | (inner >= 0.2)  # a pixel nearer to the other colour than that is its own
    np.testing.assert_allclose(near.alpha[sure], inner[sure], atol=0.02)


def test_patches_come_the_smallest_first():
    things = (
        (covered("square", PLACES[k]), PALETTE[c]) for k, c in (("right", "red"), ("left", "blue"))
    )
    sizes = [patch.mask.sum() for patch in patches_of(painted(*things))]
    assert len(sizes) == 2 and sizes == sorted(sizes)


def test_two_areas_of_one_colour_are_two_patches():
    things = ((covered("square", place), PALETTE["red"]) for place in PLACES.values())
    assert len(patches_of(painted(*things))) == 2


def test_an_empty_picture_has_no_patches():
    assert patches_of(painted()) == []


def test_a_paint_that_is_none_of_the_palette_makes_a_patch():
    disc = covered("circle", PLACES["left"])
    (patch,) = patches_of(painted((disc, (0.5, 0.3, 0.31))))
    np.testing.assert_allclose(patch.paint, (0.5, 0.3, 0.31), atol=1e-6)


@pytest.mark.parametrize("width", [1, 2])
def test_a_thin_line_is_no_patch(width):
    line = np.zeros((64, 64), "f4")
    line[:, 30 : 30 + width] = 1
    assert patches_of(painted((line, PALETTE["red"]))) == []


@pytest.mark.parametrize(("side", "number"), [(5, 0), (6, 1)])
def test_an_area_counts_from_eight_thousandths_of_the_picture(side, number):
    speck = np.zeros((64, 64), "f4")
    speck[20 : 20 + side, 20 : 20 + side] = 1
    assert len(patches_of(painted((speck, PALETTE["red"])))) == number


@pytest.mark.parametrize("pair", [("red", "light"), ("blue", "yellow"), ("purple", "green")])
def test_the_soft_rim_between_two_colours_is_no_patch(pair):
    inner, outer = (PALETTE.get(name, (0.92, 0.92, 0.92)) for name in pair)
    distance = np.hypot(*(np.mgrid[:64, :64] - 31.5))
    soft = ((22 - distance) / 5 + 0.5).clip(0, 1).astype("f4")
    ground = np.ones((64, 64), "f4")
    picture = painted((ground * (distance < 30), outer), (soft, inner), grey=0.12)
    assert len(patches_of(picture)) == 2


def test_neighbours_touch_and_others_do_not():
    ring, disc = covered("circle", (0.4, 0.5, 0.3)), covered("circle", (0.5, 0.5, 0.12))
    far = covered("square", (0.87, 0.13, 0.1))
    things = ((ring, "blue"), (disc, "yellow"), (far, "red"))
    patches = patches_of(painted(*((alpha, PALETTE[name]) for alpha, name in things)))
    blue, yellow, red = (
        next(p for p in patches if np.allclose(p.paint, PALETTE[name], atol=1e-3))
        for name in ("blue", "yellow", "red")
    )
    assert blue.touches(yellow) and yellow.touches(blue)
    assert not blue.touches(red) and not red.touches(yellow)


def test_a_pixel_in_the_patch_is_no_way_from_it():
    (patch,) = patches_of(painted((covered("ring", PLACES["right"]), PALETTE["green"])))
    assert ((patch.away == 0) == patch.mask).all()
