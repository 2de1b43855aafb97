"""What a check answers, as a box in a notebook and as lines in a terminal."""

from dataclasses import dataclass
from enum import Enum
from html import escape

from edudiff.display.style import PALETTE

BLUE, ORANGE, GREEN, VIOLET, _, GREY = PALETTE


class Status(Enum):
    """The four ways in which a check can end; the value is its heading."""

    PASS = "Right"
    NOT_YET = "Not yet"
    ERROR = "Error"
    NOT_ATTEMPTED = "Not attempted"


LOOKS = {
    Status.PASS: ("✓", GREEN),
    Status.NOT_YET: ("✗", ORANGE),
    Status.ERROR: ("!", VIOLET),
    Status.NOT_ATTEMPTED: ("…", GREY),
}
"""A sign and a colour for each; the heading says the same in words."""


@dataclass(frozen=True)
class Result:
    """A verdict with one sentence or two.

    Attributes:
        status: how the check ended.
        title: the name of the exercise and what it is called.
        message: what is wrong, but never the answer.
        code: a line of the student's own code that the message speaks of, or "".
        printed: the beginning of what the student's code printed, or "".
    """

    status: Status
    title: str
    message: str
    code: str = ""
    printed: str = ""

    @property
    def passed(self) -> bool:
        """Whether the answer is right."""
        return self.status is Status.PASS

    def __str__(self) -> str:
        """The result in words, for a terminal."""
        lines = [f"{LOOKS[self.status][0]} {self.status.value}: {self.title}", self.message]
        lines += [f"    {self.code}"] if self.code else []
        lines += ["Your code printed:", self.printed.rstrip()] if self.printed.strip() else []
        return "\n".join(lines)

    __repr__ = __str__

    def _repr_html_(self) -> str:
        """The same as a box. Screen readers announce it; its colour says nothing by itself."""
        sign, colour = LOOKS[self.status]
        parts = [
            f'<p style="margin:0"><strong><span aria-hidden="true">{sign}</span> '
            f"{self.status.value}</strong>: {escape(self.title)}</p>",
            f'<p style="margin:.3em 0 0">{escape(self.message)}</p>',
        ]
        if self.code:
            parts.append(
                f'<pre style="margin:.3em 0 0;white-space:pre-wrap">{escape(self.code)}</pre>'
            )
        if self.printed.strip():
            parts.append(
                '<details style="margin:.3em 0 0"><summary>Your code printed something</summary>'
                f'<pre style="white-space:pre-wrap">{escape(self.printed)}</pre></details>'
            )
        return (
            f'<div class="edudiff-check" role="status" style="border-left:.35em solid {colour};'
            f'padding:.4em .9em;margin:.6em 0;max-width:44em">{"".join(parts)}</div>'
        )
