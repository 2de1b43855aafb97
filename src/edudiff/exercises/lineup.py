"""A line-up: right and wrong results of the same task, for tests that students write.

A function cannot cross to another process, its results can. So a student's test is shown what
several programs made of the same input, and says True or False to each.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Generator

from edudiff.exercises.exercise import Case


def line_up(
    generator: Generator,
    programs: Mapping[str, Callable[..., Any]],
    draw: Callable[[Generator], dict[str, Any]],
    result: str,
    hidden: str = "",
) -> list[Case]:
    """One case for each program, in an order that the generator settles.

    Args:
        generator: the source of randomness.
        programs: what is special about each → given inputs, what it makes of them.
        draw: generator → inputs by name, drawn afresh for every program.
        result: under which name the student's test gets what the program made; it comes last.
        hidden: an input that programs get and the student's test does not.
    """
    names = list(programs)
    cases = []
    for index in torch.randperm(len(names), generator=generator).tolist():
        given = draw(generator)
        made = programs[names[index]](*given.values())
        shown = {name: value for name, value in given.items() if name != hidden}
        cases.append(Case(names[index], shown | {result: made}))
    return cases


def close(one: torch.Tensor, other: torch.Tensor, tolerance: float = 1e-3) -> bool:
    """Whether two tensors are the same up to rounding."""
    return bool(torch.allclose(one.double(), other.double(), rtol=tolerance, atol=1e-6))
