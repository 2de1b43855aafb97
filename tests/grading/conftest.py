"""How strangers' code is started here, and notebooks of strangers."""

import sys
from collections.abc import Callable, Sequence

import pytest

from edudiff.exercises import EXERCISES
from edudiff.exercises.exercise import Exercise
from edudiff.grading import canary, confine
from edudiff.grading.confine import Confinement
from edudiff.grading.limits import Limits

SIGMA = "forward-diffusion.2"
CHECK = "from edudiff.exercises import check"

if sys.platform == "win32":
    collect_ignore_glob = ["test_*.py"]


@pytest.fixture
def sigma() -> dict[str, Exercise]:
    """One exercise with short answers."""
    return {SIGMA: EXERCISES[SIGMA]}


@pytest.fixture(scope="session")
def confinement() -> Confinement:
    """The strongest way that works here; without one there is nothing to test."""
    try:
        return confine.choose()
    except OSError as error:
        pytest.skip(str(error))


@pytest.fixture
def limits() -> Limits:
    """Little of everything."""
    return Limits(seconds=20.0, cell_seconds=2.0, answer_seconds=2.0, memory=2 * 10**9)


@pytest.fixture
def notebook() -> Callable[[Sequence[str]], str]:
    """Cells → the text of a file."""
    return canary.notebook
