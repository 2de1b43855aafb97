import csv
import io
import stat
import sys

import pytest

from edudiff.grading import records
from edudiff.grading.mark import Mark
from edudiff.grading.records import Places, Record, feedback, table

MARKS = (Mark("a.1", "pass", "Right.", "✓ Right."), Mark("a.2", "error", "=1+1\nx", "\x1b[31mred"))


@pytest.fixture
def places(tmp_path):
    found = Places(tmp_path / "new" / "grades.csv")
    found.make()
    return found


def test_what_was_saved_is_loaded(places):
    record = Record("älice", MARKS, ("problem",), ("remark",))
    places.save(record, "mine")
    assert places.load("älice", "mine") == record


def test_what_has_changed_is_not_loaded(places):
    places.save(Record("alice", MARKS), "mine")
    assert places.load("alice", "other") is None
    assert places.load("bob", "mine") is None


def test_a_damaged_record_is_not_loaded(places):
    places.save(Record("alice", MARKS), "mine")
    next(places.work.glob("students/*")).write_text('{"fingerprint": "mine"}')
    assert places.load("alice", "mine") is None


def test_the_seed_stays(places):
    assert [places.seed(5), places.seed(6)] == [5, 5]


@pytest.mark.skipif(sys.platform == "win32", reason="no such rights")
def test_nobody_else_may_look_into_the_work(places):
    assert stat.S_IMODE(places.work.stat().st_mode) == 0o700


def test_the_table_has_a_row_for_each_student_and_exercise():
    text = table([Record("alice", MARKS), Record("bob", MARKS, remarks=("look",))])
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["student"], row["exercise"], row["points"]) for row in rows] == [
        ("alice", "a.1", "1"),
        ("alice", "a.2", "0"),
        ("bob", "a.1", "1"),
        ("bob", "a.2", "0"),
    ]
    assert rows[2]["remarks"] == "look"


@pytest.mark.parametrize("sign", "=+-@")
def test_no_cell_is_a_formula(sign):
    rows = list(csv.reader(io.StringIO(table([Record(f"{sign}cmd()", MARKS)]))))
    assert rows[1][0] == f"'{sign}cmd()"
    assert rows[2][4] == "'=1+1 x"


def test_feedback_says_what_was_wrong_and_steers_no_terminal():
    text = feedback(Record("alice", MARKS, ("Code cell 3: why",), ("for the teacher",)))
    assert text.startswith("alice: 1 of 2\n")
    assert "Code cell 3: why" in text and "for the teacher" not in text
    assert "\x1b" not in text


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "x"
    records.write(path, "old \ud800")
    assert path.read_text() == "old \\ud800"
    path.unlink()
    path.mkdir()
    with pytest.raises(OSError):
        records.write(path, "new")
    assert [each.name for each in tmp_path.iterdir()] == ["x"]
