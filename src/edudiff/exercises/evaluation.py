"""The exercises of the chapter on evaluation."""

import math

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Case, Exercise, Mistake
from edudiff.exercises.ordering import TAU

# 1. Two bells on a line

SPREAD = "the standard deviations differ"


def frechet_line(mean_p: float, std_p: float, mean_q: float, std_q: float) -> float:
    """The squared Fréchet distance of two bells on a line."""
    return (mean_p - mean_q) ** 2 + (std_p - std_q) ** 2


def _frechet_cases(generator: Generator) -> list[Case]:
    def draw(low: float, high: float) -> float:
        return low + (high - low) * float(torch.rand((), generator=generator))

    names = ("mean_p", "std_p", "mean_q", "std_q")

    def case(about: str, *values: float) -> Case:
        return Case(about, dict(zip(names, values, strict=True)))

    std = draw(0.5, 2.0)
    return [
        case(SPREAD, draw(1.0, 2.0), draw(0.3, 0.9), draw(-3.0, -1.0), draw(1.5, 3.0)),
        case(SPREAD, draw(-1.0, 0.0), draw(3.0, 4.0), draw(1.0, 3.0), draw(1.2, 2.0)),
        case("only the means differ", draw(1.0, 2.0), std, draw(3.5, 5.0), std),
    ]


FRECHET = Exercise(
    name="evaluation.1",
    title="Two bells on a line",
    make_cases=_frechet_cases,
    reference=frechet_line,
    mistakes=(
        Mistake(
            "You compare the variances. On a line the formula becomes a square of the standard "
            "deviations' difference.",
            lambda mean_p, std_p, mean_q, std_q: (
                (mean_p - mean_q) ** 2 + (std_p**2 - std_q**2) ** 2
            ),
            SPREAD,
        ),
        Mistake(
            "You forget the term with the root: what is left is above 0 even if both bells are "
            "the same.",
            lambda mean_p, std_p, mean_q, std_q: (mean_p - mean_q) ** 2 + std_p**2 + std_q**2,
        ),
        Mistake(
            "You subtract the root once. The formula has it twice.",
            lambda mean_p, std_p, mean_q, std_q: (
                (mean_p - mean_q) ** 2 + std_p**2 + std_q**2 - std_p * std_q
            ),
        ),
        Mistake(
            "You take the root of it all. FID, too, is the squared distance.",
            lambda mean_p, std_p, mean_q, std_q: math.sqrt(
                (mean_p - mean_q) ** 2 + (std_p - std_q) ** 2
            ),
        ),
        Mistake(
            "You do not square the difference of the means.",
            lambda mean_p, std_p, mean_q, std_q: abs(mean_p - mean_q) + (std_p - std_q) ** 2,
        ),
        Mistake(
            "You compare the means only.",
            lambda mean_p, std_p, mean_q, std_q: (mean_p - mean_q) ** 2,
            SPREAD,
        ),
    ),
)

# 2. The same order? See `ordering`.

# 3. How many votes?


def votes_needed(p: float, q: float) -> float:
    """From how many votes on the 95 % interval of p − q leaves 0 out; shares of the same votes."""
    return 1.96**2 * (p + q - (p - q) ** 2) / (p - q) ** 2


def _vote_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, gap in (
        ("they are far apart", 0.15),
        ("they are near", 0.04),
        ("they differ somewhat", 0.08),
    ):
        q = 0.2 + 0.15 * float(torch.rand((), generator=generator))
        lead = gap * (1 + 0.3 * float(torch.rand((), generator=generator)))
        cases.append(Case(about, {"p": q + lead, "q": q}))
    return cases


VOTES_NEEDED = Exercise(
    name="evaluation.3",
    title="How many votes?",
    make_cases=_vote_cases,
    reference=votes_needed,
    mistakes=(
        Mistake(
            "You take the two shares for those of two polls. In one poll a vote for the one is "
            "no vote for the other, so they vary against each other.",
            lambda p, q: 1.96**2 * (p * (1 - p) + q * (1 - q)) / (p - q) ** 2,
        ),
        Mistake(
            "You ask how sure the first share is by itself. The difference varies more.",
            lambda p, q: 1.96**2 * p * (1 - p) / (p - q) ** 2,
        ),
        Mistake(
            "Your interval is one standard error wide on each side: it holds the truth two times "
            "in three.",
            lambda p, q: (p + q - (p - q) ** 2) / (p - q) ** 2,
        ),
        Mistake(
            "You forget a square: the standard error falls with the root of the votes.",
            lambda p, q: 1.96 * math.sqrt(p + q - (p - q) ** 2) / (p - q),
        ),
        Mistake(
            "You forget that the shares add up to less than one vote: p + q − (p − q)² is the "
            "variance of a vote, not 1.",
            lambda p, q: 1.96**2 / (p - q) ** 2,
        ),
        Mistake(
            "You ask for the smaller side only, 1.645 standard errors; an interval has two.",
            lambda p, q: 1.645**2 * (p + q - (p - q) ** 2) / (p - q) ** 2,
        ),
    ),
)

# 4. How many different ones?

UNEVEN = "some are drawn more often"


def different(shares: Tensor) -> Tensor:
    """The number of different pictures: each k, unlike all others, has a share of all drawings."""
    return torch.special.entr(shares).sum().exp()


def _share_cases(generator: Generator) -> list[Case]:
    def draw(n: int) -> Tensor:
        weights = torch.rand(n, generator=generator, dtype=torch.float64) + 0.1
        weights[0] += 2
        return weights / weights.sum()

    k = int(torch.randint(3, 9, (), generator=generator))
    gone = torch.cat([draw(3), torch.zeros(1, dtype=torch.float64)])
    return [
        Case(UNEVEN, {"shares": draw(4)}),
        Case(UNEVEN, {"shares": draw(6)}),
        Case("all are equally frequent", {"shares": torch.full((k,), 1 / k).double()}),
        Case("one is never drawn", {"shares": gone}),
    ]


DIFFERENT = Exercise(
    name="evaluation.4",
    title="How many different ones?",
    make_cases=_share_cases,
    reference=different,
    mistakes=(
        Mistake(
            "That is the entropy. The score is how many equally frequent pictures have it.",
            lambda shares: torch.special.entr(shares).sum(),
        ),
        Mistake(
            "You count every picture as one, however rarely it is drawn.",
            lambda shares: (shares > 0).double().sum(),
            UNEVEN,
        ),
        Mistake(
            "That is one over the sum of the squares, a number of the same kind for another "
            "entropy, Rényi's of order 2.",
            lambda shares: 1 / shares.square().sum(),
            UNEVEN,
        ),
        Mistake(
            "Your logarithm is that of base 2, and your power that of base e.",
            lambda shares: (torch.special.entr(shares).sum() / math.log(2)).exp(),
        ),
        Mistake(
            "Your exponent has the wrong sign.",
            lambda shares: (-torch.special.entr(shares).sum()).exp(),
        ),
    ),
)

# 5 and 6: not checked

EXERCISES = (FRECHET, TAU, VOTES_NEEDED, DIFFERENT)
