"""The inputs that no student has seen."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from edudiff.exercises.exercise import Case, Exercise
from edudiff.exercises.plain import Plain, encode

VISIBLE = range(20)
"""Seeds that a student may have tried; `check` takes 0 unless told otherwise."""
TRIES = 100


def draw_seed() -> int:
    """A seed that nobody can guess."""
    return 2**64 + secrets.randbits(64)


def hidden_cases(exercise: Exercise, seed: int) -> list[Case]:
    """The cases for grading; those that can be new are.

    A limit that has to hold is the same for every seed, and where only few inputs are possible
    they recur. Since an exercise is passed only if all cases are right, one new case is enough to
    make a table of old answers worthless. A class's variant has inputs of its own, and those of
    the book are visible to it, too.

    Raises:
        ValueError: if the inputs were seen with every seed that was tried.
    """
    visible = [exercise.cases(number) for number in VISIBLE]
    if exercise.variant:
        visible += [replace(exercise, variant=0).cases(number) for number in VISIBLE]
    for each in range(seed, seed + TRIES):
        cases = exercise.cases(each)
        new = any(_is_new(case, visible) for case in cases)
        if new and not overlap(cases, visible):
            return cases
    raise ValueError(f"{exercise.name}: expected inputs that nobody has seen, found none")


def _is_new(case: Case, visible: Sequence[Sequence[Case]]) -> bool:
    return not any(equal(case, other) for some in visible for other in some)


def overlap(cases: Sequence[Case], visible: Sequence[Sequence[Case]]) -> list[Case]:
    """The cases that are also among the visible ones, without those of a kind that recurs."""
    recurring = {
        case.about
        for number, some in enumerate(visible)
        for case in some
        if any(equal(case, other) for later in visible[number + 1 :] for other in later)
    }
    seen = [case for some in visible for case in some if case.about not in recurring]
    return [case for case in cases if any(equal(case, other) for other in seen)]


def equal(one: Case, other: Case) -> bool:
    """Whether two cases have the same inputs."""
    return one.given.keys() == other.given.keys() and all(
        _same(value, other.given[name]) for name, value in one.given.items()
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        return one.shape == other.shape and torch.equal(one, other)
    return type(one) is type(other) and bool(one == other)


def to_plain(cases: Sequence[Case]) -> list[Mapping[str, Plain]]:
    """The inputs as they are sent."""
    return [{name: encode(value) for name, value in case.given.items()} for case in cases]
