"""The exercises of the chapter on forward diffusion."""

from collections.abc import Callable, Sequence

import torch
from torch import Generator, Tensor

from edudiff.exercises.draws import draw_table
from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake
from edudiff.exercises.judge import numbers
from edudiff.exercises.noising import NOISY
from edudiff.exercises.plain import Plain

# 1. From a file to noise: NOISY

# 2. Is adding without shrinking wrong?


def sigma(alpha_bar_t: Tensor) -> Tensor:
    """The σ of x_0 + σ ε that shrinks to the jump with this ᾱ."""
    return ((1 - alpha_bar_t) / alpha_bar_t).sqrt()


def _sigma_cases(generator: Generator) -> list[Case]:
    draw = torch.rand(6, generator=generator, dtype=torch.float64)
    return [
        Case("ᾱ is somewhere in the middle", {"alpha_bar_t": 0.1 + 0.8 * draw}),
        Case("ᾱ is nearly 0", {"alpha_bar_t": 0.001 + 0.01 * draw}),
        Case("ᾱ = 1", {"alpha_bar_t": torch.ones(1, dtype=torch.float64)}),
    ]


SIGMA = Exercise(
    name="forward-diffusion.2",
    title="Is adding without shrinking wrong?",
    make_cases=_sigma_cases,
    reference=sigma,
    mistakes=(
        Mistake(
            "You have the variance σ²; σ itself was asked for.",
            lambda alpha_bar_t: (1 - alpha_bar_t) / alpha_bar_t,
        ),
        Mistake(
            "You have the factor of the noise after shrinking. What was it before all was divided?",
            lambda alpha_bar_t: (1 - alpha_bar_t).sqrt(),
        ),
        Mistake(
            "Your σ falls as the noise grows: numerator and denominator are exchanged.",
            lambda alpha_bar_t: (alpha_bar_t / (1 - alpha_bar_t)).sqrt(),
        ),
        Mistake(
            "You have the number by which everything is divided, not σ. At ᾱ = 1 there should be "
            "no noise at all.",
            lambda alpha_bar_t: alpha_bar_t.rsqrt(),
        ),
    ),
)

# 3. The walk is not the jump


def correlation(alphas_cumprod: Tensor, s: int, t: int) -> Tensor:
    """How strongly x_s and x_t are correlated in a walk from one point, s < t."""
    early, late = alphas_cumprod[s], alphas_cumprod[t]
    return (late / early * (1 - early) / (1 - late)).sqrt()


def _correlation_cases(generator: Generator) -> list[Case]:
    pairs = {"the two are neighbours": (7, 8), "the two are far apart": (2, 39), "s = 0": (0, 11)}
    return [
        Case(about, {"alphas_cumprod": draw_table(generator), "s": s, "t": t})
        for about, (s, t) in pairs.items()
    ]


def _covariance(a: Tensor, s: int, t: int) -> Tensor:
    return (a[t] / a[s]).sqrt() * (1 - a[s])


def _too_much(cases: Sequence[Case], answers: Sequence[Plain]) -> bool:
    found = [numbers(answer) for answer in answers]
    return any(each is not None and bool((each.abs() > 1.001).any()) for each in found)


CORRELATION = Exercise(
    name="forward-diffusion.3",
    title="The walk is not the jump",
    make_cases=_correlation_cases,
    reference=correlation,
    mistakes=(
        Mistake(
            "You get 1 always. That is so for two jumps with the same ε; a walk adds new noise "
            "between s and t.",
            lambda alphas_cumprod, s, t: 1.0,
        ),
        Mistake(
            "No correlation is above 1. By which standard deviations do you divide?",
            lambda alphas_cumprod, s, t: 1 / correlation(alphas_cumprod, s, t),
            seen=_too_much,
        ),
        Mistake(
            "You have the covariance. It still has to be divided by both standard deviations.",
            _covariance,
        ),
        Mistake(
            "You divide the covariance by the variance of x_t alone; a correlation has one "
            "standard deviation of each.",
            lambda alphas_cumprod, s, t: (
                _covariance(alphas_cumprod, s, t) / (1 - alphas_cumprod[t])
            ),
        ),
        Mistake(
            "You have the factor by which x_s has shrunk on the way to t. How much x_s varied "
            "matters too.",
            lambda alphas_cumprod, s, t: (alphas_cumprod[t] / alphas_cumprod[s]).sqrt(),
        ),
        Mistake(
            "You have the square of the correlation.",
            lambda alphas_cumprod, s, t: correlation(alphas_cumprod, s, t) ** 2,
        ),
    ),
)

# 4. Zero terminal SNR


def end_in_noise(alphas_cumprod: Tensor) -> Tensor:
    """The table with √ᾱ stretched so that it ends at 0 and begins where it did."""
    root = alphas_cumprod.sqrt()
    return ((root - root[-1]) * root[0] / (root[0] - root[-1])).square()


def _stretched(table: Tensor, first: Tensor) -> Tensor:
    return (table - table[-1]) * first / (table[0] - table[-1])


END_IN_NOISE = Exercise(
    name="forward-diffusion.4",
    title="Zero terminal SNR",
    make_cases=lambda generator: [
        Case(f"the table has {steps} entries", {"alphas_cumprod": draw_table(generator, steps)})
        for steps in (10, 25)
    ],
    reference=end_in_noise,
    mistakes=(
        Mistake(
            "You stretch ᾱ itself. Its square root was to be stretched evenly.",
            lambda alphas_cumprod: _stretched(alphas_cumprod, alphas_cumprod[0]),
        ),
        Mistake(
            "The end is right, but the beginning has moved down with it.",
            lambda alphas_cumprod: (alphas_cumprod.sqrt() - alphas_cumprod[-1].sqrt()).square(),
        ),
        Mistake(
            "You change the last entry only, which leaves a jump in the table. Spread the change "
            "over all of it.",
            lambda alphas_cumprod: torch.cat([alphas_cumprod[:-1], 0 * alphas_cumprod[-1:]]),
        ),
        Mistake(
            "You return √ᾱ; the table holds ᾱ.",
            lambda alphas_cumprod: _stretched(alphas_cumprod.sqrt(), alphas_cumprod[0].sqrt()),
        ),
        Mistake(
            "Your table begins at 1, as if the first step added no noise. It should begin where "
            "the given one does.",
            lambda alphas_cumprod: _stretched(alphas_cumprod.sqrt(), torch.tensor(1)).square(),
        ),
    ),
)

# 5. Larger pictures


def shift(alphas_cumprod: Tensor, k: int) -> Tensor:
    """The table under which pictures k times as wide and high are lost at the same timesteps."""
    snr = alphas_cumprod / (1 - alphas_cumprod) / k**2
    return snr / (1 + snr)


def _with_snr(change: Callable[[Tensor, int], Tensor]) -> Answer:
    def answer(alphas_cumprod: Tensor, k: int) -> Tensor:
        snr = change(alphas_cumprod / (1 - alphas_cumprod), k)
        return snr / (1 + snr)

    return answer


SHIFT = Exercise(
    name="forward-diffusion.5",
    title="Larger pictures",
    make_cases=lambda generator: [
        Case(f"k = {k}", {"alphas_cumprod": draw_table(generator), "k": k}) for k in (1, 2, 3)
    ],
    reference=shift,
    mistakes=(
        Mistake(
            "You divide the SNR by k. How many copies of a pixel can be averaged, if there are k "
            "in each of two directions?",
            _with_snr(lambda snr, k: snr / k),
        ),
        Mistake(
            "Your larger pictures get less noise than the small ones. They are easier to read, "
            "so they need more.",
            _with_snr(lambda snr, k: snr * k**2),
        ),
        Mistake(
            "You divide ᾱ. It is the SNR, ᾱ / (1 − ᾱ), that decides what can be read.",
            lambda alphas_cumprod, k: alphas_cumprod / k**2,
        ),
        Mistake(
            "You return the SNR. Turn it back into ᾱ.",
            lambda alphas_cumprod, k: alphas_cumprod / (1 - alphas_cumprod) / k**2,
        ),
    ),
)

EXERCISES = (NOISY, SIGMA, CORRELATION, END_IN_NOISE, SHIFT)
