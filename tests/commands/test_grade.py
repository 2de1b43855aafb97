import json
import sys

import pytest

from edudiff import cli
from edudiff.exercises import EXERCISES
from edudiff.grading import classroom
from edudiff.grading.mark import Mark
from edudiff.grading.records import Record


@pytest.fixture
def asked(monkeypatch):
    """What the command asks for, instead of doing it."""
    calls = []

    def grade(folder, out, exercises, limits, **rest):
        calls.append((folder, out, exercises, limits, rest))
        return [Record("ann", (Mark("a.1", "pass", "", ""),) * 3)]

    monkeypatch.setattr(classroom, "grade", grade)
    return calls


def test_what_is_asked_for_is_done(asked, tmp_path, capsys):
    words = f"grade {tmp_path} --out x.csv --exercises forward-diffusion --seconds 9 --memory 3"
    assert cli.main([*words.split(), "--largest", "7", "--seed", "5"]) == 0
    folder, out, exercises, limits, rest = asked[0]
    assert (folder, out.name) == (tmp_path, "x.csv")
    assert len(exercises) == 5 and "forward-diffusion.2" in exercises
    assert (limits.seconds, limits.cell_seconds, limits.memory) == (9, 60, 3 * 10**9)
    assert (rest["largest"], rest["seed"]) == (7 * 10**6, 5)
    assert capsys.readouterr().out == "x.csv: 1 students, 3 rows\n"


def test_the_hidden_seed_is_secret_unless_one_is_given(asked, tmp_path):
    assert cli.main(["grade", str(tmp_path)]) == 0
    assert asked[0][-1]["seed"] is None


def test_a_class_is_graded_as_the_variant_that_is_given(asked, tmp_path):
    assert cli.main(["grade", str(tmp_path), "--variant", "2027", "--exercises", "gan"]) == 0
    exercises = asked[0][2]
    assert exercises["gan.2"].variant == 2027
    assert exercises["gan.2"].reference is not EXERCISES["gan.2"].reference


def test_without_a_variant_the_exercises_are_the_books(asked, tmp_path):
    assert cli.main(["grade", str(tmp_path)]) == 0
    assert asked[0][2] == EXERCISES


def test_notebooks_of_a_variant_are_not_graded_as_the_books_by_mistake(asked, tmp_path, capsys):
    stamped = {"cells": [], "metadata": {"edudiff": {"variant": 2027}}}
    (tmp_path / "ann.ipynb").write_text(json.dumps(stamped))
    assert cli.main(["grade", str(tmp_path)]) == 2 and asked == []
    assert "--variant: expected 2027" in capsys.readouterr().err
    assert cli.main(["grade", str(tmp_path), "--variant", "0"]) == 0


@pytest.mark.parametrize("words", [["--out", "x.txt"], ["--exercises", "x.9"], ["--seconds", "0"]])
def test_what_cannot_be_is_refused(asked, tmp_path, words):
    try:
        status = cli.main(["grade", str(tmp_path), *words])
    except SystemExit as exit:
        status = exit.code
    assert status == 2 and asked == []


def test_a_folder_that_is_not_there_is_refused_in_a_sentence(tmp_path, capsys):
    assert cli.main(["grade", str(tmp_path / "nothing"), "--out", str(tmp_path / "g.csv")]) == 2
    assert "submissions: expected a folder with notebooks" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_windows_is_refused_in_a_sentence(asked, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "platform", "win32")
    assert cli.main(["grade", str(tmp_path)]) == 2
    assert "expected Linux or macOS" in capsys.readouterr().err


def test_a_wrong_canary_is_told_with_status_1(monkeypatch, tmp_path, capsys):
    def grade(*_, **__):
        raise classroom.CanaryError("expected pass")

    monkeypatch.setattr(classroom, "grade", grade)
    assert cli.main(["grade", str(tmp_path)]) == 1
    assert "canary: expected pass" in capsys.readouterr().err


def test_an_interrupted_command_says_that_it_goes_on(monkeypatch, tmp_path, capsys):
    def grade(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(classroom, "grade", grade)
    assert cli.main(["grade", str(tmp_path)]) == 130
    assert "interrupted; the same command goes on" in capsys.readouterr().err
