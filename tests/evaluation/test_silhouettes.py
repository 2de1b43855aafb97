import pytest
import torch

from edudiff.data.drawing import PALETTE, draw
from edudiff.data.scenes import RICH_WORLD, SMALL_WORLD, Background, Object, Scene
from edudiff.data.shapes import OUTLINES
from edudiff.evaluation.silhouettes import best_fits, coverage, named, unit_box, worst_bulge

EVERYWHERE = torch.ones(64, 64)
PLACE = (0.43, 0.55, 0.27)


def area(shape, place=PLACE, size=64):
    return coverage(shape, torch.tensor([place]), size)[0]


def half_plane(edge):
    """Everything left of a line, in pixels; 64 pixels a side."""
    return (edge - torch.arange(64.0)).clamp(0, 1).expand(64, 64)


def hidden(left_of):
    weight = EVERYWHERE.clone()
    weight[:, :left_of] = 0
    return weight


def blurred(picture):
    kernel = torch.tensor([0.25, 0.5, 0.25])
    kernel = (kernel[:, None] * kernel)[None, None]
    padded = torch.nn.functional.pad(picture[None, None], (1, 1, 1, 1), mode="replicate")
    return torch.nn.functional.conv2d(padded, kernel)[0, 0]


# Coverage


@pytest.mark.parametrize("shape", OUTLINES)
def test_the_coverage_is_that_of_the_drawing(shape):
    ground = Background("dark", "plain", 0)
    picture = draw([Scene((Object(shape, "red", *PLACE),), None, ground)], 64)[0]
    red = (picture[0] + 1) / 2
    torch.testing.assert_close(area(shape), (red - 0.12) / (PALETTE["red"][0] - 0.12))


def test_a_softer_outline_is_as_large_and_wider():
    hard, soft = (coverage("square", torch.tensor([PLACE]), 64, soft=soft) for soft in (1.0, 4.0))
    torch.testing.assert_close(soft.sum(), hard.sum(), rtol=0.01, atol=0)  # the corners round off
    assert ((soft > 0) & (soft < 1)).sum() > 3 * ((hard > 0) & (hard < 1)).sum()


def test_the_box_of_a_square_is_the_square():
    expected = (-0.85, -0.85, 0.85, 0.85, 1.7**2)
    assert unit_box("square") == pytest.approx(expected, abs=0.02)


@pytest.mark.parametrize("shape", OUTLINES)
def test_the_area_of_a_box_is_that_of_the_coverage(shape):
    *_, share = unit_box(shape)
    assert float(area(shape, size=128).mean()) == pytest.approx(share * PLACE[2] ** 2, rel=0.01)


# The best fits


@pytest.mark.parametrize("shape", OUTLINES)
@pytest.mark.parametrize("place", [PLACE, (0.3, 0.7, 0.14), (0.5, 0.5, 0.42)])
def test_the_place_of_a_drawn_outline_is_found(shape, place):
    best, second = best_fits(area(shape, place), EVERYWHERE, RICH_WORLD.shapes)
    assert best.shape == shape
    assert best[1:4] == pytest.approx(place, abs=0.005)
    assert best.fit > 0.99 > second.fit


@pytest.mark.parametrize("shape", SMALL_WORLD.shapes)
def test_the_place_is_found_though_a_third_is_hidden(shape):
    best, _ = best_fits(area(shape), hidden(left_of=21), SMALL_WORLD.shapes)
    assert best.shape == shape
    assert best[1:4] == pytest.approx(PLACE, abs=0.01)


def test_what_is_hidden_has_no_say():
    alpha = area("cross")
    weight = hidden(left_of=21)
    other = alpha.clone()
    other[:, :21] = 1
    assert best_fits(alpha, weight, SMALL_WORLD.shapes) == best_fits(
        other, weight, SMALL_WORLD.shapes
    )


@pytest.mark.parametrize("size", [32, 64, 128])
def test_the_size_of_the_picture_does_not_matter(size):
    best, _ = best_fits(area("star", size=size), torch.ones(size, size), SMALL_WORLD.shapes)
    assert best[1:4] == pytest.approx(PLACE, abs=0.005)


def test_an_empty_area_fits_nothing():
    assert [fit.fit for fit in best_fits(0 * EVERYWHERE, EVERYWHERE, ("circle", "ring"))] == [0, 0]


def test_the_only_shape_is_the_only_fit():
    (only,) = best_fits(area("square"), EVERYWHERE, ("circle",))
    assert only.shape == "circle" and only.fit < 0.95


# The worst bulge


def test_a_silhouette_does_not_bulge_over_itself():
    assert worst_bulge(area("heart"), area("heart"), EVERYWHERE) == 0


@pytest.mark.parametrize("by", [-2.0, -0.3, 0.3, 1.0, 2.0])
def test_a_straight_outline_moved_by_some_pixels_bulges_by_as_many(by):
    bulge = worst_bulge(half_plane(30.0), half_plane(30.0 + by), EVERYWHERE)
    assert bulge == pytest.approx(abs(by), rel=1e-5)


def test_blur_bulges_by_what_it_takes_from_one_side():
    inside = EVERYWHERE.clone()
    inside[:, 55:] = inside[:, :5] = 0
    assert worst_bulge(half_plane(30.0), blurred(half_plane(30.0)), inside) == 0.25


def test_a_bulge_out_of_sight_does_not_count():
    weight = torch.zeros(64, 64)
    weight[:, 40:] = 1
    assert worst_bulge(half_plane(30.0), half_plane(33.0), weight) == 0


# What is named


def is_named(alpha, weight=EVERYWHERE, shapes=SMALL_WORLD.shapes):
    return named(best_fits(alpha, weight, shapes), alpha, weight)


@pytest.mark.parametrize("shape", SMALL_WORLD.shapes)
@pytest.mark.parametrize("change", [lambda alpha: alpha, blurred])
def test_a_silhouette_is_named_sharp_or_blurred(shape, change):
    assert is_named(change(area(shape)))


def test_a_silhouette_is_named_though_a_third_is_hidden():
    assert is_named(area("star"), hidden(left_of=21))


def test_a_silhouette_of_which_most_is_hidden_is_not_named():
    assert not is_named(area("circle"), hidden(left_of=31))


def test_a_silhouette_cut_by_the_border_is_not_named():
    assert not is_named(area("square", (0.2, 0.5, 0.25)))


def test_two_silhouettes_that_fit_alike_are_not_named():
    alpha = area("circle")
    best = best_fits(alpha, EVERYWHERE, SMALL_WORLD.shapes)[0]._replace(fit=0.98)
    assert named([best, best._replace(fit=0.94)], alpha, EVERYWHERE)
    assert not named([best, best._replace(fit=0.97)], alpha, EVERYWHERE)


def test_a_dent_is_forgiven_where_another_area_touches():
    alpha = area("square")
    dented = alpha * (1 - area("circle", (0.43, 0.32, 0.045)))
    fits = best_fits(dented, EVERYWHERE, SMALL_WORLD.shapes)
    assert not named(fits, dented, EVERYWHERE)
    assert named(fits, dented, EVERYWHERE, alone=False)


def test_a_silhouette_with_a_bite_out_of_it_is_not_named():
    alpha = area("circle", (0.5, 0.5, 0.4))
    bitten = alpha - area("circle", (0.85, 0.5, 0.06))
    assert best_fits(bitten, EVERYWHERE, SMALL_WORLD.shapes)[0].fit > 0.97
    assert is_named(alpha) and not is_named(bitten.clamp(min=0))


def test_an_area_that_is_transparent_is_not_named():
    assert not is_named(0.7 * area("circle"))
