import json
import subprocess
import sys

import pytest

TRY = """
import importlib, json
from edudiff.grading import stub
handed = stub.install()
from edudiff.exercises import EXERCISES, check
passed = [check("a.1", 1).passed, check("a.1", 2).passed, check("b.1", 3).passed]
told = {}
for name in ("catalogue", "forward_diffusion", "judge", "runner"):
    try:
        importlib.import_module(f"edudiff.exercises.{name}")
    except ModuleNotFoundError as error:
        told[name] = str(error)
print(json.dumps({"handed": handed, "passed": passed, "told": told, "listed": EXERCISES}))
"""


@pytest.fixture(scope="module")
def found():
    """What holds in a process in which the stub was put in place."""
    words = [sys.executable, "-c", TRY]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def test_the_last_call_wins(found):
    assert found["handed"] == {"a.1": 2, "b.1": 3}


def test_nothing_is_judged(found):
    assert found["passed"] == [False] * 3


@pytest.mark.parametrize("module", ["catalogue", "forward_diffusion", "judge"])
def test_no_answer_can_be_imported(found, module):
    expected = f"No module named 'edudiff.exercises.{module}' while a submission is graded"
    assert found["told"][module] == expected


def test_what_runs_a_function_can_be_imported(found):
    assert "runner" not in found["told"]


def test_the_room_lists_no_exercise(found):
    assert found["listed"] == {}
