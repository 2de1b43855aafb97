"""A little noise: the third exercise on samplers, a step that renews part of the noise."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

HALF, FULL, LAST = "η = 0.5", "η = 1", "it is the last step, to ᾱ = 1"

Sigma = Callable[[Tensor, Tensor, float], Tensor]


def renewed(
    x0_hat: Tensor,
    eps_hat: Tensor,
    noise: Tensor,
    alpha_bar: Tensor,
    alpha_bar_prev: Tensor,
    eta: float,
) -> Tensor:
    """A step of DDIM from ᾱ to ᾱ_prev that takes the share η of DDPM's noise."""
    sigma = _sigma(alpha_bar, alpha_bar_prev, eta)
    old = (1 - alpha_bar_prev - sigma**2).sqrt() * eps_hat
    return alpha_bar_prev.sqrt() * x0_hat + old + sigma * noise


def _sigma(here: Tensor, there: Tensor, eta: float) -> Tensor:
    return eta * ((1 - there) / (1 - here) * (1 - here / there)).sqrt()


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for about, here, there, eta in (
        ("η = 0", 0.2, 0.5, 0.0),
        (HALF, 0.3, 0.6, 0.5),
        (FULL, 0.1, 0.4, 1.0),
        (LAST, 0.9, 1, 0.8),
    ):
        x0_hat, eps_hat, noise = torch.randn(3, 4, 2, generator=generator, dtype=torch.float64)
        moved = 0.05 * torch.rand((), generator=generator, dtype=torch.float64)
        given = {"x0_hat": x0_hat, "eps_hat": eps_hat, "noise": noise, "alpha_bar": here + moved}
        given["alpha_bar_prev"] = there + moved if there < 1 else torch.ones_like(moved)
        cases.append(Case(about, given | {"eta": eta}))
    return cases


def _with(
    sigma: Sigma = _sigma,
    old: Callable[[Tensor, Tensor], Tensor] = lambda there, sigma: (
        (1 - there - sigma**2).clamp(min=0).sqrt()
    ),
    again: bool = False,
) -> Answer:
    """The step with one of its parts replaced; `again` takes the old noise for the new."""

    def answer(
        x0_hat: Tensor, eps_hat: Tensor, noise: Tensor, here: Tensor, there: Tensor, eta: float
    ) -> Tensor:
        s = sigma(here, there, eta)
        new = s * (eps_hat if again else noise)
        return there.sqrt() * x0_hat + old(there, s) * eps_hat + new

    return answer


RENEWED = Exercise(
    name="samplers.3",
    title="A little noise",
    make_cases=_cases,
    reference=renewed,
    mistakes=(
        Mistake(
            "Nothing depends on η: your step is DDIM's.",
            _with(sigma=lambda here, there, eta: 0 * here),
        ),
        Mistake(
            "Your new noise comes on top of the old, which keeps its full size, so that the state "
            "is noisier than its timestep says.",
            _with(old=lambda there, sigma: (1 - there).sqrt()),
        ),
        Mistake(
            "You subtract σ from the old noise's standard deviation. Of independent noises the "
            "variances add up.",
            _with(old=lambda there, sigma: (1 - there).sqrt() - sigma),
        ),
        Mistake(
            "Your σ is a variance: a square root is missing.",
            _with(sigma=lambda here, there, eta: _sigma(here, there, eta) ** 2),
            FULL,
        ),
        Mistake(
            "Your η stands under the square root. It is a share of the noise, not of its variance.",
            _with(sigma=lambda here, there, eta: _sigma(here, there, 1.0) * eta**0.5),
            HALF,
        ),
        Mistake(
            "Your new noise is the old once more: nothing was drawn.",
            _with(again=True),
        ),
        Mistake(
            "You add noise in the last step. At ᾱ_prev = 1 the guess is the picture: what should "
            "σ be there?",
            _with(sigma=lambda here, there, eta: eta * (1 - here / there).sqrt()),
            LAST,
        ),
    ),
)
