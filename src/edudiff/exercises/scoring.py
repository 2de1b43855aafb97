"""A baseline: the second exercise on variational autoencoders."""

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Case, Exercise, Mistake

PLAIN = "b = 0"


def score_slopes(f: Tensor, z: Tensor, mean: float, width: float, b: float) -> Tensor:
    """An estimate of the slope for μ from each draw of z from N(μ, σ²), (k,), with baseline b."""
    return (f - b) * (z - mean) / width**2


def _cases(generator: Generator) -> list[Case]:
    cases = []
    for about, b in ((PLAIN, 0.0), ("b is not 0", 1.7), ("b is not 0", -0.8)):
        mean, width = (0.3 + 0.5 * torch.rand(2, generator=generator)).tolist()
        eps, f = torch.randn(2, 7, generator=generator, dtype=torch.float64)
        given = {"f": f, "z": mean + width * eps, "mean": mean, "width": width, "b": b}
        cases.append(Case(about, given))
    return cases


SCORE_SLOPES = Exercise(
    name="vae.2",
    title="A baseline",
    make_cases=_cases,
    reference=score_slopes,
    mistakes=(
        Mistake(
            "Your score divides by the width once. Differentiate log q: what stands below the "
            "square?",
            lambda f, z, mean, width, b: (f - b) * (z - mean) / width,
            PLAIN,
        ),
        Mistake(
            "Your slopes point the wrong way: as μ grows, draws above μ become more likely.",
            lambda f, z, mean, width, b: -score_slopes(f, z, mean, width, b),
        ),
        Mistake(
            "Your score has no centre. At z = μ the density is flat in μ.",
            lambda f, z, mean, width, b: (f - b) * z / width**2,
            PLAIN,
        ),
        Mistake(
            "That is the slope for σ. Here the slope for μ was asked for.",
            lambda f, z, mean, width, b: (f - b) * ((z - mean) ** 2 / width**2 - 1) / width,
            PLAIN,
        ),
        Mistake(
            "You average already. One estimate from each draw was asked for, so that their "
            "variance can be seen.",
            lambda f, z, mean, width, b: score_slopes(f, z, mean, width, b).mean(),
        ),
        Mistake(
            "You subtract b from the slope, which moves its mean. From what should it be "
            "subtracted, so that nothing is changed on average?",
            lambda f, z, mean, width, b: score_slopes(f, z, mean, width, 0.0) - b,
        ),
        Mistake(
            "Your baseline is added.",
            lambda f, z, mean, width, b: score_slopes(f, z, mean, width, -b),
        ),
        Mistake(
            "Your slopes do not depend on b.",
            lambda f, z, mean, width, b: score_slopes(f, z, mean, width, 0.0),
        ),
    ),
)
