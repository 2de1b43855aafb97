"""One step back: the third exercise on reverse diffusion, and the published ways to miss it."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.draws import draw_betas
from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

Gaussian = tuple[Tensor, Tensor]
NO_NOISE, LAST = "the noise is 0", "t = 0"


def step_back(x0_hat: Tensor, xt: Tensor, t: int, betas: Tensor, noise: Tensor) -> Tensor:
    """Draw x_{t−1} from the posterior that has x̂_0 for the clean data."""
    alphas_cumprod = (1 - betas).cumprod(dim=0)
    alpha_bar_t = alphas_cumprod[t]
    alpha_bar_prev = alphas_cumprod[t - 1] if t > 0 else torch.ones_like(alpha_bar_t)
    x0_weight = alpha_bar_prev.sqrt() * betas[t] / (1 - alpha_bar_t)
    xt_weight = (1 - betas[t]).sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar_t)
    variance = (1 - alpha_bar_prev) / (1 - alpha_bar_t) * betas[t]
    return x0_weight * x0_hat + xt_weight * xt + variance.sqrt() * noise


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for about, t in ((NO_NOISE, 11), (NO_NOISE, 30), ("there is noise", 7), (LAST, 0)):
        x0_hat, xt, noise = torch.randn(3, 4, 2, generator=generator)
        noise = 0 * noise if about == NO_NOISE else noise
        given = {"x0_hat": x0_hat, "xt": xt, "t": t, "betas": draw_betas(generator), "noise": noise}
        cases.append(Case(about, given))
    return cases


def _spread(t: int, betas: Tensor) -> Tensor:
    """The standard deviation of the step: what it makes of noise 1 if all else is 0."""
    zero, one = torch.zeros(1), torch.ones(1)
    return step_back(zero, zero, t, betas, one)


def _noise_times(factor: Callable[[int, Tensor], Tensor | float]) -> Answer:
    """The right mean, but the noise times this factor."""

    def answer(x0_hat: Tensor, xt: Tensor, t: int, betas: Tensor, noise: Tensor) -> Tensor:
        return step_back(x0_hat, xt, t, betas, 0 * noise) + factor(t, betas) * noise

    return answer


def _exchanged(x0_hat: Tensor, xt: Tensor, t: int, betas: Tensor, noise: Tensor) -> Tensor:
    return step_back(xt, x0_hat, t, betas, noise)


def _jumped(x0_hat: Tensor, xt: Tensor, t: int, betas: Tensor, noise: Tensor) -> Tensor:
    """Fresh noise on the guess, as if x_t had not been seen."""
    alpha_bar_prev = (1 - betas[:t]).prod()
    return alpha_bar_prev.sqrt() * x0_hat + (1 - alpha_bar_prev).sqrt() * noise


def _wrapped(x0_hat: Tensor, xt: Tensor, t: int, betas: Tensor, noise: Tensor) -> Tensor:
    """Looks ᾱ up at t − 1 = −1, which is the last entry of the table."""
    alphas_cumprod = (1 - betas).cumprod(dim=0)
    a, prev = alphas_cumprod[t], alphas_cumprod[t - 1]
    mean = prev.sqrt() * betas[t] * x0_hat + (1 - betas[t]).sqrt() * (1 - prev) * xt
    return mean / (1 - a) + ((1 - prev) / (1 - a) * betas[t]).sqrt() * noise


STEP_BACK = Exercise(
    name="reverse-diffusion.3",
    title="The missing square root",
    make_cases=_cases,
    reference=step_back,
    mistakes=(
        Mistake(
            "Your mean has its two weights exchanged. Late in the chain, which of the two should "
            "it stay close to?",
            _exchanged,
            NO_NOISE,
        ),
        Mistake(
            "Your step forgets x_t: it puts fresh noise on the guess and starts again, instead of "
            "moving from where it is.",
            _jumped,
            NO_NOISE,
        ),
        Mistake(
            "Your noise is multiplied by the variance. Its standard deviation is larger: a square "
            "root is missing.",
            _noise_times(lambda t, betas: _spread(t, betas) ** 2),
        ),
        Mistake(
            "Your mean is right, but nothing is drawn: without noise the walk ends in blurred "
            "averages.",
            _noise_times(lambda t, betas: 0.0),
        ),
        Mistake(
            "Your noise is subtracted. Noise with a minus sign is noise too, but add it, so that "
            "two programs with the same seed agree.",
            _noise_times(lambda t, betas: -_spread(t, betas)),
        ),
        Mistake(
            "At t = 0 you look up the table at t − 1 = −1, which is its last entry. What is ᾱ of "
            "the clean data?",
            _wrapped,
            LAST,
        ),
        Mistake(
            "You add noise in the last step. At t = 0 the mean is the picture, and nothing should "
            "be added to it.",
            _noise_times(lambda t, betas: betas[t].sqrt() if t == 0 else _spread(t, betas)),
            LAST,
        ),
        Mistake(
            "The variance of your noise is β_t. The posterior is narrower than that, because it "
            "knows (or guesses) x_0.",
            _noise_times(lambda t, betas: betas[t].sqrt() if t else 0.0),
        ),
    ),
)
