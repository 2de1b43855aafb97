"""The exercises of the chapter on samplers."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake
from edudiff.exercises.forgetting import FORGETFUL
from edudiff.exercises.renewing import RENEWED

# 1. One step: not checked

# 2. Forget: FORGETFUL

# 3. A little noise: RENEWED

# 4. How much brightness is lost?


def brightness_kept(alpha_bar: Tensor, n: int, width: float) -> Tensor:
    """By which factor drawn brightness is too narrow if the schedule ends at ᾱ."""
    return (alpha_bar * n * width**2 + 1 - alpha_bar).rsqrt()


def _brightness_cases(generator: Generator) -> list[Case]:
    draw = torch.rand(5, generator=generator, dtype=torch.float64)
    left = 0.002 + 0.01 * draw
    return [
        Case("the pictures are large", {"alpha_bar": left, "n": 4096, "width": 0.5}),
        Case("the pictures are small", {"alpha_bar": 0.1 + left, "n": 64, "width": 0.7}),
        Case("ᾱ = 0", {"alpha_bar": 0 * left, "n": 4096, "width": 0.3}),
    ]


def _one_over_root(variance: Callable[[Tensor, int, float], Tensor]) -> Answer:
    return lambda alpha_bar, n, width: variance(alpha_bar, n, width).rsqrt()


BRIGHTNESS = Exercise(
    name="samplers.4",
    title="How much brightness is lost?",
    make_cases=_brightness_cases,
    reference=brightness_kept,
    mistakes=(
        Mistake(
            "A square root is missing: you compare variances, and a width is a standard deviation.",
            lambda alpha_bar, n, width: 1 / (alpha_bar * n * width**2 + 1 - alpha_bar),
        ),
        Mistake(
            "Your factor says how much too *wide* the brightness would be. Which of the two "
            "widths does the sampler begin with?",
            lambda alpha_bar, n, width: (alpha_bar * n * width**2 + 1 - alpha_bar).sqrt(),
        ),
        Mistake(
            "Your factor does not know how large the pictures are. How much does the mean of n "
            "pixels vary in the direction that has length 1?",
            _one_over_root(lambda alpha_bar, n, width: alpha_bar * width**2 + 1 - alpha_bar),
        ),
        Mistake(
            "You take the width for a variance.",
            _one_over_root(lambda alpha_bar, n, width: alpha_bar * n * width + 1 - alpha_bar),
        ),
        Mistake(
            "The signal keeps its whole variance in your formula. What has the schedule done to "
            "it by its last timestep?",
            _one_over_root(lambda alpha_bar, n, width: n * width**2 + 1 - alpha_bar),
            "the pictures are large",
        ),
        Mistake(
            "Your right width has the signal only. At ᾱ = 0 nothing would be left, but there is "
            "noise.",
            _one_over_root(lambda alpha_bar, n, width: alpha_bar * n * width**2),
        ),
    ),
)

# 5. Better stops for Heun


def root_levels(first: float, last: float, n: int, rho: float) -> Tensor:
    """n noise levels from `first` down to `last`, both included, even in σ^(1/ρ)."""
    return _even(first ** (1 / rho), last ** (1 / rho), n) ** rho


def _even(first: float, last: float, n: int) -> Tensor:
    return torch.linspace(first, last, n, dtype=torch.float64)


def _level_cases(generator: Generator) -> list[Case]:
    first, last = (10 + 70 * torch.rand(2, generator=generator)).tolist()
    last = last / 8000
    return [
        Case(f"ρ = {rho:g}", {"first": first, "last": last, "n": n, "rho": rho})
        for rho, n in ((7.0, 9), (3.0, 5), (1.0, 6))
    ]


ROOT_LEVELS = Exercise(
    name="samplers.5",
    title="Better stops for Heun",
    make_cases=_level_cases,
    reference=root_levels,
    mistakes=(
        Mistake(
            "Your levels rise. A sampler begins where the noise is.",
            lambda first, last, n, rho: root_levels(last, first, n, rho),
        ),
        Mistake(
            "Your levels are even in σ itself: nothing depends on ρ.",
            lambda first, last, n, rho: _even(first, last, n),
        ),
        Mistake(
            "You return the roots, not yet the noise levels.",
            lambda first, last, n, rho: _even(first ** (1 / rho), last ** (1 / rho), n),
        ),
        Mistake(
            "Your levels are even in a power of σ, so that steps are small where σ is large. The "
            "exponent is upside down.",
            lambda first, last, n, rho: root_levels(first, last, n, 1 / rho),
        ),
        Mistake(
            "Your list stops one level short of the last. Both ends count.",
            lambda first, last, n, rho: root_levels(first, last, n + 1, rho)[:-1],
        ),
        Mistake(
            "Your levels are even in log σ, which is what they come close to for a large ρ only.",
            lambda first, last, n, rho: _even(
                torch.tensor(first).log().item(), torch.tensor(last).log().item(), n
            ).exp(),
        ),
    ),
)

EXERCISES = (FORGETFUL, RENEWED, BRIGHTNESS, ROOT_LEVELS)
