"""Grade a whole class: first the canaries, then one student after the other, then the table."""

import fnmatch
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import edudiff
from edudiff.exercises import catalogue
from edudiff.exercises.exercise import Case, Exercise
from edudiff.exercises.plain import Plain
from edudiff.grading import (
    attempt,
    canary,
    confine,
    hidden,
    mark,
    protection,
    stamps,
    submissions,
)
from edudiff.grading.attempt import Attempt
from edudiff.grading.confine import Confinement
from edudiff.grading.limits import Limits
from edudiff.grading.mark import Mark
from edudiff.grading.records import Places, Record, table, write
from edudiff.grading.submissions import Submission

Say = Callable[[str], None]


class CanaryError(RuntimeError):
    """A notebook whose marks are known got others."""


@dataclass(frozen=True)
class Examination:
    """What is asked, and how it is run.

    Attributes:
        exercises: by name.
        seed: of the hidden inputs.
        confinement: how submissions are started.
        limits: what each may use.
        largest: bytes that a notebook may have.
    """

    exercises: Mapping[str, Exercise]
    seed: int
    confinement: Confinement
    limits: Limits = field(default_factory=Limits)
    largest: int = 20 * 10**6
    cases: dict[str, list[Case]] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        for name, exercise in self.exercises.items():
            self.cases[name] = hidden.hidden_cases(exercise, self.seed)

    @property
    def variant(self) -> int:
        """The class's version of the exercises; 0 is the book's."""
        return next((exercise.variant for exercise in self.exercises.values()), 0)

    @property
    def settings(self) -> str:
        """What decides the marks beside the notebook."""
        asked = [*self.exercises, self.variant, self.seed, self.largest, edudiff.__version__]
        return json.dumps([*asked, asdict(self.limits)])

    def try_notebook(self, text: str) -> tuple[Attempt, list[Mark]]:
        """Run a notebook and judge what it did."""
        questions: dict[str, Sequence[Mapping[str, Plain]]]
        questions = {name: hidden.to_plain(cases) for name, cases in self.cases.items()}
        done = attempt.run(text, questions, self.confinement, self.limits)
        return done, mark.mark_all(self.exercises, self.cases, done)

    def grade(self, submission: Submission) -> Record:
        """All about one student."""
        tried = []
        for path in submission.files:
            try:
                text = submissions.read(path, self.largest)
                tried.append(self.try_notebook(text))
                tried[-1][0].remarks.extend(stamps.remarks(text, self.variant))
            except ValueError as error:
                broken = Attempt(unreadable=f"{path.name}: {error}.")
                tried.append((broken, mark.mark_all(self.exercises, self.cases, broken)))
        if not tried:
            nothing = Attempt(unreadable="There is no notebook in the folder.")
            tried.append((nothing, mark.mark_all(self.exercises, self.cases, nothing)))
        marks = mark.best([marks for _, marks in tried])
        problems = [problem for done, _ in tried for problem in done.problems]
        remarks = dict.fromkeys(remark for done, _ in tried for remark in done.remarks)
        return Record(submission.student, tuple(marks), tuple(problems), tuple(remarks))


def choose_exercises(all_: Mapping[str, Exercise], wanted: Sequence[str]) -> dict[str, Exercise]:
    """The exercises meant by names, chapters or patterns such as "*.1"; all if nothing is said.

    Raises:
        ValueError: for a word that means none.
    """
    chosen: dict[str, Exercise] = {}
    for word in wanted or ["*"]:
        patterns = (word, f"{word}.*")
        found = [name for name in all_ if any(fnmatch.fnmatchcase(name, p) for p in patterns)]
        if not found:
            expected = "names, chapters or patterns of exercises"
            hint = catalogue.suggestion(word, all_)
            raise ValueError(f"exercises: expected {expected}, got {word!r}.{hint}")
        chosen |= {name: all_[name] for name in found}
    return {name: all_[name] for name in all_ if name in chosen}


def try_canaries(examination: Examination) -> None:
    """Grade the two notebooks whose marks are known.

    Raises:
        CanaryError: if one of them gets other marks.
    """
    exercises = examination.exercises.values()
    expected = {"pass": canary.solved(exercises), "not_attempted": canary.unsolved(exercises)}
    for status, text in expected.items():
        done, marks = examination.try_notebook(text)
        wrong = [each for each in marks if each.status != status]
        if wrong or done.problems:
            first = f"{wrong[0].exercise}: {wrong[0].message}" if wrong else done.problems[0]
            raise CanaryError(
                f"expected {status} for every exercise of a notebook of ours, got {first} "
                "No submission was graded and no table written."
            )


def grade(
    folder: Path,
    out: Path,
    exercises: Mapping[str, Exercise],
    limits: Limits,
    *,
    largest: int,
    seed: int | None = None,
    say: Say = print,
) -> list[Record]:
    """Grade every submission in a folder and write the table; it goes on where it was stopped.

    Args:
        folder: notebooks, see `submissions.find`.
        out: the table to write.
        exercises: which ones count.
        limits: what each submission may use.
        largest: bytes that a notebook may have.
        seed: of the hidden inputs; a secret one, kept beside the table, if not given.
        say: gets one line at a time.

    Raises:
        ValueError: if there is nothing to grade.
        CanaryError: if the grading itself does not work here; then there is no table.
        OSError: if files cannot be written, or nothing here confines strangers' code.
    """
    found, others = submissions.find(folder)
    for path in others:
        say(f"left out, not a notebook: {path.name}")
    places = Places(out)
    places.make()
    secret = [folder, places.work, places.feedback]
    confinement = confine.choose(secret)
    say(protection.report(protection.examine(confinement, secret, limits)))
    hidden_seed = places.seed(hidden.draw_seed()) if seed is None else seed
    examination = Examination(exercises, hidden_seed, confinement, limits, largest)
    try_canaries(examination)
    say(f"canaries: right. {len(found)} submissions, {len(exercises)} exercises")
    records = [_one(each, examination, places, say) for each in found]
    write(out, table(records))
    return records


def _one(submission: Submission, examination: Examination, places: Places, say: Say) -> Record:
    """A student's record, from an earlier run if nothing has changed since."""
    mine = submissions.fingerprint(submission, examination.largest, examination.settings)
    record = places.load(submission.student, mine)
    note = " (graded before)" if record else ""
    if record is None:
        record = examination.grade(submission)
        places.save(record, mine)
    remarks = f" [{'; '.join(record.remarks)}]" if record.remarks else ""
    say(f"{submission.student}: {record.points} of {len(record.marks)}{remarks}{note}")
    return record
