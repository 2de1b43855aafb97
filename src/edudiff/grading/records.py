"""What is kept while a class is graded, so that nothing is lost, and the table at the end."""

import csv
import io
import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from edudiff.grading.mark import Mark

COLUMNS = ["student", "exercise", "points", "status", "message", "remarks"]


@dataclass(frozen=True)
class Record:
    """All about one student.

    Attributes:
        student: the name.
        marks: one for each exercise.
        problems: what went wrong in cells.
        remarks: for the teacher only.
    """

    student: str
    marks: tuple[Mark, ...]
    problems: tuple[str, ...] = ()
    remarks: tuple[str, ...] = ()

    @property
    def points(self) -> int:
        """The sum."""
        return sum(mark.points for mark in self.marks)


@dataclass(frozen=True)
class Places:
    """Where things are written, all beside the table: `grades.csv` → `grades-feedback` and so on.

    Attributes:
        table: the table.
    """

    table: Path

    @property
    def feedback(self) -> Path:
        """A folder with a file for each student, made to be handed out."""
        return self.table.with_name(f"{self.table.stem}-feedback")

    @property
    def work(self) -> Path:
        """A folder with what is finished, not made to be handed out."""
        return self.table.with_name(f"{self.table.stem}-work")

    def make(self) -> None:
        """Create the folders.

        Raises:
            OSError: if that cannot be.
        """
        self.feedback.mkdir(parents=True, exist_ok=True)
        self.work.mkdir(mode=0o700, parents=True, exist_ok=True)
        (self.work / "students").mkdir(exist_ok=True)

    def seed(self, new: int) -> int:
        """The seed of the hidden inputs: an earlier run's, else the new one, kept for later."""
        path = self.work / "seed.json"
        if not path.exists():
            write(path, json.dumps(new))
        return int(json.loads(path.read_text()))

    def load(self, student: str, fingerprint: str) -> Record | None:
        """What is known of a student, if neither the notebook nor the grading has changed since."""
        try:
            found = json.loads(self._student(student).read_text(encoding="utf-8"))
            if found.pop("fingerprint") != fingerprint:
                return None
            marks = tuple(Mark(**mark) for mark in found.pop("marks"))
            lists = {name: tuple(found.pop(name)) for name in ("problems", "remarks")}
            return Record(student=student, marks=marks, **lists)
        except (OSError, ValueError, TypeError, KeyError):
            return None

    def save(self, record: Record, fingerprint: str) -> None:
        """Write a student's feedback, then keep the record."""
        write(self.feedback / f"{record.student}.txt", feedback(record))
        whole = asdict(record) | {"fingerprint": fingerprint}
        write(self._student(record.student), json.dumps(whole))

    def _student(self, student: str) -> Path:
        return self.work / "students" / f"{student}.json"


def write(path: Path, text: str) -> None:
    """Write a file that is at every moment the old one, or none, or the whole new one."""
    unfinished = path.with_name(f".{path.name[:200]}.{os.getpid()}.part")
    try:
        with unfinished.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def table(records: Iterable[Record]) -> str:
    """One row for each student and exercise, as CSV."""
    text = io.StringIO()
    rows = csv.writer(text)
    rows.writerow(COLUMNS)
    for record in records:
        for mark in record.marks:
            words = [record.student, mark.exercise, mark.status, mark.message]
            student, exercise, status, message = map(harmless, words)
            remarks = harmless("; ".join(record.remarks))
            rows.writerow([student, exercise, mark.points, status, message, remarks])
    return text.getvalue()


def harmless(text: str) -> str:
    """The text on one line of signs that can be seen, and no formula to a spreadsheet."""
    line = " ".join(visible(text).split())
    return f"'{line}" if line.startswith(("=", "+", "-", "@")) else line


def visible(text: str) -> str:
    """The text without signs that would steer a terminal."""
    return "".join(sign if sign.isprintable() or sign == "\n" else "�" for sign in text)


def feedback(record: Record) -> str:
    """What a student gets to read."""
    total = len(record.marks)
    parts: Sequence[str] = [
        f"{record.student}: {record.points} of {total}",
        *(m.text for m in record.marks),
    ]
    if record.problems:
        parts = [*parts, "\n".join(["While your notebook ran:", *record.problems])]
    return visible("\n\n".join(parts)) + "\n"
