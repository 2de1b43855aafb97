"""From a file to noise: the first exercise on forward diffusion, and a dozen ways to miss it."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.draws import draw_betas
from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

Part = Callable[[Tensor, Tensor], Tensor]
NO_NOISE = "the noise is 0"


def noisy(pixels: Tensor, eps: Tensor, t: Tensor, betas: Tensor) -> Tensor:
    """Pictures of bytes, (b, 1, h, w), at timesteps t, (b,): equation 2 of the chapter."""
    x0 = pixels / 127.5 - 1
    alpha_bar_t = (1 - betas).cumprod(dim=0)[t].reshape(-1, 1, 1, 1)
    return alpha_bar_t.sqrt() * x0 + (1 - alpha_bar_t).sqrt() * eps


def _noisy_cases(generator: Generator) -> list[Case]:
    cases = []
    for about in (NO_NOISE, "t differs within the batch"):
        pixels = torch.randint(256, (5, 1, 3, 4), generator=generator, dtype=torch.uint8)
        eps = torch.randn(5, 1, 3, 4, generator=generator)
        t = torch.tensor([17, 0, 39, 5, 17])
        eps = 0 * eps if about == NO_NOISE else eps
        given = {"pixels": pixels, "eps": eps, "t": t, "betas": draw_betas(generator)}
        cases.append(Case(about, given))
    return cases


def _kept(betas: Tensor, t: Tensor) -> Tensor:
    return (1 - betas).cumprod(dim=0)[t]


def _noisy_with(
    signal: Part = lambda betas, t: _kept(betas, t).sqrt(),
    noise: Part = lambda betas, t: (1 - _kept(betas, t)).sqrt(),
    read: Callable[[Tensor], Tensor] = lambda pixels: pixels / 127.5 - 1,
) -> Answer:
    """The answer with one of its parts replaced."""

    def answer(pixels: Tensor, eps: Tensor, t: Tensor, betas: Tensor) -> Tensor:
        factors = (part(betas, t).reshape(-1, 1, 1, 1) for part in (signal, noise))
        return next(factors) * read(pixels) + next(factors) * eps

    return answer


NOISY = Exercise(
    name="forward-diffusion.1",
    title="From a file to noise",
    make_cases=_noisy_cases,
    reference=noisy,
    mistakes=(
        Mistake(
            "Your clean pictures are in [0, 1], so that black does not fade but stays where it "
            "is, and the signal has half its size. Where should black and white be?",
            _noisy_with(read=lambda pixels: pixels / 255),
            NO_NOISE,
        ),
        Mistake(
            "Your clean pictures still go up to 255: no noise of size 1 can hide them.",
            _noisy_with(read=lambda pixels: pixels.float()),
            NO_NOISE,
        ),
        Mistake(
            "Your product of the α runs up to the last timestep T − 1 for every picture, so that "
            "all are equally far gone. Where should it stop?",
            _noisy_with(signal=lambda betas, t: (1 - betas).prod().sqrt().expand(len(t))),
            NO_NOISE,
        ),
        Mistake(
            "Your running product runs along the batch: what a picture keeps depends on its "
            "neighbours. Over which axis should one multiply, and what is looked up when?",
            _noisy_with(signal=lambda betas, t: (1 - betas)[t].cumprod(dim=0).sqrt()),
            NO_NOISE,
        ),
        Mistake(
            "Your product stops one step too early: at t = 0 one step has been taken already.",
            _noisy_with(signal=lambda betas, t: (_kept(betas, t) / (1 - betas)[t]).sqrt()),
            NO_NOISE,
        ),
        Mistake(
            "Your pictures fade as if only the step t had been taken, not all steps up to it.",
            _noisy_with(signal=lambda betas, t: (1 - betas[t]).sqrt()),
            NO_NOISE,
        ),
        Mistake(
            "Your signal has the factor ᾱ_t. That is the share of its variance; which factor "
            "changes the variance by it?",
            _noisy_with(signal=_kept),
            NO_NOISE,
        ),
        Mistake(
            "Your noise is scaled by β_t, which belongs to one step and is no standard deviation: "
            "the pictures merely fade.",
            _noisy_with(noise=lambda betas, t: betas[t]),
        ),
        Mistake(
            "Your noise is that of the step t alone. The steps before it added some too.",
            _noisy_with(noise=lambda betas, t: betas[t].sqrt()),
        ),
        Mistake(
            "Your noise is multiplied by its variance instead of its standard deviation: a square "
            "root is missing.",
            _noisy_with(noise=lambda betas, t: 1 - _kept(betas, t)),
        ),
        Mistake(
            "Your noise has variance ᾱ_t, not 1 − ᾱ_t: it shrinks while it should grow.",
            _noisy_with(noise=lambda betas, t: _kept(betas, t).sqrt()),
        ),
        Mistake(
            "Your noise is subtracted. That is just as noisy, but the network that is asked for "
            "eps would learn its opposite.",
            _noisy_with(noise=lambda betas, t: -(1 - _kept(betas, t)).sqrt()),
        ),
    ),
)
