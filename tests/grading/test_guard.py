import os
import subprocess
import sys

import pytest

from edudiff.grading import confine, guard
from edudiff.grading.guard import Plan

LOOK = "import os, sys; print([len(os.listdir(p)) for p in sys.argv[1:]], os.getcwd())"


def test_a_plan_crosses_a_command_line(tmp_path):
    plan = Plan(("a b",), ('"c"',), "d", ("e", "f g"))
    code = "import json, sys; print(json.loads(sys.argv[1])['command'][1])"
    words = [sys.executable, "-c", code, plan.to_word()]
    assert subprocess.run(words, check=True, capture_output=True, text=True).stdout == "f g\n"


@pytest.fixture
def namespaces(confinement):
    """The words that begin namespaces here."""
    if not confinement.namespaces:
        pytest.skip("no namespaces here")
    return confinement.namespaces


def test_what_is_hidden_is_empty_and_what_is_kept_stays(namespaces, tmp_path):
    for name in ("hidden", "hidden/kept", "scratch"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_text("x")
    hidden, kept, scratch = (str(tmp_path / n) for n in ("hidden", "hidden/kept", "scratch"))
    command = (sys.executable, "-c", LOOK, hidden, kept)
    plan = Plan((kept,), (hidden,), scratch, command)
    words = [*namespaces, *confine.python("edudiff.grading.guard"), plan.to_word()]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    assert done.stdout.strip() == f"[1, 1] {scratch}"  # the way to what is kept; its file
    assert len(os.listdir(hidden)) == 2


def test_what_is_kept_cannot_be_written(namespaces, tmp_path):
    (tmp_path / "scratch").mkdir()
    kept = tmp_path / "kept"
    kept.mkdir()
    code = f"open({str(kept / 'new')!r}, 'w')"
    plan = Plan((str(kept),), (), str(tmp_path / "scratch"), (sys.executable, "-c", code))
    words = [*namespaces, *confine.python("edudiff.grading.guard"), plan.to_word()]
    done = subprocess.run(words, check=False, capture_output=True, text=True)
    assert "Read-only file system" in done.stderr and not (kept / "new").exists()


def test_the_commands_status_comes_out(namespaces, tmp_path):
    plan = Plan((), (), str(tmp_path), (sys.executable, "-c", "import sys; sys.exit(7)"))
    words = [*namespaces, *confine.python("edudiff.grading.guard"), plan.to_word()]
    assert subprocess.run(words, check=False).returncode == 7


def test_a_place_that_is_not_there_is_left_alone(tmp_path):
    guard.cover(str(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()
