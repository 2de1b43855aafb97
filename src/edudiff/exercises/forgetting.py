"""Forget: the second exercise on samplers, a solver without its memory."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

LARGE = "the step is large"


def forgetful(x: Tensor, eps_hat: Tensor, alpha_bar: Tensor, alpha_bar_next: Tensor) -> Tensor:
    """A step of DPM-Solver++ with D = x̂_0 from ᾱ to ᾱ_next, which may be 1: a step of DDIM."""
    return alpha_bar_next.sqrt() * _x0(x, eps_hat, alpha_bar) + _sigma(alpha_bar_next) * eps_hat


def _x0(x: Tensor, eps_hat: Tensor, alpha_bar: Tensor) -> Tensor:
    return (x - _sigma(alpha_bar) * eps_hat) / alpha_bar.sqrt()


def _sigma(alpha_bar: Tensor) -> Tensor:
    return (1 - alpha_bar).sqrt()


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for about, here, there in ((LARGE, 0.15, 0.8), ("the step is small", 0.4, 0.45), ("", 0.9, 1)):
        x, eps_hat = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
        moved = 0.05 * torch.rand((), generator=generator, dtype=torch.float64)
        given = {"x": x, "eps_hat": eps_hat, "alpha_bar": here - moved}
        given["alpha_bar_next"] = there - moved if there < 1 else torch.ones_like(moved)
        cases.append(Case(about or "it is the last step, to ᾱ = 1", given))
    return cases


def _minus_h(here: Tensor, there: Tensor) -> Tensor:
    """−h: how far log(α/σ) falls on the way; −∞ at the end."""
    return ((here / (1 - here)).log() - (there / (1 - there)).log()) / 2


def _shrinks(here: Tensor, there: Tensor) -> Tensor:
    """The factor of x in the solver's step."""
    return ((1 - there) / (1 - here)).sqrt()


def _solver(
    kept: Callable[[Tensor, Tensor], Tensor] = _shrinks,
    gained: Callable[[Tensor, Tensor], Tensor] = lambda here, there: -_minus_h(here, there).expm1(),
    guess: Callable[[Tensor, Tensor, Tensor], Tensor] = _x0,
) -> Answer:
    """The solver's step with one of its parts replaced."""

    def answer(x: Tensor, eps_hat: Tensor, here: Tensor, there: Tensor) -> Tensor:
        return kept(here, there) * x + there.sqrt() * gained(here, there) * guess(x, eps_hat, here)

    return answer


FORGETFUL = Exercise(
    name="samplers.2",
    title="Forget",
    make_cases=_cases,
    reference=forgetful,
    mistakes=(
        Mistake(
            "Your ᾱ is used where its square root belongs: signal and noise have the factors α "
            "and σ, whose *squares* are ᾱ and 1 − ᾱ.",
            lambda x, eps_hat, here, there: (
                there * (x - (1 - here) * eps_hat) / here + (1 - there) * eps_hat
            ),
        ),
        Mistake(
            "Your x is multiplied by the ratio of the signals. All new signal comes with D; what "
            "is it of x that should shrink to its new size?",
            _solver(kept=lambda here, there: (there / here).sqrt()),
        ),
        Mistake(
            "Your guess is pushed away from: look at the sign of e^(−h) − 1, and at the one before "
            "it.",
            _solver(gained=lambda here, there: _minus_h(here, there).expm1()),
        ),
        Mistake(
            "Your exponential grows: h is the length of the step in λ, and λ rises. Which sign "
            "stands before it?",
            _solver(gained=lambda here, there: -(-_minus_h(here, there)).expm1()),
            LARGE,
        ),
        Mistake(
            "Your D is the guess of the noise. This solver integrates the guess of the data.",
            _solver(guess=lambda x, eps_hat, alpha_bar: eps_hat),
        ),
        Mistake(
            "Your step forgets too much: it lands on the guess without any noise, as only the "
            "last step should.",
            lambda x, eps_hat, here, there: there.sqrt() * _x0(x, eps_hat, here),
        ),
    ),
)
