"""Sizes, pictures and masks that a pipeline can take."""

import math

import pytest
import torch

from edudiff.pipelines.canvas import check_pictures, check_sides, latents_to_paint


def square(left=8, top=4, size=12):
    mask = torch.zeros(1, 1, 16, 32)
    mask[:, :, top : top + size, left : left + size] = 1
    return mask


@pytest.mark.parametrize("side", ["height", "width"])
def test_a_side_that_cannot_be_halved_often_enough_is_refused_by_name(side, refusal):
    with refusal(f"{side}: expected a multiple of 8, as vae and unet need, got 12"):
        check_sides(8, **{"height": 16, "width": 24, side: 12})


@pytest.mark.parametrize(
    ("pictures", "message"),
    [
        (torch.zeros(3, 16, 16), r"pictures: expected shape \(b, 3, h, w\), got \(3, 16, 16\)"),
        (torch.zeros(1, 1, 16, 16), r"pictures: expected shape .*got \(1, 1, 16, 16\)"),
        (torch.zeros(1, 3, 16, 12), "width: expected a multiple of 8"),
        (torch.zeros(1, 3, 16, 16, dtype=torch.uint8), "pictures: expected a floating-point"),
        (torch.full((1, 3, 16, 16), 255.0), r"pictures: expected values in \[-1, 1\]"),
        (torch.full((1, 3, 16, 16), math.nan), r"pictures: expected values in \[-1, 1\]"),
    ],
)
def test_what_is_no_picture_is_refused(pictures, message, refusal):
    with refusal(message):
        check_pictures(pictures, 8)


def test_a_latent_is_painted_if_the_first_pixel_of_its_square_is():
    paint = latents_to_paint(square(left=8, top=4), torch.zeros(1, 3, 16, 32), 8)
    expected = torch.tensor([[0, 0, 0, 0], [0, 1, 1, 0]], dtype=torch.bool)
    assert torch.equal(paint[0, 0], expected)


def test_it_is_what_diffusers_interpolation_says():
    masks = (torch.rand(4, 1, 32, 48) < 0.5).float()
    theirs = torch.nn.functional.interpolate(masks, size=(8, 12))
    assert torch.equal(latents_to_paint(masks, torch.zeros(4, 3, 32, 48), 4).float(), theirs)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (torch.ones(1, 1, 16, 16), r"expected shape \(1, 1, 16, 32\), as pictures, got \(1, 1, 16"),
        (torch.ones(2, 1, 16, 32), r"expected shape \(1, 1, 16, 32\), as pictures, got \(2,"),
        (torch.ones(1, 3, 16, 32), r"expected shape \(1, 1, 16, 32\), as pictures, got \(1, 3"),
        (square() / 2, r"expected 0 \(keep\) and 1 \(paint\), got also 0.5"),
        (square() * math.nan, "got also nan"),
        (torch.ones(1, 1, 16, 32, dtype=torch.bool), "masks: expected a floating-point tensor"),
        (torch.zeros(1, 1, 16, 32), r"masks\[0\]: .*got nothing to paint"),
        (square(left=9, top=1, size=6), r"masks\[0\]: .*square of 8 × 8 pixels, got nothing"),
    ],
)
def test_a_mask_that_cannot_be_is_refused(masks, message, refusal):
    with refusal(message):
        latents_to_paint(masks, torch.zeros(1, 3, 16, 32), 8)


def test_the_mask_that_leaves_nothing_to_paint_is_named(refusal):
    masks = torch.cat([square(), torch.zeros(1, 1, 16, 32)])
    with refusal(r"masks\[1\]: .*got nothing to paint"):
        latents_to_paint(masks, torch.zeros(2, 3, 16, 32), 8)
