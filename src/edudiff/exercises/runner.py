"""Run a student's function and report what it did as plain data.

This half of a check knows no exercise, no hint and no right answer, so that it can run in a
process of its own.
"""

import contextlib
import dis
import io
import sysconfig
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FunctionType
from typing import Any

import torch
from torch import Tensor

from edudiff.exercises.limit import TimeUp, finish_within
from edudiff.exercises.plain import Plain, encode

SECONDS = 10.0
MOST_PRINTED, MOST_LINES = 2000, 20
OURS = str(Path(__file__).parents[1])
NOT_THE_STUDENTS = (OURS, sysconfig.get_path("stdlib"), "<frozen", "<@")
"""How the names of files begin that no student wrote; "<@" is where shapes are checked."""
PACKAGES = ("site-packages", "dist-packages")
EMPTY = {"RESUME", "NOP", "LOAD_CONST", "RETURN_CONST", "RETURN_VALUE"}
"""The steps of a function that does nothing but return a constant."""


@dataclass(frozen=True)
class Place:
    """A line of the student's code.

    Attributes:
        function: the name of the function it is in.
        number: counted from the top of its cell or file.
        code: the line itself, or "" if it cannot be had.
    """

    function: str
    number: int
    code: str


@dataclass(frozen=True)
class Report:
    """What a function did with its inputs.

    Attributes:
        answers: what it returned for each input, up to the first that went wrong.
        empty: whether there is nothing in the function yet.
        raised: what it raised, as "ValueError: …", or "".
        late: whether it was stopped because its time was up.
        place: the student's line that raised, or on which the time was up.
        changed: the names of arguments that it changed in place.
        printed: the beginning of what it wrote to stdout and stderr.
    """

    answers: tuple[Plain, ...] = ()
    empty: bool = False
    raised: str = ""
    late: bool = False
    place: Place | None = None
    changed: tuple[str, ...] = ()
    printed: str = ""

    def to_plain(self) -> Plain:
        """The report as it goes to another process."""
        return asdict(self)

    @staticmethod
    def from_plain(plain: Plain) -> "Report":
        """The report as it came from there.

        Raises:
            TypeError: if the fields are not those of a report.
        """
        place = Place(**plain["place"]) if plain.get("place") else None
        lists = {name: tuple(plain.get(name, ())) for name in ("answers", "changed")}
        return Report(**(plain | lists | {"place": place}))


def probe(function: Any, calls: Sequence[Mapping[str, Any]], *, seconds: float = SECONDS) -> Report:
    """Call `function` with each of the inputs, whatever it may do, and report.

    Every call gets copies of its arguments, by position. The random numbers that the function
    takes from torch's global state are the same each time, and the state is put back.

    Args:
        function: the student's answer.
        calls: for each call the arguments, in order: numbers and tensors.
        seconds: for all calls together.
    """
    record = _Record()
    stream = _Beginning()

    def work() -> None:
        record.take(function, calls)

    with contextlib.redirect_stdout(stream), contextlib.redirect_stderr(stream):
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(0)
            stack = finish_within(seconds, work)
    return Report(
        answers=tuple(record.answers),
        empty=is_empty(function) or record.unwritten,
        raised="" if stack is not None else record.raised,
        late=stack is not None,
        place=student_line(stack) if stack is not None else record.place,
        changed=tuple(sorted(record.changed)),
        printed="".join("".join(stream.parts).splitlines(keepends=True)[:MOST_LINES]),
    )


class _Record:
    """What is known so far, also if the calls never end."""

    def __init__(self) -> None:
        self.answers: list[Plain] = []
        self.changed: set[str] = set()
        self.raised = ""
        self.unwritten = False
        self.place: Place | None = None

    def take(self, function: Callable[..., Any], calls: Sequence[Mapping[str, Any]]) -> None:
        try:
            for given in calls:
                lent = {name: _copy(value) for name, value in given.items()}
                self.answers.append(encode(function(*lent.values())))
                self.changed |= {name for name in given if not _same(given[name], lent[name])}
        except TimeUp:
            pass
        except BaseException as error:  # also SystemExit
            words = _words(error)
            self.raised = f"{type(error).__name__}: {words}".removesuffix(": ")
            self.place = student_line(traceback.extract_tb(error.__traceback__))
            here = not words or bool(self.place and "NotImplementedError" in self.place.code)
            self.unwritten = type(error) is NotImplementedError and here  # PyTorch raises it too


class _Beginning(io.TextIOBase):
    """A stream that keeps the beginning of what is written to it."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.left = MOST_PRINTED

    def write(self, text: str) -> int:
        if self.left > 0:
            self.parts.append(text[: self.left])
            self.left -= len(text)
        return len(text)


def is_empty(function: Any) -> bool:
    """Whether a function does nothing yet: its body is `...`, `pass` or a docstring."""
    if function is None or function is ...:
        return True
    plain = isinstance(function, FunctionType)
    steps = list(dis.get_instructions(function)) if plain else []
    constants = [step.argval for step in steps if step.opname.endswith("_CONST")]
    return constants in ([None], [...]) and {step.opname for step in steps} <= EMPTY


def student_line(stack: traceback.StackSummary) -> Place | None:
    """The innermost line that is neither a library's nor ours; None if there is none."""
    for frame in reversed(stack):
        library = any(name in Path(frame.filename).parts for name in PACKAGES)
        if not library and not frame.filename.startswith(NOT_THE_STUDENTS):
            return Place(frame.name, frame.lineno or 0, (frame.line or "").strip()[:200])
    return None


def _words(error: BaseException) -> str:
    try:
        return " ".join(str(error).split())[:300]
    except Exception:
        return "(its message cannot be read)"


def _copy(value: Any) -> Any:
    return value.clone() if isinstance(value, Tensor) else value


def _same(before: Any, after: Any) -> bool:
    if not isinstance(before, Tensor):
        return True
    alike = before.dtype == after.dtype and before.shape == after.shape
    return alike and before.device == after.device and torch.equal(before, after)
