"""Edges: Sobel's slopes, and which of them count."""

import dataclasses
import math

import numpy as np
import pytest
import torch
from scipy import ndimage

from edudiff.data import drawing, scenes
from edudiff.data.edges import THRESHOLD, edge_strength, edges


def step(upright=True):
    """Black on one side, white on the other."""
    picture = torch.full((1, 3, 16, 16), -1.0)
    picture[..., 8:] = 1
    return picture if upright else picture.transpose(2, 3)


@pytest.mark.parametrize("upright", [True, False])
def test_from_black_to_white_is_one_on_both_sides_and_nothing_elsewhere(upright):
    strength = edge_strength(step(upright))
    strength = strength if upright else strength.transpose(2, 3)
    assert torch.equal(strength[..., 7:9], torch.ones(1, 1, 16, 2))
    assert not strength[..., :7].any() and not strength[..., 9:].any()


def test_it_is_the_length_of_sobel_s_gradient():
    pictures = 2 * torch.rand(2, 3, 12, 20) - 1
    expected = torch.zeros(2, 1, 12, 20)
    for b, picture in enumerate(pictures.double().numpy()):
        slopes = [[ndimage.sobel(c, axis=a, mode="nearest") for c in picture] for a in (0, 1)]
        expected[b, 0] = torch.from_numpy(np.hypot(*np.array(slopes)).max(axis=0) / 8)
    torch.testing.assert_close(edge_strength(pictures), expected)


def test_twice_the_contrast_is_twice_the_strength_and_brightness_does_not_matter():
    pictures = 0.4 * torch.rand(1, 3, 12, 12)
    strength = edge_strength(pictures)
    torch.testing.assert_close(edge_strength(2 * pictures), 2 * strength)
    torch.testing.assert_close(edge_strength(pictures - 0.7), strength, atol=1e-6, rtol=0)


def test_an_edge_between_colours_equally_bright_is_one():
    picture = torch.zeros(1, 3, 8, 8)
    picture[:, 0, :, 4:] += 1
    picture[:, 1, :, 4:] -= 1
    assert edge_strength(picture).max() == 0.5


def test_nothing_can_be_steeper_than_a_corner():
    assert edge_strength(2 * torch.rand(8, 3, 64, 64).round() - 1).max() <= math.sqrt(2)


def test_the_border_of_the_picture_is_no_edge():
    assert edge_strength(torch.full((1, 3, 8, 8), 0.7)).max() < 1e-6


def test_edges_are_where_the_strength_is_above_the_threshold():
    pictures = 2 * torch.rand(2, 3, 12, 12) - 1
    for threshold in (0.0, 0.3, 0.7):
        expected = (edge_strength(pictures) > threshold).float()
        assert torch.equal(edges(pictures, threshold), expected)
    assert torch.equal(edges(pictures), edges(pictures, THRESHOLD))


@pytest.mark.parametrize("size", [64, 128])
def test_backgrounds_of_scenes_have_no_edges(size):
    drawn = scenes.scenes(range(60))
    far = [scenes.Object("circle", "red", 5.0, 5.0, 0.1)]
    bare = [dataclasses.replace(each, objects=tuple(far)) for each in drawn]
    assert not edges(drawing.draw(bare, size)).any()


def test_outlines_of_objects_are_edges():
    drawn = scenes.scenes(range(200))
    pictures, labels = drawing.draw(drawn, 64), drawing.label_maps(drawn, 64)
    found = edges(pictures)[:, 0] == 1
    outline = (labels[..., 1:] != labels[..., :-1]).nonzero(as_tuple=True)
    b, y, x = outline
    beside = found[b, y, x] | found[b, y, x + 1]
    assert beside.float().mean() > 0.99


def test_the_dtype_is_that_of_the_pictures():
    assert edges(step().double()).dtype == torch.float64


def test_what_is_no_picture_is_refused(refusal):
    with refusal("pictures: expected a floating-point tensor"):
        edges(torch.zeros(1, 3, 8, 8, dtype=torch.uint8))
    with refusal(r"pictures: expected shape \(b, c, h, w\), got \(8, 8\)"):
        edges(torch.zeros(8, 8))
    with refusal("threshold: expected a number ≥ 0, got -0.1"):
        edges(step(), -0.1)
