import math

import pytest
import torch

from edudiff.diffusion.logit_normal import logit_normal_times


def test_esser_eq19_the_density_is_that_of_the_paper():
    mean, std = 0.3, 0.8
    u = torch.linspace(0.02, 0.98, 97, dtype=torch.float64)
    s = logit_normal_times(u, mean, std)
    middle, step = (s[1:] + s[:-1]) / 2, s[1:] - s[:-1]
    logit = (middle / (1 - middle)).log()
    density = (-((logit - mean) ** 2) / (2 * std**2)).exp()
    density /= std * math.sqrt(2 * math.pi) * middle * (1 - middle)
    # A hundredth of all times falls between two neighbours; density · width, to second order.
    torch.testing.assert_close(density * step, torch.full((96,), 0.01).double(), rtol=5e-3, atol=0)


def test_the_middle_is_the_middle_and_the_ends_are_the_ends():
    found = logit_normal_times(torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))
    torch.testing.assert_close(found, torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64))


def test_a_higher_mean_gives_more_noise():
    u = torch.linspace(0.1, 0.9, 9)
    assert (logit_normal_times(u, mean=1.0) > logit_normal_times(u)).all()


def test_two_thirds_of_the_times_have_a_logit_within_one():
    s = logit_normal_times(torch.rand(20_000, generator=torch.Generator().manual_seed(0)))
    within = ((s / (1 - s)).log().abs() < 1).float().mean()
    assert within.item() == pytest.approx(0.6827, abs=0.01)


@pytest.mark.parametrize("u", [-0.1, 1.1, float("nan")])
def test_numbers_outside_zero_and_one_are_refused(u, refusal):
    with refusal(r"uniform: expected values in \[0, 1\]"):
        logit_normal_times(torch.tensor([u]))


def test_a_standard_deviation_that_is_not_above_zero_is_refused(refusal):
    with refusal("std: expected a number above 0, got 0"):
        logit_normal_times(torch.tensor([0.5]), std=0.0)
