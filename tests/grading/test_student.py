import json
import os
import subprocess
import sys
from dataclasses import asdict

import pytest

from edudiff.grading import limits, student
from edudiff.grading.limits import Limits
from edudiff.grading.student import answer, run_cells

MOST = Limits(seconds=20.0, cell_seconds=0.5)


@pytest.fixture(autouse=True)
def _main(monkeypatch):
    """The notebook's module takes the place of this process's main one only for a test."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


def problems(*sources: str, skip=(), most=MOST) -> list[tuple[int, str]]:
    found = run_cells(sources, skip, most, lambda number: None)
    return [(each["cell"], each["problem"]) for each in found]


def test_cells_share_their_names_and_an_error_stops_no_other():
    code = "a = 1", "raise ValueError('no')", "def :", "import sys; sys.exit(3)", "assert a == 1"
    assert [number for number, _ in problems(*code)] == [2, 3, 4]
    assert problems(*code)[0] == (2, "ValueError: no")


def test_an_endless_cell_is_stopped_and_the_next_one_runs():
    assert problems("while True: pass", "b = 2") == [(1, "stopped when its time was up")]


def test_cells_are_left_out_when_the_notebooks_time_is_used_up():
    most = Limits(seconds=0.3, cell_seconds=5.0)
    late = problems("while True: pass", "b = 2", most=most)
    assert late[1] == (2, "not run: the notebook's time was used up")


def test_a_cell_that_is_to_be_skipped_is():
    assert problems("raise ValueError", "raise KeyError", skip=[1]) == [(2, "KeyError")]


def test_every_cell_is_announced_before_it_runs():
    told = []
    run_cells(["a = 1", "b = 2"], [], MOST, told.append)
    assert told == [1, 2]


def test_a_message_that_cannot_be_read_stops_nothing():
    code = "class E(Exception):\n    def __str__(self): raise KeyError\nraise E"
    assert problems(code) == [(1, "E")]


def test_dataclasses_and_display_work_as_in_jupyter():
    code = "import dataclasses\n@dataclasses.dataclass\nclass A:\n    a: 'int'\ndisplay(A(1))"
    assert problems(code) == []


def test_a_function_is_answered_for_and_a_number_is_not():
    request = {"exercise": "a.1", "calls": [{"x": {"kind": "number", "value": 2}}], "seconds": 5.0}
    report = answer({"a.1": lambda x: x + 1}, request)["report"]
    assert report["answers"] == ({"kind": "number", "dtype": "int", "value": 3},)
    assert answer({"a.1": 3.0}, request) == {"no_function": "float"}


def test_what_cannot_be_read_is_not_seen(tmp_path):
    (tmp_path / "empty").touch()
    (tmp_path / "full").write_text("x")
    names = [str(tmp_path / name) for name in ("empty", "full", "nothing")]
    assert student.look(names) == {
        "user": os.getuid(),
        "network": limits.can_reach_the_network(),
        "sees": names[1:2],
    }


def test_the_process_speaks_json_and_its_notebook_is_not_heard():
    cells = ["print('noise'); import os; os.write(1, b'noise'); os.fork(); input()"]
    book = json.dumps({"cells": [{"cell_type": "code", "source": source} for source in cells]})
    order = {"notebook": book, "limits": asdict(Limits()), "alone": False, "skip": []}
    words = [sys.executable, "-m", "edudiff.grading.student"]
    done = subprocess.run(
        words, input=json.dumps(order), capture_output=True, text=True, check=True
    )
    first, second, third = map(json.loads, done.stdout.splitlines())
    assert second.pop("held") > 10**7 or sys.platform != "linux"
    assert (first, second) == ({"remarks": []}, {"cell": 1})
    assert third["handed"] == [] and third["problems"][0]["problem"].startswith("EOFError")
