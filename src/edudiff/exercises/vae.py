"""The exercises of the chapter on variational autoencoders."""

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Case, Exercise, Mistake
from edudiff.exercises.judge import numbers
from edudiff.exercises.plain import Plain
from edudiff.exercises.scoring import SCORE_SLOPES

# 1. The likeliest noise


def negative_bound(x: Tensor, x_hat: Tensor, rate: Tensor, beta: float) -> Tensor:
    """The negative bound on log p(x) of pictures, (b, n), with all its constants: (b,)."""
    return _distortion(x, x_hat) / beta + _constants(x, beta) + rate


def _distortion(x: Tensor, x_hat: Tensor) -> Tensor:
    return (x - x_hat).square().sum(dim=1) / 2


def _constants(x: Tensor, beta: float) -> float:
    return x.shape[1] / 2 * math.log(2 * math.pi * beta)


def _bound_cases(generator: Generator) -> list[Case]:
    cases = []
    for beta, n in ((0.1, 6), (0.5, 12), (1.0, 9)):
        x, x_hat = torch.randn(2, 4, n, generator=generator, dtype=torch.float64)
        rate = 1 + 5 * torch.rand(4, generator=generator, dtype=torch.float64)
        cases.append(Case(f"β = {beta}", {"x": x, "x_hat": x_hat, "rate": rate, "beta": beta}))
    return cases


NEGATIVE_BOUND = Exercise(
    name="vae.1",
    title="The likeliest noise",
    make_cases=_bound_cases,
    reference=negative_bound,
    mistakes=(
        Mistake(
            "You have the loss of the training, which is β times the bound without its constants. "
            "They depend on β, so they matter here.",
            lambda x, x_hat, rate, beta: _distortion(x, x_hat) + beta * rate,
        ),
        Mistake(
            "Your Gaussian is not normalised: its constants are missing, and they depend on β.",
            lambda x, x_hat, rate, beta: _distortion(x, x_hat) / beta + rate,
        ),
        Mistake(
            "Your constants are those of a single pixel. How many are there?",
            lambda x, x_hat, rate, beta: (
                _distortion(x, x_hat) / beta + _constants(x[:, :1], beta) + rate
            ),
        ),
        Mistake(
            "You take β for a standard deviation. It is the variance of the noise.",
            lambda x, x_hat, rate, beta: negative_bound(x, x_hat, rate, beta**2),
        ),
        Mistake(
            "Your squared error is averaged over the pixels. Log densities add up.",
            lambda x, x_hat, rate, beta: (
                _distortion(x, x_hat) / x.shape[1] / beta + _constants(x, beta) + rate
            ),
        ),
        Mistake(
            "Your squared error is not halved. Look at the exponent of a Gaussian.",
            lambda x, x_hat, rate, beta: (
                2 * _distortion(x, x_hat) / beta + _constants(x, beta) + rate
            ),
        ),
        Mistake(
            "You subtract the rate. The bound falls by it, so its negative rises.",
            lambda x, x_hat, rate, beta: negative_bound(x, x_hat, -rate, beta),
        ),
    ),
)

# 2. A baseline: SCORE_SLOPES

# 3. A tighter bound

SEVERAL, TINY = "there are several draws", "the densities are tiny"


def tight_bound(log_joint: Tensor, log_q: Tensor) -> Tensor:
    """The bound of k draws, from log p(x, z) and log q(z), both (n, k): (n,)."""
    return _log_mean(log_joint - log_q)


def _log_mean(logs: Tensor, axis: int = 1) -> Tensor:
    return logs.logsumexp(dim=axis) - math.log(logs.shape[axis])


def _draw_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, k, away in (("there is one draw", 1, 0), (SEVERAL, 6, 0), (TINY, 5, -2000)):
        log_joint, log_q = torch.randn(2, 4, k, generator=generator, dtype=torch.float64)
        cases.append(Case(about, {"log_joint": 2 * log_joint + away, "log_q": log_q}))
    return cases


def _vanished(cases: Sequence[Case], answers: Sequence[Plain]) -> bool:
    """Whether exp made all of the tiny densities 0 or nothing sensible."""
    found = [numbers(answer) for answer in answers]
    return all(each is not None and not bool(each.isfinite().any()) for each in found)


TIGHT_BOUND = Exercise(
    name="vae.3",
    title="A tighter bound",
    make_cases=_draw_cases,
    reference=tight_bound,
    mistakes=(
        Mistake(
            "You average the logarithms: that is the old bound, however many draws there are.",
            lambda log_joint, log_q: (log_joint - log_q).mean(dim=1),
        ),
        Mistake(
            "You add the ratios up, so that more draws look better than they are. What turns a "
            "sum into a mean?",
            lambda log_joint, log_q: (log_joint - log_q).logsumexp(dim=1),
        ),
        Mistake(
            "You average over the pictures. Which axis holds the draws of one?",
            lambda log_joint, log_q: _log_mean(log_joint - log_q, axis=0),
        ),
        Mistake(
            "Your ratio is upside down: the proposal belongs below.",
            lambda log_joint, log_q: _log_mean(log_q - log_joint),
        ),
        Mistake(
            "You forget the proposal. Draws from q count by how much more often p would make them.",
            lambda log_joint, log_q: _log_mean(log_joint),
        ),
        Mistake(
            "You average the logarithms' exponentials and return that: take the logarithm again.",
            lambda log_joint, log_q: _log_mean(log_joint - log_q).exp(),
            SEVERAL,
        ),
        Mistake(
            "For pictures of many pixels your ratios vanish: exp(−2000) is 0 for the computer. "
            "Take the largest one out first.",
            lambda log_joint, log_q: (log_joint - log_q).exp().mean(dim=1).log(),
            TINY,
            _vanished,
        ),
    ),
)

# 4 to 6: not checked

EXERCISES = (NEGATIVE_BOUND, SCORE_SLOPES, TIGHT_BOUND)
