"""From what a notebook did to what each exercise gets."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from edudiff.exercises.exercise import Case, Exercise
from edudiff.exercises.judge import judge
from edudiff.exercises.result import Result, Status
from edudiff.grading.attempt import Attempt


@dataclass(frozen=True)
class Mark:
    """What one student gets for one exercise: a row of the table.

    Attributes:
        exercise: its name.
        status: of the check, in small letters: pass, not_yet, error, not_attempted.
        message: what is said about it.
        text: the same with the student's own lines and what was printed, for feedback.
    """

    exercise: str
    status: str
    message: str
    text: str

    @property
    def points(self) -> int:
        """All or nothing."""
        return int(self.status == Status.PASS.name.lower())


def make_mark(exercise: Exercise, result: Result) -> Mark:
    """The mark that belongs to a result."""
    return Mark(exercise.name, result.status.name.lower(), result.message, str(result))


def mark(exercise: Exercise, cases: Sequence[Case], attempt: Attempt) -> Mark:
    """Judge what a notebook did for one exercise; raises nothing, whatever came back."""
    title = f"exercise {exercise.name}, {exercise.title}"
    status, message = Status.ERROR, ""
    if attempt.unreadable:
        message = f"The file could not be read. {attempt.unreadable}"
    elif exercise.name in attempt.reports:
        try:
            return make_mark(exercise, judge(exercise, cases, attempt.reports[exercise.name]))
        except Exception:  # a forged report can be anything
            message = "It answered with damaged data."
    elif exercise.name in attempt.no_function:
        status = Status.NOT_YET
        message = (
            f"Pass the function itself, {exercise.reference.__name__} without brackets, "
            f"not something of type {attempt.no_function[exercise.name]}."
        )
    elif exercise.name in attempt.stopped:
        message = f"Your code could not be run to its end. {attempt.stopped[exercise.name]}"
    else:
        status = Status.NOT_ATTEMPTED
        message = f'No check("{exercise.name}", …) was reached when the notebook ran.'
    return make_mark(exercise, Result(status, title, message))


def mark_all(
    exercises: Mapping[str, Exercise], cases: Mapping[str, Sequence[Case]], attempt: Attempt
) -> list[Mark]:
    """The marks of one notebook, one for each exercise."""
    return [mark(exercise, cases[name], attempt) for name, exercise in exercises.items()]


def best(marks: Sequence[Sequence[Mark]]) -> list[Mark]:
    """For each exercise the best of several notebooks of one student."""
    order = ["pass", "not_yet", "error", "not_attempted"]
    return [
        min(some, key=lambda mark: order.index(mark.status)) for some in zip(*marks, strict=True)
    ]
