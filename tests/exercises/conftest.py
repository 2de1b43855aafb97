"""Small exercises for the tests of the machinery."""

import pytest
import torch

from edudiff.exercises.exercise import Case, Exercise, Mistake


def double(x):
    """The reference: twice x."""
    return 2 * x


@pytest.fixture
def doubling() -> Exercise:
    """Double a tensor; one mistake that shows everywhere, one that shows at 0 only."""
    return Exercise(
        name="toy.1",
        title="Twice as much",
        make_cases=lambda generator: [
            Case("x is random", {"x": torch.randn(3, generator=generator)}),
            Case("x = 0", {"x": torch.zeros(3)}),
        ],
        reference=double,
        mistakes=(
            Mistake("You square.", lambda x: x**2 * (x != 0)),
            Mistake("Zero becomes one.", lambda x: 2 * x + (x == 0), "x = 0"),
        ),
    )
