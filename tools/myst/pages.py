"""Pages of the book: front matter, and cells that know their line."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jupytext.myst import MystMetadataParsingError, myst_to_notebook
from nbformat import NotebookNode

from myst import blocks
from myst.blocks import Block, Text
from myst.refusals import Refusal

TITLE = re.compile(r"^# +(.+?)\s*$", re.MULTILINE)
FENCE_LINE = re.compile(r"\s*(```|~~~)")


@dataclass(frozen=True)
class Cell:
    """A stretch of a page.

    Attributes:
        kind: "markdown", "code" or "raw".
        source: the text, without fence and options.
        line: where the text begins, or the fence around it.
        metadata: tags and the like.
    """

    kind: str
    source: str
    line: int
    metadata: dict[str, Any]

    def blocks(self) -> list[Block]:
        """The blocks of a Markdown cell."""
        return list(blocks.split(self.source, self.line))


@dataclass(frozen=True)
class Page:
    """One file of the book; `path` is relative to the repository."""

    path: Path
    title: str
    metadata: dict[str, Any]
    cells: tuple[Cell, ...]

    @property
    def name(self) -> str:
        """The file's name without its ending, which is also the notebook's."""
        return self.path.stem

    @property
    def has_notebook(self) -> bool:
        """Whether there is anything to run."""
        return "kernelspec" in self.metadata and any(cell.kind == "code" for cell in self.cells)

    def blocks(self) -> list[Block]:
        """All blocks of all Markdown cells, in the order of the page; see `blocks.walk`."""
        cells = (cell for cell in self.cells if cell.kind == "markdown")
        return [block for cell in cells for block in blocks.walk(cell.blocks())]


def read(path: Path, root: Path) -> Page:
    """Read a page.

    Raises:
        Refusal: if it has no title, or a cell cannot be told from its surroundings.
    """
    text = path.read_text(encoding="utf-8")
    try:
        notebook = myst_to_notebook(text, add_source_map=True)
    except MystMetadataParsingError as error:
        found = re.search(r"at line (\d+)", str(error))
        raise Refusal(int(found[1]) if found else 1, " ".join(str(error).split())) from error
    lines, starts = text.split("\n"), notebook.metadata.pop("source_map")
    cells = tuple(
        Cell(cell.cell_type, cell.source, _line(cell, start, lines), dict(cell.metadata))
        for cell, start in zip(notebook.cells, starts, strict=True)
    )
    _require_closed_fences(cells, lines)
    return Page(path.relative_to(root), _title(cells), dict(notebook.metadata), cells)


def _line(cell: NotebookNode, start: int, lines: list[str]) -> int:
    """The line of a cell; jupytext's `start` is 1 too low for text, and counts blank lines."""
    if cell.cell_type == "markdown":
        while not lines[start].strip():
            start += 1
        return start + 1
    return start


def _require_closed_fences(cells: tuple[Cell, ...], lines: list[str]) -> None:
    for cell in cells:
        if cell.kind == "code" and any(map(FENCE_LINE.match, cell.source.split("\n"))):
            raise Refusal(cell.line, "the code cell that begins here is not closed")
    last = next((line for line in reversed(lines) if line.strip()), "")
    if cells and cells[-1].kind == "code" and not FENCE_LINE.match(last):
        raise Refusal(cells[-1].line, "the code cell that begins here is not closed")


def _title(cells: tuple[Cell, ...]) -> str:
    for cell in cells:
        if cell.kind == "markdown":
            for block in cell.blocks():
                if isinstance(block, Text) and (found := TITLE.search(block.text)):
                    return found[1]
    raise Refusal(1, "the page has no title: begin with '# Title'")
