"""A memory that blurs: the fourth exercise on reverse diffusion."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Case, Exercise, Mistake


def soft_x0(xt: Tensor, alpha_bar_t: Tensor, data: Tensor, h: float) -> Tensor:
    """The ideal guess, (b, d), if the data are Gaussians of variance h² around `data`, (n, d)."""
    return _soft(xt, alpha_bar_t, data, h)


def _soft(
    xt: Tensor,
    a: Tensor,
    data: Tensor,
    h: float,
    *,
    spread: Callable[[Tensor, float], Tensor] = lambda a, h: 1 - a + h**2 * a,
    gain: Callable[[Tensor, float], Tensor] = lambda a, h: h**2 * a.sqrt() / (1 - a + h**2 * a),
    axis: int = 1,
) -> Tensor:
    """Choose by distance over `spread`, then pull the choice towards x_t by `gain`."""
    away = torch.cdist(xt, a.sqrt() * data).square()
    mean = (-away / (2 * spread(a, h))).softmax(dim=axis) @ data
    return mean + gain(a, h) * (xt - a.sqrt() * mean)


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for about, a, h in (("h = 0", 0.6, 0.0), ("h = 0.4", 0.5, 0.4), ("h = 1.5", 0.3, 1.5)):
        xt, data = torch.randn(2, 6, 3, generator=generator, dtype=torch.float64)
        alpha_bar_t = torch.tensor(a, dtype=torch.float64)
        given = {"xt": xt[:4], "alpha_bar_t": alpha_bar_t, "data": data, "h": h}
        cases.append(Case(about, given))
    return cases


SOFT_MEMORY = Exercise(
    name="reverse-diffusion.4",
    title="Is blurred memory imagination?",
    make_cases=_cases,
    reference=soft_x0,
    mistakes=(
        Mistake(
            "Your memory is still hard: nothing depends on h.",
            lambda xt, a, data, h: _soft(xt, a, data, 0.0),
        ),
        Mistake(
            "Your softmax runs along the batch. Which candidates compete for one x_t?",
            lambda xt, a, data, h: _soft(xt, a, data, h, axis=0),
        ),
        Mistake(
            "Your weights are right, but the guess is still a mean of stored points. Within a "
            "Gaussian, x_t also says on which side of its centre to look.",
            lambda xt, a, data, h: _soft(xt, a, data, h, gain=lambda a, h: 0 * a),
        ),
        Mistake(
            "Your pull is right, but the weights are those of a hard memory: a wider cloud is "
            "less surprised by a distant x_t.",
            lambda xt, a, data, h: _soft(xt, a, data, h, spread=lambda a, h: 1 - a),
        ),
        Mistake(
            "Your clouds have the variance h; their standard deviation was to be h.",
            lambda xt, a, data, h: _soft(xt, a, data, h**0.5),
        ),
        Mistake(
            "At timestep t your clouds are as wide as at the start. They shrink with the picture.",
            lambda xt, a, data, h: _soft(
                xt,
                a,
                data,
                h,
                spread=lambda a, h: 1 - a + h**2,
                gain=lambda a, h: h**2 * a.sqrt() / (1 - a + h**2),
            ),
        ),
    ),
)
