import json
from contextlib import nullcontext

import pytest

from edudiff.exercises import EXERCISES
from edudiff.exercises.plain import decode
from edudiff.grading import attempt, hidden, stub
from edudiff.grading.attempt import Attempt, run
from edudiff.grading.limits import Limits
from edudiff.grading.mark import mark_all
from edudiff.grading.session import Session, TooMuchMemory

CHECK = "from edudiff.exercises import check"
NAMES = ["forward-diffusion.2", "forward-diffusion.5"]
RIGHT = "def sigma(a):\n    return ((1 - a) / a).sqrt()\ncheck('forward-diffusion.2', sigma)"
MEMORY = "x = bytearray(50 * 10**9)"
TENSOR = "import torch; y = torch.ones(50 * 10**9 // 4)"
PATCHED = """
import torch
import edudiff.exercises.runner, edudiff.exercises.plain
torch.allclose = torch.equal = lambda *a, **k: True
torch.isclose = lambda a, *b, **k: torch.ones_like(a, dtype=torch.bool)
check("forward-diffusion.5", lambda table, k: table)
"""
READS = """
import glob, os, socket
from pathlib import Path
loot = {}
for path in [OUT, *glob.glob("/proc/[0-9]*/environ"), *glob.glob(ANSWERS + "/*.py")]:
    try:
        loot[path] = Path(path).read_bytes()
    except OSError:
        pass
def found(*args):
    return float(any(b"the hidden seed" in value or b"MISTAKES" in value or b"Mistake(" in value
                     for value in loot.values()))
check("toy", found)
"""
FORK_BOMB = "import os\nwhile True:\n    os.fork()"
HANGS = "def f(*a):\n    return sum(range(10**15))\ncheck('forward-diffusion.5', f)"


@pytest.fixture
def asked():
    """Two exercises, their hidden cases, and those as questions."""
    exercises = {name: EXERCISES[name] for name in NAMES}
    cases = {name: hidden.hidden_cases(each, 2**65) for name, each in exercises.items()}
    questions = {name: hidden.to_plain(some) for name, some in cases.items()}
    return exercises, cases, questions


def statuses(asked, done: Attempt) -> list[str]:
    return [mark.status for mark in mark_all(*asked[:2], done)]


def test_a_hostile_notebook_keeps_what_it_solved(asked, confinement, limits, notebook):
    cells = [CHECK, RIGHT, MEMORY, TENSOR, "while True: pass", PATCHED]
    cells += ["import os\nos.fork()", "import os\nos._exit(0)", CHECK, RIGHT]
    done = run(notebook(cells), asked[2], confinement, limits)
    assert statuses(asked, done) == ["pass", "not_yet"]
    told = "\n".join(done.problems)
    assert "Code cell 8 was left out: The process ended itself." in told
    assert "Code cell 5: stopped when its time was up" in told
    assert "MemoryError" in told and "Code cell 4: RuntimeError" in told


def test_copies_without_end_leave_room_for_the_next_cell(asked, confinement, limits, notebook):
    if not confinement.alone:
        pytest.skip("what else runs as this user must not be ended")
    done = run(notebook([FORK_BOMB, CHECK, RIGHT]), asked[2], confinement, limits)
    assert statuses(asked, done) == ["pass", "not_attempted"]
    assert [problem[:11] for problem in done.problems] == ["Code cell 1"]


@pytest.mark.slow
def test_a_function_that_holds_everything_up_costs_only_itself(
    asked, confinement, limits, notebook, monkeypatch
):
    monkeypatch.setattr(attempt, "PATIENCE", 2.0)
    done = run(notebook([CHECK, HANGS, RIGHT]), asked[2], confinement, limits)
    assert statuses(asked, done) == ["pass", "error"]
    assert "still running" in done.stopped["forward-diffusion.5"]


def test_nothing_of_ours_is_within_reach(asked, confinement, limits, notebook, tmp_path):
    if not confinement.namespaces:
        pytest.skip("nothing can be hidden here")
    (tmp_path / "seed").write_text("the hidden seed")
    code = READS.replace("OUT", repr(str(tmp_path / "seed")))
    code = code.replace("ANSWERS", repr(str(stub.FOLDER)))
    questions = {"toy": [{"x": {"kind": "number", "value": 1}}]}
    done = run(notebook([CHECK, code]), questions, confinement, limits)
    assert done.problems == []
    assert decode(done.reports["toy"].answers[0]) == 0.0


def test_what_is_no_notebook_is_told(asked, confinement, limits):
    done = run("PK not JSON", asked[2], confinement, limits)
    assert "expected cells in JSON" in done.unreadable
    assert statuses(asked, done) == ["error", "error"]


def test_metadata_and_numbering_do_not_matter(asked, confinement, limits):
    cells = [{"cell_type": "code", "source": source} for source in (CHECK, RIGHT, RIGHT)]
    done = run(json.dumps({"cells": cells}), asked[2], confinement, limits)
    assert statuses(asked, done) == ["pass", "not_attempted"]


class Scripted(Session):
    """A session that answers what it was told to."""

    def __init__(self, *messages) -> None:
        self.messages = list(messages)

    def ask(self, message, seconds):
        return self.messages.pop(0)

    def receive(self, seconds):
        return self.messages.pop(0)


@pytest.mark.parametrize(
    "answer",
    [{}, {"report": 3}, {"report": {"marks": 100}}, {"report": {"place": 3}}, {"report": []}],
)
def test_a_forged_report_is_an_error(asked, confinement, answer):
    work = attempt._Work("", asked[2], confinement, Limits())
    work.go_through(Scripted({}, {"handed": NAMES[:1], "problems": 3}, answer))
    assert work.attempt.stopped == {NAMES[0]: "It answered with damaged data."}


@pytest.mark.parametrize(
    "answers",
    [[3, 3, 3], [{}] * 3, [{"kind": "tensor", "values": "x", "shape": [1], "dtype": "float"}] * 3],
)
def test_forged_answers_are_an_error_and_no_traceback(asked, confinement, answers):
    work = attempt._Work("", asked[2], confinement, Limits())
    forged = {"report": {"answers": answers}}
    work.go_through(Scripted({}, {"handed": NAMES[:1], "problems": []}, forged))
    assert statuses(asked, work.attempt)[0] in ("error", "not_yet")


@pytest.mark.parametrize(
    ("held", "culprit"),
    [
        ([3, 4, 19, 19], 2),  # the second cell filled it, and the fourth found it full
        ([3, 4, 5, 6], 4),  # the fourth filled it itself
        (["x", None, 19, 19], 2),  # whoever does not tell the truth is told something
    ],
)
def test_the_cell_that_filled_the_memory_is_left_out(
    asked, confinement, monkeypatch, held, culprit
):
    class Full(Scripted):
        def receive(self, seconds):
            if not self.messages:
                raise TooMuchMemory("It used too much memory.")
            return super().receive(seconds)

    told = [{"cell": number, "held": each} for number, each in enumerate(held, start=1)]
    answer = {"report": {"answers": [], "raised": "E"}}
    sessions = [
        Full({}, *told),
        Full({}, *told[:1], {"handed": NAMES[:1], "problems": []}, answer),
    ]
    monkeypatch.setattr(attempt, "open_session", lambda *_: nullcontext(sessions.pop(0)))
    done = run("", asked[2], confinement, Limits(memory=20))
    assert done.problems == [f"Code cell {culprit} was left out: It used too much memory."]
    assert list(done.reports) == NAMES[:1] and sessions == []


def test_a_process_that_ends_before_any_cell_is_begun_anew(
    asked, confinement, limits, notebook, monkeypatch
):
    begun = []
    real = attempt.open_session

    def once_without_luck(*words):
        begun.append(words)
        return real(confinement, "no.such.module", 10**9) if len(begun) == 1 else real(*words)

    monkeypatch.setattr(attempt, "open_session", once_without_luck)
    done = run(notebook([CHECK, RIGHT]), asked[2], confinement, limits)
    assert statuses(asked, done) == ["pass", "not_attempted"] and len(begun) == 2
