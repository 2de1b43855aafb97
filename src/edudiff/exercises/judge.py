"""From what a function did to what is said about it. Sees plain data only."""

from collections.abc import Sequence

import torch

from edudiff.exercises.exercise import Case, Exercise, Mistake, answers_of
from edudiff.exercises.plain import Plain
from edudiff.exercises.result import Result, Status
from edudiff.exercises.runner import Report

RELATIVE, ABSOLUTE = 1e-3, 1e-5
"""How far two numbers may be apart and count as the same: single precision is good enough."""


def judge(exercise: Exercise, cases: Sequence[Case], report: Report) -> Result:
    """Say how well a function answered these cases."""
    title = f"exercise {exercise.name}, {exercise.title}"
    if report.empty or any(answer["kind"] == "ellipsis" for answer in report.answers):
        message = f"Write {exercise.signature}, then run this cell again."
        return Result(Status.NOT_ATTEMPTED, title, message)
    if report.late or report.raised or len(report.answers) < len(cases):
        return _stopped(exercise, title, report)
    hint = _hint(exercise, cases, report)
    status, message = (Status.NOT_YET, hint) if hint else (Status.PASS, "All checks pass.")
    return Result(status, title, message, printed=report.printed)


def _stopped(exercise: Exercise, title: str, report: Report) -> Result:
    place = report.place
    where = f" In {place.function}, line {place.number}:" if place and place.code else ""
    if place and not place.code:
        where = f" In {place.function}, line {place.number}."
    if report.late:
        what = "Your code was still running when its time was up. Does every loop end?"
    elif place is None and report.raised.startswith("TypeError"):
        what = f"Your function could not be called as {exercise.signature}. {report.raised}"
    else:
        what = f"Your code raised {report.raised or 'nothing, but did not come back'}."
    code = place.code if place else ""
    return Result(Status.ERROR, title, what + where, code=code, printed=report.printed)


def _hint(exercise: Exercise, cases: Sequence[Case], report: Report) -> str:
    """The first thing that is wrong, or "" if nothing is."""
    answers = report.answers
    if any(answer["kind"] == "nothing" for answer in answers):
        return "Your function returns nothing (None). Is a return missing?"
    expected = answers_of(exercise.reference, cases)
    right = [same(*pair) for pair in zip(answers, expected, strict=True)]
    if exercise.accepts(cases, answers) if exercise.accepts else all(right):
        return _changed(report)
    for mistake in exercise.mistakes:
        if made(mistake, cases, answers):
            return mistake.hint
    for answer, wanted in zip(answers, expected, strict=True):
        if form := _form(answer, wanted):
            return form
    return _which(cases, right, "verdicts" if any(map(_verdict, expected)) else "values")


def made(mistake: Mistake, cases: Sequence[Case], answers: Sequence[Plain]) -> bool:
    """Whether the answers show this mistake."""
    both = [
        pair for pair in zip(cases, answers, strict=True) if mistake.about in ("", pair[0].about)
    ]
    looked_at, found = [case for case, _ in both], [answer for _, answer in both]
    if mistake.seen:
        return mistake.seen(looked_at, found)
    typical = answers_of(mistake.answer, looked_at)
    return all(same(*pair) for pair in zip(found, typical, strict=True))


def same(one: Plain, other: Plain) -> bool:
    """Whether two answers are the same numbers in the same form, up to rounding."""
    if "items" in one and "items" in other:
        pairs = list(zip(one["items"], other["items"], strict=False))
        alike = len(one["items"]) == len(other["items"])
        return alike and all(same(*pair) for pair in pairs)
    a, b = numbers(one), numbers(other)
    if a is None or b is None or a.shape != b.shape or not _suits(one, other) or not _here(one):
        return False
    return bool(torch.isclose(a, b, rtol=RELATIVE, atol=ABSOLUTE, equal_nan=True).all())


def numbers(answer: Plain) -> torch.Tensor | None:
    """An answer as a float64 tensor, or None if it is not one number or tensor."""
    if answer["kind"] == "number":
        return torch.tensor(float(answer["value"]), dtype=torch.float64)
    if answer["kind"] == "tensor" and answer["values"] is not None:
        return torch.tensor(answer["values"], dtype=torch.float64).reshape(answer["shape"])
    return None


def _suits(answer: Plain, wanted: Plain) -> bool:
    """Whether it is a verdict where one is wanted; elsewhere, whether it could hold fractions.

    One whole number of Python is as good as a float.
    """
    if _verdict(wanted) or answer["dtype"] == "bool":
        return _verdict(wanted) and answer["dtype"] == "bool"
    return answer["kind"] == "number" or "float" in answer["dtype"]


def _verdict(wanted: Plain) -> bool:
    return bool(wanted.get("dtype") == "bool")


def _here(answer: Plain) -> bool:
    """Whether it is where the inputs were."""
    return answer.get("device", "cpu") == "cpu"


def _form(answer: Plain, wanted: Plain) -> str:
    """What is wrong with an answer before one looks at its values, or ""."""
    if "items" in wanted:
        if "items" not in answer or len(answer["items"]) != len(wanted["items"]):
            return f"Expected {len(wanted['items'])} values, got {_described(answer)}."
        pairs = zip(answer["items"], wanted["items"], strict=True)
        return next(filter(None, (_form(*pair) for pair in pairs)), "")
    if answer["kind"] not in ("number", "tensor"):
        return f"Expected {_described(wanted)}, got {_described(answer)}."
    if not _suits(answer, wanted):
        kind = "True or False" if _verdict(wanted) else "floating-point numbers"
        return f"Expected {kind}, got {answer['dtype']}."
    if answer.get("shape", []) != wanted.get("shape", []):
        return f"Expected {_described(wanted)}, got {_described(answer)}."
    if not _here(answer):
        return f"The inputs are on the CPU, your answer is on {answer.get('device')!r}."
    if _finite(wanted) and not _finite(answer):
        return "Your answer has values that are not numbers, or infinite. What is divided by 0?"
    return ""


def _finite(answer: Plain) -> bool:
    values = numbers(answer)
    return values is not None and bool(values.isfinite().all())


def _described(answer: Plain) -> str:
    if answer["kind"] == "tensor":
        return f"a tensor of shape {tuple(answer['shape'])}"
    if answer["kind"] == "number":
        return "True or False" if _verdict(answer) else "one number"
    if "items" in answer:
        return f"a {answer['kind']} of {len(answer['items'])}"
    return f"something of type {answer.get('type', answer['kind'])}"


def _which(cases: Sequence[Case], right: Sequence[bool], what: str) -> str:
    """Which cases are wrong: all that can be said of a mistake that nobody foresaw."""
    good, bad = (
        list(dict.fromkeys(case.about for case, ok in zip(cases, right, strict=True) if ok is kind))
        for kind in (True, False)
    )
    wrong = f"Your {what} are not right when {' or when '.join(bad)}"
    good = [about for about in good if about not in bad]
    return f"{wrong}, but they are when {' and when '.join(good)}." if good else f"{wrong}."


def _changed(report: Report) -> str:
    if not report.changed:
        return ""
    names = " and ".join(report.changed)
    return f"The values are right, but your function changes its input {names}: work on a copy."
