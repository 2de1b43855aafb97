"""Run one notebook and collect what its functions make of the hidden inputs."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any

from edudiff.exercises.runner import Report
from edudiff.grading.confine import Confinement
from edudiff.grading.limits import Limits
from edudiff.grading.session import Message, Session, Stopped, TooMuchMemory, open_session

AGAIN = 3
"""How often a notebook is begun anew without the cell or exercise that ended it."""
START = 120.0
"""Seconds in which the process has to be there: importing PyTorch takes long on a busy machine."""
PATIENCE = 15.0
"""Seconds beyond a limit, within which the submission's own process should have said so."""

Calls = Sequence[Mapping[str, Any]]


@dataclass
class Attempt:
    """What a notebook did.

    Attributes:
        reports: for each exercise that was answered, what the function did.
        stopped: for each exercise that ended the process, or was not reached, why.
        no_function: for each exercise, the type of what was handed in instead of a function.
        problems: what went wrong in cells, in words.
        remarks: what a teacher should look at.
        unreadable: why it is no notebook, or "".
    """

    reports: dict[str, Report] = field(default_factory=dict)
    stopped: dict[str, str] = field(default_factory=dict)
    no_function: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    unreadable: str = ""


def run(
    notebook: str, questions: Mapping[str, Calls], confinement: Confinement, limits: Limits
) -> Attempt:
    """Run a notebook and put the questions to it.

    A cell or function that ends the process, or holds it up for good, is left out, and the rest
    begins anew, a few times.

    Args:
        notebook: the text of the file.
        questions: for each exercise the inputs as plain data.
        confinement: how processes are started.
        limits: what it may use.
    """
    work = _Work(notebook, questions, confinement, limits)
    for _ in range(1 + AGAIN):
        try:
            with open_session(confinement, "edudiff.grading.student", limits.memory) as session:
                work.go_through(session)
            return work.attempt
        except TooMuchMemory as stopped:
            work.cell = work.greediest()
            if not work.blame(str(stopped)):
                break
        except Stopped as stopped:
            if not work.blame(str(stopped)):
                break
    for name in work.left():
        work.attempt.stopped[name] = f"This was tried several times. {work.why}"
    return work.attempt


class _Work:
    """One notebook, and where it stands."""

    def __init__(
        self, notebook: str, questions: Mapping[str, Calls], confinement: Confinement, most: Limits
    ) -> None:
        self.attempt = Attempt()
        self.questions, self.limits = questions, most
        self.order = {
            "notebook": notebook,
            "limits": asdict(most),
            "alone": confinement.alone,
        }
        self.skip: dict[int, str] = {}
        self.why = "The notebook ended its process each time."
        self.cell: int | None = None
        self.held: dict[int, int] = {}
        self.exercise: str | None = None

    def left(self) -> list[str]:
        """The exercises of which nothing is known yet."""
        known = self.attempt.reports.keys() | self.attempt.stopped.keys()
        return [
            name for name in self.questions if name not in known | self.attempt.no_function.keys()
        ]

    def go_through(self, session: Session) -> None:
        """Run the cells, then ask.

        Raises:
            Stopped: if the process had to be given up.
        """
        self.cell = self.exercise = None
        self.held = {}
        message = session.ask(self.order | {"skip": list(self.skip)}, START)
        if "unreadable" in message:
            self.attempt.unreadable = _text(message["unreadable"])
            return
        self.attempt.remarks = list(map(_text, _list(message.get("remarks"))))
        while "handed" not in (message := session.receive(self.limits.cell_seconds + PATIENCE)):
            self.cell = message.get("cell")
            if isinstance(self.cell, int):
                self.held[self.cell] = _number(message.get("held"))
        self.cell = None
        self.attempt.problems = _problems(_list(message.get("problems")), self.skip)
        for name in self.left():
            if name in _list(message["handed"]):
                self._put(name, session)

    def _put(self, name: str, session: Session) -> None:
        """Put the question of one exercise."""
        self.exercise = name
        seconds = self.limits.answer_seconds
        request = {"exercise": name, "calls": self.questions[name], "seconds": seconds}
        answer = session.ask(request, seconds + PATIENCE)
        self.exercise = None
        if "no_function" in answer:
            self.attempt.no_function[name] = _text(answer["no_function"])
            return
        try:
            self.attempt.reports[name] = Report.from_plain(answer["report"])
        except (TypeError, KeyError, AttributeError, ValueError):
            self.attempt.stopped[name] = "It answered with damaged data."

    def greediest(self) -> int | None:
        """The cell after which most memory was held beyond what was held before it.

        The cell that runs when the limit is passed may have found it filled by an earlier one.
        """
        if self.exercise is not None or not self.held:
            return self.cell
        steps = pairwise([*self.held.values(), self.limits.memory])
        growth = {cell: then - now for cell, (now, then) in zip(self.held, steps, strict=True)}
        return max(growth, key=growth.__getitem__)

    def blame(self, why: str) -> bool:
        """Leave out what was going on when the process was given up.

        Returns:
            Whether to begin anew: so if something could be left out, and also if no cell had been
            reached, which is not the notebook's fault.
        """
        if self.exercise is not None:
            self.attempt.stopped[self.exercise] = why
        elif self.cell is None:
            self.why = why
        elif isinstance(self.cell, int) and self.cell not in self.skip:
            self.skip[self.cell] = why
        else:
            self.attempt.stopped |= dict.fromkeys(self.left(), why)
            return False
        return True


def _problems(found: list[Message], skip: Mapping[int, str]) -> list[str]:
    told = [f"Code cell {number} was left out: {why}" for number, why in skip.items()]
    for each in found[:100]:
        if isinstance(each, dict):
            told.append(f"Code cell {_text(each.get('cell'))}: {_text(each.get('problem'))}")
    return told


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) else 0


def _text(value: Any) -> str:
    return str(value)[:300]
