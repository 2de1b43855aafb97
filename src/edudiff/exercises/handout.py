"""A class's own notebooks, made from the book's, and how to recognise them."""

import json
import re
from typing import Any

from edudiff.exercises import variants
from edudiff.exercises.catalogue import EXERCISES

KEY = "edudiff"
"""Where a notebook's metadata hold its variant."""
CHECK = re.compile(r'(?m)^check\("([a-z-]+\.\d)"')
STAMP = re.compile(r"\bvariant=(\d{1,18})\)")
TOP = """\
**Variant {variant}.** The exercises of this notebook were made for one class: they are checked on
inputs of its own, and some have a number of their own, which is said where they are posed."""


def stamp(notebook: str, variant: int) -> tuple[str, list[str]]:
    """Make one of the book's notebooks a class's own.

    Args:
        notebook: the text of the file, exercises unsolved.
        variant: at least 1.

    Returns:
        The text of the class's file, and the names of the exercises that are checked in it.

    Raises:
        ValueError: if this is no notebook of the book.
    """
    try:
        whole = json.loads(notebook)
        cells = whole["cells"]
        found = [_own(cells, place, variant) for place in range(1, len(cells))]
    except (ValueError, TypeError, KeyError) as error:
        raise ValueError(f"notebook: expected one of the book's, got {error!r:.200}") from None
    if cells and "colab-badge" in _source(cells[0]):  # it leads to the book's own
        cells[0]["source"] = _lines(TOP.format(variant=variant))
    whole["metadata"][KEY] = {"variant": variant}
    text = json.dumps(whole, indent=1, ensure_ascii=False, sort_keys=True)
    return text + "\n", list(filter(None, found))


def _own(cells: list[dict[str, Any]], place: int, variant: int) -> str:
    """Change the starter in this cell and what is said above it; its name, or "" if it is none."""
    named = CHECK.search(_source(cells[place]))
    exercise = EXERCISES.get(named[1]) if named else None
    if exercise is None or _source(cells[place]) != exercise.starter:
        return ""
    own = variants.make(exercise, variant)
    cells[place]["source"] = _lines(own.starter)
    if words := variants.says(own):
        posed = _source(cells[place - 1])
        cells[place - 1]["source"] = _lines(f"{posed}\n\n**Variant {variant}.** {words}")
    return exercise.name


def _source(cell: dict[str, Any]) -> str:
    return cell["source"] if isinstance(cell["source"], str) else "".join(cell["source"])


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)


def stamped(notebook: str) -> int:
    """The variant for which a notebook was made; 0 if it is the book's, or does not tell.

    Its metadata tell, or, where a program has dropped those, its calls of `check`.
    """
    try:
        number = json.loads(notebook)["metadata"][KEY]["variant"]
    except (ValueError, TypeError, KeyError, RecursionError):
        number = None
    if type(number) is int and number >= 0:
        return number
    found = STAMP.search(notebook)
    return int(found[1]) if found else 0
