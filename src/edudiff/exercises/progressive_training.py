"""The exercises of the chapter on progressive training."""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

# 1. The same price


def plan(budget: float, share: float, base: float, whole: float) -> tuple[int, int]:
    """Whole steps of the small network, and then of the large one, that a budget pays for."""
    return int(budget * share // base), int(budget * (1 - share) // whole)


def _plan_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, share in (
        ("a part is spent on the small network", 0.2 + 0.2 * _number(generator)),
        ("most is spent on the small network", 0.6 + 0.2 * _number(generator)),
        ("nothing is spent on the small network", 0.0),
    ):
        base = 1.0 + _number(generator)
        whole = base * (2.0 + 2 * _number(generator))
        # Far enough from whole numbers of steps that rounding errors do not matter.
        budget = whole * 100.5 / (1 - share)
        base = budget * share / (int(budget * share / base) + 0.6) if share else base
        cases.append(Case(about, {"budget": budget, "share": share, "base": base, "whole": whole}))
    return cases


def _number(generator: Generator) -> float:
    return float(torch.rand((), generator=generator, dtype=torch.float64))


def _planned(otherwise: Callable[[float, float, float, float], tuple[float, float]]) -> Answer:
    """Another division, cut to whole steps in the right way."""

    def answer(budget: float, share: float, base: float, whole: float) -> tuple[int, int]:
        first, second = otherwise(budget, share, base, whole)
        return int(first), int(second)

    return answer


PLAN = Exercise(
    name="progressive-training.1",
    title="The same price",
    make_cases=_plan_cases,
    reference=plan,
    mistakes=(
        Mistake(
            "You divide the number of steps, not what they cost: a step of the small network is "
            "paid like one of the large one.",
            _planned(lambda m, share, base, whole: (share * m / whole, (1 - share) * m / whole)),
        ),
        Mistake(
            "In yours the large network gets the whole budget, as if the small one had been free. "
            "That is the comparison per step at full resolution.",
            _planned(lambda m, share, base, whole: (share * m / base, m / whole)),
        ),
        Mistake(
            "In yours a step of the grown network costs only what the new part adds. The inner "
            "network runs in every step.",
            _planned(
                lambda m, share, base, whole: (share * m / base, (1 - share) * m / (whole - base))
            ),
        ),
        Mistake(
            "The two shares have changed places.",
            _planned(lambda m, share, base, whole: ((1 - share) * m / base, share * m / whole)),
        ),
        Mistake(
            "You round steps up: the budget does not pay for the last ones.",
            lambda budget, share, base, whole: (
                math.ceil(budget * share / base),
                math.ceil(budget * (1 - share) / whole),
            ),
        ),
    ),
)

# 2. A mean of what is there


def mixed_loss(high: Tensor, low: Tensor) -> Tensor:
    """The loss of a mixed batch: as it would be on average if all had both resolutions."""
    return high.mean() + low.mean()


def _loss_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, there, batch in (
        ("half of the batch has the high resolution", 4, 8),
        ("few of the batch have the high resolution", 2, 10),
        ("all have both resolutions", 5, 5),
    ):
        high, low = (1 + torch.rand(count, generator=generator) for count in (there, batch))
        cases.append(Case(about, {"high": high, "low": low}))
    return cases


MIXED_LOSS = Exercise(
    name="progressive-training.2",
    title="A mean of what is there",
    make_cases=_loss_cases,
    reference=mixed_loss,
    mistakes=(
        Mistake(
            "The sum of the high resolution's errors is divided by the whole batch: the fewer "
            "pictures have it, the less it counts.",
            lambda high, low: high.sum() / len(low) + low.mean(),
        ),
        Mistake(
            "You take one mean over all errors. Then a resolution counts by how many pictures "
            "have it.",
            lambda high, low: torch.cat([high, low]).mean(),
        ),
        Mistake(
            "The low resolution counts only for pictures that have both. The others are in the "
            "batch for nothing.",
            lambda high, low: high.mean() + low[: len(high)].mean(),
        ),
        Mistake(
            "You average the two resolutions instead of adding them.",
            lambda high, low: (high.mean() + low.mean()) / 2,
        ),
        Mistake(
            "You add up all errors: with a larger batch yours grows.",
            lambda high, low: high.sum() + low.sum(),
        ),
    ),
)

# 3. Does it fit?


def largest_batch(memory: float, weights: float, each: float, guided: bool) -> int:
    """How many pictures can be drawn at once; 0 if not even one."""
    room = memory - weights
    return max(0, int(room // (each * (2 if guided else 1))))


def _memory_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, room, guided in (
        ("there is guidance", 9.5, True),
        ("there is no guidance", 6.5, False),
        ("not even one picture fits", -1.5, True),
    ):
        each, weights = 0.5 + _number(generator), 4 + 4 * _number(generator)
        more = int(torch.randint(8, (), generator=generator)) if room > 0 else 0
        memory = weights + each * (room + more)
        given = {"memory": memory, "weights": weights, "each": each, "guided": guided}
        cases.append(Case(about, given))
    return cases


LARGEST_BATCH = Exercise(
    name="progressive-training.3",
    title="Does it fit?",
    make_cases=_memory_cases,
    reference=largest_batch,
    mistakes=(
        Mistake(
            "With guidance the network is asked twice for each picture, in one batch.",
            lambda memory, weights, each, guided: max(0, int((memory - weights) // each)),
            about="there is guidance",
        ),
        Mistake(
            "In yours every picture is asked for twice, also without guidance.",
            lambda memory, weights, each, guided: max(0, int((memory - weights) // (2 * each))),
            about="there is no guidance",
        ),
        Mistake(
            "Fewer than no pictures cannot be drawn.",
            lambda memory, weights, each, guided: int(
                (memory - weights) // (each * (2 if guided else 1))
            ),
            about="not even one picture fits",
        ),
        Mistake(
            "You forget what lies in the memory before the first picture.",
            lambda memory, weights, each, guided: int(memory // (each * (2 if guided else 1))),
        ),
        Mistake(
            "You double the weights for guidance. It is the same network, asked about more.",
            lambda memory, weights, each, guided: max(
                0, int((memory - weights * (2 if guided else 1)) // each)
            ),
            about="there is guidance",
        ),
        Mistake(
            "Your last picture does not quite fit: you round up.",
            lambda memory, weights, each, guided: max(
                0, math.ceil((memory - weights) / (each * (2 if guided else 1)))
            ),
        ),
    ),
)

EXERCISES = (PLAN, MIXED_LOSS, LARGEST_BATCH)
