"""What an exercise is: inputs, a right answer, and the wrong ones with what to say of them."""

import inspect
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Generator

from edudiff.exercises.plain import Plain, encode

Answer = Callable[..., Any]
EVERYWHERE = ""


@dataclass(frozen=True)
class Case:
    """One call of the student's function.

    Attributes:
        about: what is special about it, in words that fit after "when": "the noise is 0".
        given: the arguments by name, in order: numbers, tensors and tuples of numbers.
    """

    about: str
    given: dict[str, Any]


Seen = Callable[[Sequence[Case], Sequence[Plain]], bool]


@dataclass(frozen=True)
class Mistake:
    """A typical wrong answer, and what to say to it.

    Attributes:
        hint: what is wrong, never what is right.
        answer: code that makes this mistake and no other.
        about: the mistake is looked for only in the cases that are about this, so that it is
            found beside mistakes that show elsewhere.
        seen: (cases, answers) → whether this mistake was made. If not given, it was made by
            whoever answers what `answer` does.
    """

    hint: str
    answer: Answer
    about: str = EVERYWHERE
    seen: Seen | None = None


@dataclass(frozen=True)
class Exercise:
    """A function to write, and all that is needed to judge one.

    Attributes:
        name: chapter and number, as in "forward-diffusion.2".
        title: what the exercise is called.
        make_cases: draws the inputs; afresh for every seed.
        reference: a right answer, under the name that the student is asked for.
        mistakes: in the order in which they are looked for.
        accepts: (cases, answers) → whether the answers are right, for tasks with chance in them,
            whose answers are judged by their law. If not given, they have to be the reference's.
        variant: 0 in the book; a class's own version has another number, see `variants`.
    """

    name: str
    title: str
    make_cases: Callable[[Generator], list[Case]]
    reference: Answer
    mistakes: tuple[Mistake, ...]
    accepts: Seen | None = None
    variant: int = 0

    def cases(self, seed: int) -> list[Case]:
        """The inputs for this seed, different from those of every other exercise and variant."""
        own = f" {self.variant}" if self.variant else ""
        mixed = zlib.crc32(f"{self.name} {seed}{own}".encode())
        return self.make_cases(torch.Generator().manual_seed(mixed))

    @property
    def signature(self) -> str:
        """How the student's function is called, as in "jump(x0, eps)"."""
        return (
            f"{self.reference.__name__}({', '.join(inspect.signature(self.reference).parameters)})"
        )

    @property
    def starter(self) -> str:
        """The cell that a student begins with."""
        own = f", variant={self.variant}" if self.variant else ""
        return (
            f"from edudiff.exercises import check\n\n"
            f"def {self.signature}:\n    ...\n\n"
            f'check("{self.name}", {self.reference.__name__}{own})'
        )


def answers_of(answer: Answer, cases: Sequence[Case]) -> list[Plain]:
    """What a function of ours says to each case, as plain data."""
    return [encode(answer(*case.given.values())) for case in cases]
