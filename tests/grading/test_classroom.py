import csv
import signal
import subprocess
import sys

import pytest

from edudiff.exercises import EXERCISES, variants
from edudiff.grading import attempt, canary, classroom, hidden
from edudiff.grading.attempt import Attempt
from edudiff.grading.classroom import CanaryError, Examination, choose_exercises, grade
from edudiff.grading.submissions import Submission

NAME = "forward-diffusion.2"
CHECK = "from edudiff.exercises import check\n"
WRONG = CHECK + f"check('{NAME}', lambda a: a)"
LARGEST = 10**6


@pytest.fixture
def folder(tmp_path, sigma, notebook):
    """Four students."""
    place = tmp_path / "class"
    place.mkdir()
    exercise = sigma[NAME]
    (place / "ann.ipynb").write_text(canary.solved([exercise]))
    (place / "ben.ipynb").write_text(notebook([WRONG]))
    (place / "cem.ipynb").write_text("not JSON")
    (place / "dee.ipynb").write_text("")
    return place


def rows(path) -> list[tuple[str, str, str]]:
    with path.open(encoding="utf-8") as file:
        return [(row["student"], row["points"], row["status"]) for row in csv.DictReader(file)]


@pytest.mark.slow
def test_a_class_is_graded(folder, tmp_path, sigma, limits):
    out, said = tmp_path / "out" / "grades.csv", []
    grade(folder, out, sigma, limits, largest=LARGEST, say=said.append)
    assert rows(out) == [
        ("ann", "1", "pass"),
        ("ben", "0", "not_yet"),
        ("cem", "0", "error"),
        ("dee", "0", "error"),
    ]
    feedback = out.parent / "grades-feedback"
    assert sorted(path.stem for path in feedback.iterdir()) == ["ann", "ben", "cem", "dee"]
    assert "The file could not be read" in (feedback / "cem.txt").read_text()
    assert any(line.startswith("canaries: right") for line in said)


@pytest.mark.slow
def test_a_class_with_a_variant_of_its_own_is_graded(tmp_path, limits):
    """Only this year's answers get points, whatever a notebook says of itself."""
    name, say = "forward-diffusion.1", []
    book, old, new = (variants.make(EXERCISES[name], year) for year in (0, 2026, 2027))
    place = tmp_path / "class"
    place.mkdir()
    texts = {"ann": canary.solved([new]), "ben": canary.solved([old]), "cem": canary.solved([book])}
    texts["dee"] = texts["ben"].replace("variant=2026", "variant=2027")
    for student, text in texts.items():
        (place / f"{student}.ipynb").write_text(text)
    out = tmp_path / "grades.csv"
    records = grade(place, out, {name: new}, limits, largest=LARGEST, say=say.append)
    assert [record.points for record in records] == [1, 0, 0, 0]
    messages = [record.marks[0].message for record in records]
    assert messages[1].startswith("This is right in another class's variant, but not here.")
    assert messages[2].startswith("This is right in the book, but not here. Yours is variant 2027")
    assert messages[3] == messages[1]
    remarks = [record.remarks for record in records]
    assert remarks[0] == remarks[3] == ()
    assert remarks[1] == ("made for variant 2026, graded as variant 2027",)


def test_a_student_is_graded_anew_for_another_variant(sigma, confinement):
    first, second = (
        Examination({NAME: variants.make(sigma[NAME], year)}, 1, confinement)
        for year in (2026, 2027)
    )
    assert (first.variant, second.variant) == (2026, 2027)
    assert first.settings != second.settings


@pytest.mark.usefixtures("confinement")
def test_no_table_is_written_if_the_canaries_come_out_wrong(
    folder, tmp_path, sigma, limits, monkeypatch
):
    monkeypatch.setattr(attempt, "run", lambda *_: Attempt())  # as if a package were missing
    out = tmp_path / "grades.csv"
    with pytest.raises(CanaryError, match="expected pass for every exercise"):
        grade(folder, out, sigma, limits, largest=LARGEST, say=lambda line: None)
    assert not out.exists()


@pytest.fixture
def graded(monkeypatch):
    """The students that are run, in order, without processes; the canaries are taken as right."""
    names = []

    def run(text, questions, confinement, limits):
        names.append(text[:10])
        if text == "interrupt":
            raise KeyboardInterrupt
        return Attempt(unreadable="nothing was run")

    monkeypatch.setattr(attempt, "run", run)
    monkeypatch.setattr(classroom, "try_canaries", lambda examination: None)
    return names


@pytest.mark.usefixtures("confinement")
def test_an_interrupt_loses_nobody_and_the_next_run_goes_on(
    folder, tmp_path, sigma, limits, graded
):
    out = tmp_path / "grades.csv"
    for name, text in (("ann", "a"), ("ben", "b"), ("cem", "interrupt"), ("dee", "d")):
        (folder / f"{name}.ipynb").write_text(text)
    with pytest.raises(KeyboardInterrupt):
        grade(folder, out, sigma, limits, largest=LARGEST, say=lambda line: None)
    assert not out.exists() and graded == ["a", "b", "interrupt"]
    (folder / "cem.ipynb").write_text("c")
    grade(folder, out, sigma, limits, largest=LARGEST, say=lambda line: None)
    assert graded == ["a", "b", "interrupt", "c", "d"] and len(rows(out)) == 4


@pytest.mark.usefixtures("confinement")
def test_a_new_version_of_a_notebook_is_graded_anew(folder, tmp_path, sigma, limits, graded):
    out = tmp_path / "grades.csv"
    grade(folder, out, sigma, limits, largest=LARGEST, say=lambda line: None)
    graded.clear()
    (folder / "ben.ipynb").write_text("new")
    grade(folder, out, sigma, limits, largest=LARGEST, say=lambda line: None)
    assert graded == ["new"]


def test_several_notebooks_of_a_student_count_together(folder, sigma, confinement, graded):
    both = Submission("x", (folder / "ann.ipynb", folder / "dee.ipynb"))
    record = Examination(sigma, 2**65, confinement).grade(both)
    assert len(record.marks) == 1 and len(graded) == 1  # the empty one is not even run
    assert Examination(sigma, 2**65, confinement).grade(Submission("y", ())).points == 0


def test_the_same_seed_asks_the_same_and_another_does_not(sigma, confinement):
    one, same, other = (
        Examination(sigma, seed, confinement).cases[NAME][0] for seed in (107, 107, 108)
    )
    assert hidden.equal(one, same) and not hidden.equal(one, other)


@pytest.mark.parametrize(
    ("words", "count"), [([], None), ([NAME], 1), (["forward-diffusion"], 5), (["forward-*.2"], 1)]
)
def test_exercises_are_chosen_by_name_chapter_or_pattern(words, count):
    assert len(choose_exercises(EXERCISES, words)) == (count or len(EXERCISES))


def test_an_exercise_that_is_not_there_is_refused(refusal):
    with refusal("expected names, chapters or .* got 'forward-difusion'. Of the chapter forward-d"):
        choose_exercises(EXERCISES, ["forward-difusion"])


@pytest.mark.slow
def test_a_killed_grader_goes_on_where_it_was(folder, tmp_path, notebook):
    (folder / "bad.ipynb").write_text(notebook([CHECK + "import time; time.sleep(1000)"]))
    words = f"-m edudiff.cli grade {folder} --out {tmp_path}/g.csv --exercises {NAME}".split()
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout:
            if line.startswith("ann:"):
                break
        process.send_signal(signal.SIGKILL)
    assert not (tmp_path / "g.csv").exists()
    (folder / "bad.ipynb").write_text(notebook([WRONG]))
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, check=True)
    assert "ann: 1 of 1 (graded before)" in done.stdout
    assert "bad: 0 of 1\n" in done.stdout and len(rows(tmp_path / "g.csv")) == 5
