"""The exercises of the chapter on SDXL."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

# 1. Where 2.6 billion sit


def block_size(d: int, words: int) -> int:
    """How many parameters a transformer block of width d has that reads words of this width."""
    attention = 2 * (4 * d * d + d) + 2 * d * (words - d)
    gated = 8 * d * (d + 1) + d * (4 * d + 1)
    return attention + gated + 3 * 2 * d


def _width_cases(generator: Generator) -> list[Case]:
    cases = []
    for about in ("words are wider than the block", "words are narrower than the block"):
        small, more = torch.randint(3, 15, (2,), generator=generator).tolist()
        d, words = (small, small + more) if "wider" in about else (small + more, small)
        cases.append(Case(about, {"d": d, "words": words}))
    return cases


def _counts(otherwise: Callable[[int, int], int]) -> Answer:
    """As many more than there are, or fewer."""
    return lambda d, words: block_size(d, words) + otherwise(d, words)


BLOCK_SIZE = Exercise(
    name="sdxl.1",
    title="Where 2.6 billion sit",
    make_cases=_width_cases,
    reference=block_size,
    mistakes=(
        Mistake(
            "Your cross-attention is as large as self-attention. Which of its matrices read words?",
            lambda d, words: block_size(d, d),
        ),
        Mistake(
            "Queries read words in yours, as if words asked them.",
            _counts(lambda d, words: (words - d) * d),
        ),
        Mistake(
            "Your feed-forward part has no gate: the first of its layers is twice as wide.",
            _counts(lambda d, words: -4 * d * (d + 1)),
        ),
        Mistake(
            "The second feed-forward layer reads both halves in yours. What has the gate made of "
            "them?",
            _counts(lambda d, words: 4 * d * d),
        ),
        Mistake(
            "Queries, keys and values have biases in yours. Here only the last layer of an "
            "attention has one.",
            _counts(lambda d, words: 6 * d),
        ),
        Mistake(
            "The norms have parameters, too: a scale and a shift for each channel.",
            _counts(lambda d, words: -6 * d),
        ),
        Mistake(
            "You count matrices only: biases and norms are missing.",
            _counts(lambda d, words: -17 * d),
        ),
        Mistake(
            "You count one attention. A block attends to itself, and then to the words.",
            _counts(lambda d, words: -(2 * d * d + 2 * words * d + d)),
        ),
    ),
)

# 2. How small is small?: not checked

# 3. A false target

Pair = tuple[int, int]


def told_sizes(original: Pair, corner: Pair, target: Pair, width: int) -> Tensor:
    """What SDXL hears of sizes and crop: (6 · width,), cosines and sines of one after the other."""
    return _hands((*original, *corner, *target), width)


def _hands(numbers: tuple[int, ...], width: int, *, shift: int = 0) -> Tensor:
    return _both(numbers, width, shift).flatten()


def _both(numbers: tuple[int, ...], width: int, shift: int = 0) -> Tensor:
    """For each number its cosines and then its sines: (6, width)."""
    half = width // 2
    hands = torch.arange(half, dtype=torch.float64) / (half - shift)
    angles = torch.tensor(numbers)[:, None] * 10_000**-hands
    return torch.cat([angles.cos(), angles.sin()], dim=1)


def _size_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, width in (("there are 4 numbers for each", 4), ("there are 8 for each", 8)):
        drawn = torch.randperm(28, generator=generator)[:6] + 2
        height, wide, top, left, tall, across = drawn.tolist()
        given = {"original": (height, wide), "corner": (top, left), "target": (tall, across)}
        cases.append(Case(about, given | {"width": width}))
    return cases


def _in_order(order: Callable[..., tuple[int, ...]]) -> Answer:
    """The right numbers, heard in another order."""
    return lambda original, corner, target, width: _hands(order(original, corner, target), width)


def _heard(change: Callable[[Tensor], Tensor]) -> Answer:
    """The right numbers in the right order, but their cosines and sines stand elsewhere."""
    return lambda original, corner, target, width: change(
        _both((*original, *corner, *target), width)
    ).flatten()


TOLD_SIZES = Exercise(
    name="sdxl.3",
    title="A false target",
    make_cases=_size_cases,
    reference=told_sizes,
    mistakes=(
        Mistake(
            "Sizes stand together in yours. Which of the six numbers are in the middle?",
            _in_order(lambda original, corner, target: (*original, *target, *corner)),
        ),
        Mistake(
            "You say width before height and left before top, as image libraries do.",
            _in_order(
                lambda original, corner, target: (*original[::-1], *corner[::-1], *target[::-1])
            ),
        ),
        Mistake(
            "Original and target are exchanged.",
            _in_order(lambda original, corner, target: (*target, *corner, *original)),
        ),
        Mistake(
            "Sines come first in yours. Papers do not agree on that, but the weights have learnt "
            "one order.",
            _heard(lambda both: both.roll(both.shape[1] // 2, dims=1)),
        ),
        Mistake(
            "Cosines and sines take turns in yours.",
            _heard(lambda both: both.unflatten(1, (2, -1)).mT),
        ),
        Mistake(
            "You say one hand of all six numbers, then the next. Each number is to be heard whole.",
            _heard(lambda both: both.T),
        ),
        Mistake(
            "Your slowest hand is too slow: its period is the longest one exactly, as in another "
            "convention. By how many hands is the exponent divided?",
            lambda original, corner, target, width: _hands(
                (*original, *corner, *target), width, shift=1
            ),
        ),
        Mistake(
            "Your hands slow down only half as quickly as they should. How many are there, if each "
            "gives a cosine and a sine?",
            lambda original, corner, target, width: _hands(
                (*original, *corner, *target), width, shift=-(width // 2)
            ),
        ),
    ),
)

# 4. A wrong wire: not checked

# 5. How many votes, how many voters?


def worth(votes: int, each: int, rho: float) -> float:
    """To how many independent votes these come, `each` from one person, correlated by ρ."""
    return votes / (1 + (each - 1) * rho)


def _vote_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, each, rho in (
        ("a person gives many votes", 5 + int(torch.randint(30, (), generator=generator)), 0.0),
        ("a person gives one vote", 1, 0.0),
        ("all votes of a person are the same", 12, 1.0),
    ):
        people = 20 + int(torch.randint(200, (), generator=generator))
        rho = rho or 0.1 + 0.4 * float(torch.rand((), generator=generator))
        cases.append(Case(about, {"votes": people * each, "each": each, "rho": rho}))
    return cases


WORTH = Exercise(
    name="sdxl.5",
    title="How many votes, how many voters? (open-ended)",
    make_cases=_vote_cases,
    reference=worth,
    mistakes=(
        Mistake(
            "A person's vote is correlated with itself in yours: one vote a person would count "
            "for less than one.",
            lambda votes, each, rho: votes / (1 + each * rho),
        ),
        Mistake(
            "That is the number of people, as if all votes of a person were one.",
            lambda votes, each, rho: votes / each,
        ),
        Mistake(
            "Correlated votes count for more in yours than independent ones.",
            lambda votes, each, rho: votes * (1 + (each - 1) * rho),
        ),
        Mistake(
            "All votes are correlated with all others in yours, also those of other people.",
            lambda votes, each, rho: votes / (1 + (votes - 1) * rho),
        ),
        Mistake(
            "You take a share ρ of the votes away, however many a person gave.",
            lambda votes, each, rho: votes * (1 - rho),
        ),
        Mistake(
            "You divide by how much wider an interval becomes. By what is the variance of the mean "
            "larger?",
            lambda votes, each, rho: votes / (1 + (each - 1) * rho) ** 0.5,
        ),
        Mistake(
            "Your correlation is squared.",
            lambda votes, each, rho: worth(votes, each, rho**2),
        ),
    ),
)

EXERCISES = (BLOCK_SIZE, TOLD_SIZES, WORTH)
