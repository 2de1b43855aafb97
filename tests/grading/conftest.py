"""How strangers' code is started here, and notebooks of strangers."""

import os
import shutil
import subprocess
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
    """The strongest way that works here."""
    if os.geteuid() == 0 and not can_become_another():
        pytest.skip("root cannot become another user here, and does not lend its own rights")
    return confine.choose()


def can_become_another() -> bool:
    """Whether the system lets us; asked without the code under test."""
    command = ["setpriv", "--reuid", "60000", "--regid", "60000", "--clear-groups", "true"]
    installed = shutil.which("setpriv") is not None
    return installed and subprocess.run(command, capture_output=True, check=False).returncode == 0


@pytest.fixture
def limits() -> Limits:
    """Little of everything."""
    return Limits(seconds=20.0, cell_seconds=2.0, answer_seconds=2.0, memory=2 * 10**9)


@pytest.fixture
def notebook() -> Callable[[Sequence[str]], str]:
    """Cells → the text of a file."""
    return canary.notebook
