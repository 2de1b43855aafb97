import math

import torch

from edudiff.exercises.samplers import brightness_kept, root_levels


def test_the_brightness_is_too_narrow_as_a_fine_walk_finds():
    """The flow of a Gaussian of variance s² keeps y / √(s² + σ²), from σ at the end down to 0."""
    left, n, width = torch.tensor(0.01, dtype=torch.float64), 100, 0.4
    spread = n * width**2
    sigmas = torch.linspace(((1 - left) / left).sqrt().item(), 0, 20001, dtype=torch.float64)
    y = 1 / left.sqrt()
    for sigma, step in zip(sigmas[:-1], sigmas.diff(), strict=True):
        y = y + step * sigma * y / (spread + sigma**2)
    expected = brightness_kept(left, n, width) * spread**0.5
    torch.testing.assert_close(y, expected, rtol=1e-3, atol=0)


def test_a_schedule_that_ends_in_noise_loses_no_brightness():
    assert brightness_kept(torch.tensor(0.0), 4096, 0.5) == 1


def test_the_levels_hold_both_ends_and_are_even_in_the_root():
    levels = root_levels(80.0, 0.002, 6, 7.0)
    assert math.isclose(levels[0], 80) and math.isclose(levels[-1], 0.002)
    steps = levels.pow(1 / 7).diff()
    torch.testing.assert_close(steps, steps[:1].expand(5))
    assert bool((levels.diff() < 0).all())
