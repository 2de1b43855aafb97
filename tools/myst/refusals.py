"""How a page is refused: where, why, and what would have been right."""

import difflib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

LISTED = 20
"""Up to this many valid names are listed in full; beyond, only the nearest is named."""


class Refusal(Exception):
    """Something in a page that would not survive in a plain notebook.

    Args:
        line: where it stands in the page, counted from 1.
        message: what is wrong, in one line.
    """

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line


class Problems(Exception):
    """All that is wrong with a book, one line each."""


@contextmanager
def noted(problems: list[str], file: str) -> Iterator[None]:
    """Turn a refusal into one more line of `problems`, and go on after the block."""
    try:
        yield
    except Refusal as refusal:
        problems.append(f"{file}:{refusal.line}: {refusal}")


def unknown(line: int, kind: str, name: str, known: Iterable[str]) -> Refusal:
    """The refusal of a name that does not exist, with those that do."""
    names = sorted(known)
    nearest = difflib.get_close_matches(name, names, n=1, cutoff=0.4)
    hints = [f"known: {', '.join(names) or 'none'}"] if len(names) <= LISTED else []
    hints += [f"nearest: {nearest[0]}"] if nearest else []
    return Refusal(line, f"unknown {kind} {name!r}" + (f" ({'; '.join(hints)})" if hints else ""))
