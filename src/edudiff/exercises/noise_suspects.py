"""Whose noise is right, judged by numbers with chance in them: the fourth exercise."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Case, Exercise, Mistake
from edudiff.exercises.lineup import line_up

COUNT = 4000
SURE = 5.0
"""How many standard errors chance is allowed: it goes further about once in a million times."""


def is_noised(x0: Tensor, alpha_bar_t: Tensor, xt: Tensor) -> bool:
    """Whether what is left of `xt`, (n,), without the data is noise of size 1 that knows nothing.

    Mean, spread and correlation with the data have standard errors that are known.
    """
    left = _left(x0, alpha_bar_t, xt)
    pull = (left * (x0 - x0.mean())).mean() / x0.std()
    off = torch.stack([left.mean(), pull, (left.std() - 1) * 2**0.5])
    return bool((off.abs() < SURE / len(x0) ** 0.5).all())


def _left(x0: Tensor, alpha_bar_t: Tensor, xt: Tensor) -> Tensor:
    return (xt - alpha_bar_t.sqrt() * x0) / (1 - alpha_bar_t).sqrt()


Part = Callable[[Tensor], Any]
Program = Callable[[Tensor, Tensor, Tensor], Tensor]


def _program(signal: Part, noise: Part) -> Program:
    return lambda x0, alpha_bar_t, eps: signal(alpha_bar_t) * x0 + noise(alpha_bar_t) * eps


def _with_noise(other: Callable[[Tensor, Tensor], Tensor]) -> Program:
    """The right program, but this instead of the noise."""
    return lambda x0, alpha_bar_t, eps: RIGHT(x0, alpha_bar_t, other(x0, eps))


def _by_the_same_seed(x0: Tensor, eps: Tensor) -> Tensor:
    """Noise of size 1 that is large where the data are."""
    return 0.8 * (x0 - x0.mean()) / x0.std() + 0.6 * eps


RIGHT = _program(lambda a: a.sqrt(), lambda a: (1 - a).sqrt())
IS_RIGHT = "the noise is right"
ROOTLESS = "noise has no root"
LARGE = "noise is too large by a tenth"
UNIFORM = "noise comes from rand in place of randn"
SAME_SEED = "noise and data come from the same seed"
PROGRAMS: dict[str, Program] = {
    IS_RIGHT: RIGHT,
    "the noise is right, in another draw": RIGHT,
    "data are not shrunk": _program(lambda a: 1.0, lambda a: (1 - a).sqrt()),
    "data have no root": _program(lambda a: a, lambda a: (1 - a).sqrt()),
    ROOTLESS: _program(lambda a: a.sqrt(), lambda a: 1 - a),
    LARGE: _program(lambda a: a.sqrt(), lambda a: 1.1 * (1 - a).sqrt()),
    UNIFORM: _with_noise(lambda x0, eps: 12**0.5 * torch.special.ndtr(eps)),
    SAME_SEED: _with_noise(_by_the_same_seed),
    "all data get the same noise": _with_noise(lambda x0, eps: eps[:1].expand(len(x0))),
}


def _data(generator: Generator) -> dict[str, Any]:
    place, width, kept = torch.rand(3, generator=generator, dtype=torch.float64)
    side = torch.randint(2, (COUNT,), generator=generator).double()
    eps = torch.randn(COUNT, generator=generator, dtype=torch.float64)
    return {"x0": place + (2.4 + width) * side, "alpha_bar_t": 0.55 + 0.2 * kept, "eps": eps}


def _cases(generator: Generator) -> list[Case]:
    return line_up(generator, PROGRAMS, _data, "xt", hidden="eps")


def _spread(x0: Tensor, alpha_bar_t: Tensor, xt: Tensor) -> Tensor:
    return (_left(x0, alpha_bar_t, xt).std() - 1).abs()


NOISED = Exercise(
    name="wrong.4",
    title="Chance in the witness box",
    make_cases=_cases,
    reference=is_noised,
    mistakes=(
        Mistake(
            "Your test says True to all of them. A test that cannot fail tests nothing.",
            lambda x0, alpha_bar_t, xt: xt.shape == x0.shape,
        ),
        Mistake(
            "A root is missing in your own test: you accept noise whose size is 1 − ᾱ.",
            lambda x0, alpha_bar_t, xt: bool(
                ((xt - alpha_bar_t.sqrt() * x0).std() / (1 - alpha_bar_t) - 1).abs() < 0.06
            ),
            ROOTLESS,
        ),
        Mistake(
            "You reject noise that is right. The spread of 4,000 random numbers is not 1 to the "
            "last digit, and that of the data need not be 1 at all.",
            lambda x0, alpha_bar_t, xt: bool((xt.std() - 1).abs() < 0.01),
            IS_RIGHT,
        ),
        Mistake(
            "Noise that is a tenth too large gets through. With 4,000 numbers chance goes nowhere "
            "near as far.",
            lambda x0, alpha_bar_t, xt: bool(_spread(x0, alpha_bar_t, xt) < 0.3),
            LARGE,
        ),
        Mistake(
            "You look at the spread, which is right also for noise that is never below 0. Around "
            "what should noise lie?",
            lambda x0, alpha_bar_t, xt: bool(_spread(x0, alpha_bar_t, xt) < 0.06),
            UNIFORM,
        ),
        Mistake(
            "Mean and spread of the noise are right, and yet noise got through that is large "
            "where the data are. What should noise know of the data?",
            lambda x0, alpha_bar_t, xt: bool(
                _spread(x0, alpha_bar_t, xt) < 0.06
                and _left(x0, alpha_bar_t, xt).mean().abs() < 0.08
            ),
            SAME_SEED,
        ),
    ),
)
