import math

import pytest
import torch
import torch.nn.functional as F

from edudiff.diffusion.multiscale import (
    draw_noise,
    pooled_noise,
    pyramid,
    shifted,
    shifted_schedules,
)
from edudiff.diffusion.schedule import make_schedule

COSINE = make_schedule("cosine")


def test_a_pyramid_by_hand():
    levels = pyramid(torch.arange(16.0).reshape(1, 1, 4, 4), (4, 2, 1))
    assert levels[1].tolist() == [[[[2.5, 4.5], [10.5, 12.5]]]]
    assert levels[2].tolist() == [[[[7.5]]]]


def test_a_pyramid_keeps_the_mean():
    levels = pyramid(torch.randn(2, 3, 32, 16), (16, 4, 1))
    for level in levels[1:]:
        torch.testing.assert_close(level.mean(), levels[0].mean(), atol=1e-6, rtol=0)


def test_one_resolution_is_the_picture_itself():
    x0 = torch.randn(2, 3, 4, 4)
    assert pyramid(x0, (1,))[0] is x0


def test_sides_that_cannot_be_divided_are_refused(refusal):
    with refusal(r"x0: expected sides divisible by 4, got \(6, 8\)"):
        pyramid(torch.zeros(1, 3, 6, 8), (4, 1))


@pytest.mark.parametrize("ratios", [(), (2,), (4, 3, 1), (4, 4, 1), (2, 4, 1)])
def test_ratios_that_are_no_nesting_are_refused(ratios, refusal):
    with refusal("ratios: expected falling multiples of each other that end at 1"):
        pyramid(torch.zeros(1, 3, 16, 16), ratios)


def test_ratios_from_low_to_high_are_refused_with_a_hint(refusal):
    with refusal(r"got \(1, 4, 16\); is the list from low to high\?"):
        shifted_schedules(COSINE, (1, 4, 16))


@pytest.mark.parametrize("ratio", [0, -2])
def test_a_ratio_below_one_is_refused(ratio, refusal):
    with refusal(r"ratios\[0\]: expected a whole number ≥ 1"):
        pyramid(torch.zeros(1, 3, 16, 16), (ratio, 1))


@pytest.mark.parametrize("power", [0.5, 1.0, 2.0])
def test_the_signal_to_noise_ratio_is_divided_by_the_ratio_to_that_power(power):
    found = shifted(COSINE, 4, power).signal_to_noise_ratio()
    expected = COSINE.signal_to_noise_ratio() / 4**power
    torch.testing.assert_close(found, expected, atol=0, rtol=1e-9)


@pytest.mark.parametrize(("ratio", "power"), [(1, 2.0), (16, 0.0)])
def test_ratio_1_or_power_0_shifts_nothing(ratio, power):
    found = shifted(COSINE, ratio, power)
    torch.testing.assert_close(found.betas, COSINE.betas, atol=1e-12, rtol=0)


def test_of_several_resolutions_only_the_lowest_is_not_shifted():
    high, middle, low = (s.alphas_cumprod for s in shifted_schedules(COSINE, (16, 4, 1)))
    assert (high < middle).all() and (middle < low).all()
    torch.testing.assert_close(low, COSINE.alphas_cumprod)


@pytest.mark.parametrize(("power", "expected"), [(2, 1.0), (1, 0.25)])
def test_averaged_high_noise_has_the_low_ones_ratio_at_power_2_and_a_quarter_at_1(power, expected):
    """Per signal: variance of the averaged noise, beside that of the low resolution."""
    t, ratio = 400, 4
    high = shifted(COSINE, ratio, power).alphas_cumprod[t]
    low = COSINE.alphas_cumprod[t]
    eps = torch.randn(64, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    averaged = F.avg_pool2d((1 - high).sqrt() * eps, ratio) / high.sqrt()
    found = averaged.var() / ((1 - low) / low)
    assert found == pytest.approx(expected, rel=0.05)  # of 4,096 numbers: ± 2 %


def test_pooled_noise_has_variance_1_but_is_a_function_of_the_highest():
    eps = torch.randn(64, 1, 32, 32, generator=torch.Generator().manual_seed(1))
    levels = pooled_noise(eps, (4, 2, 1))
    assert [round(level.var().item(), 1) for level in levels] == [1, 1, 1]
    together = torch.stack([levels[2].flatten(), F.avg_pool2d(eps, 4).flatten()])
    assert together.corrcoef()[0, 1] == pytest.approx(1)


def test_drawn_noise_is_independent_between_resolutions(generator):
    high, low = draw_noise(16, [(1, 32, 32), (1, 16, 16)], generator)
    together = torch.stack([low.flatten(), F.avg_pool2d(high, 2).flatten()])
    assert abs(together.corrcoef()[0, 1]) < 4 / math.sqrt(low.numel())
    assert high.var() == pytest.approx(1, abs=0.05)


def test_a_pictures_noise_does_not_depend_on_how_many_come_after_it():
    shapes = [(3, 4, 4), (3, 2, 2)]
    one, three = (draw_noise(n, shapes, torch.Generator().manual_seed(3)) for n in (1, 3))
    assert all(torch.equal(a, b[:1]) for a, b in zip(one, three, strict=True))


@pytest.mark.parametrize("power", [-1.0, float("nan")])
def test_a_negative_power_is_refused(power, refusal):
    with refusal("power: expected a number ≥ 0"):
        shifted(COSINE, 2, power)


def test_a_ratio_of_a_shift_below_one_is_refused(refusal):
    with refusal("ratio: expected a whole number ≥ 1, got 0"):
        shifted(COSINE, 0)
