"""How long each chapter takes to read and to run, said on its page and in the table for teachers.

Reading is counted from the text whenever the book is built: what a reader sees before anything is
unfolded, which is prose, lines of code and displayed formulas. Running is what `make costs`
measured, as it stands in the chapter's cost line. `site_extension` puts both onto the pages.
"""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from myst import blocks, inline, pages
from myst.blocks import Block, Directive, Text
from myst.pages import Cell, Page

WORDS_PER_MINUTE = 150
"""Prose that teaches is read more slowly than a novel, at about half its pace."""

SECONDS_PER_LINE = 4
"""For a line of code that is not blank."""

SECONDS_PER_FORMULA = 20
"""For a formula on lines of its own."""

FOLDED = ("quiz", "solution")
"""What a reader unfolds; its words are not counted."""

WORD = re.compile(r"[^\W\d_][\w’'-]*")
COST = re.compile(
    r"(?m)^\*\*Cost:\*\* (?P<run>\d+ s) on two CPU cores, (?P<memory>[\d.,]+ [MG]B) of memory,"
    r" .+\.$"
)
CHAPTER = re.compile(r"(?P<number>\d\d)-[\w-]+")
MARK = "% The table of the chapters' times is made when the book is built: tools/chapter_times.py"
"""The line of the page for teachers that the table replaces; a comment in MyST."""


@dataclass(frozen=True)
class Amount:
    """What there is to read: words of prose, lines of code, displayed formulas."""

    words: int
    lines: int
    formulas: int

    @property
    def minutes(self) -> int:
        """About how long reading takes, rounded up to 5 minutes; no exercise is solved in it."""
        seconds = (
            60 * self.words / WORDS_PER_MINUTE
            + SECONDS_PER_LINE * self.lines
            + SECONDS_PER_FORMULA * self.formulas
        )
        return 5 * math.ceil(seconds / 300)


def unfolded(page: Page) -> Iterator[Block | Cell]:
    """Blocks and code cells of a page in order, less questions and solutions."""
    in_solution = False
    for cell in page.cells:
        for each in cell.blocks() if cell.kind == "markdown" else [cell]:
            name = each.name if isinstance(each, Directive) else ""
            if name in ("solution-start", "solution-end"):
                in_solution = name == "solution-start"
            elif name not in FOLDED and not in_solution:
                yield each


def amount(page: Page) -> Amount:
    """Count what a page gives to read."""
    seen = list(unfolded(page))
    inside = list(blocks.walk(each for each in seen if not isinstance(each, Cell)))
    prose = " ".join(inline.words(each.text) for each in inside if isinstance(each, Text))
    code = [each.source for each in seen if isinstance(each, Cell) and each.kind == "code"]
    return Amount(
        words=len(WORD.findall(prose)),
        lines=sum(bool(line.strip()) for source in code for line in source.splitlines()),
        formulas=sum(isinstance(each, Directive) and each.name == "math" for each in inside),
    )


def with_reading(text: str, page: Page) -> str:
    """A chapter's text with the time of reading behind its cost line, on the same line.

    A page without a cost line stays as it is.
    """
    reading = f" **Reading:** about {amount(page).minutes} minutes, without the exercises."
    return COST.sub(lambda line: line[0] + reading, text, count=1)


def table(root: Path) -> str:
    """All chapters of a book in MyST, a row each: how long it is read, how long it runs, on what.

    Args:
        root: the repository.

    Raises:
        ValueError: if a chapter has no cost line.
        Refusal: if a chapter cannot be read.
    """
    rows = ["| chapter | reading | running | memory |", "|---|---|---|---|"]
    total = 0
    for path in sorted((root / "book").glob("[0-9][0-9]-*.md")):
        cost, page = COST.search(path.read_text(encoding="utf-8")), pages.read(path, root)
        if cost is None:
            raise ValueError(f"{page.path}: expected a line **Cost:** … on two CPU cores, got none")
        minutes, name = amount(page).minutes, page.title.partition(":")[0]
        total += minutes
        link = f"{int(path.name[:2])} {{doc}}`{name} <{path.stem}>`"
        rows.append(f"| {link} | {minutes} min | {cost['run']} | {cost['memory']} |")
    rows.append(f"| all of them | {total / 60:.0f} h | | |")
    return "\n".join(rows)


def complete(name: str, text: str, root: Path) -> str:
    """A page's source with the times it is to show; other pages' as it is.

    Args:
        name: the page's name, "book/03-forward-diffusion".
        text: its source.
        root: the repository.

    Raises:
        ValueError: if the page for teachers has no place for its table.
    """
    if name == "book/for-teachers":
        if MARK not in text:
            raise ValueError(f"{name}: expected the line '{MARK}', got none")
        return text.replace(MARK, table(root))
    if CHAPTER.fullmatch(Path(name).name):
        return with_reading(text, pages.read(root / f"{name}.md", root))
    return text
