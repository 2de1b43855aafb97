"""A page as a notebook: no outputs, exercises unsolved, the same bytes every time."""

from collections.abc import Iterator
from typing import Any

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from edudiff.exercises import EXERCISES
from myst import directives
from myst.blocks import Block, Directive
from myst.book import Book
from myst.pages import Cell, Page
from myst.refusals import Refusal

COLAB = "https://colab.research.google.com"
KEPT = ("tags", "nbmake")
"""What a cell's metadata may hold; "execution" belongs to the notebook."""

ANSWER = "# Your answer"
"""What a student begins with where nothing checks the answer."""

SETUP = """\
# In Colab this installs the book's package; elsewhere it does nothing.
import subprocess
import sys

if "google.colab" in sys.modules:
    url = "git+{url}@{tag}"
    pip = [sys.executable, "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, f"edudiff @ {{url}}"], check=True)"""

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def text(page: Page, book: Book) -> str:
    """The notebook of a page, as it stands in its file.

    Raises:
        Refusal: for whatever on the page would not survive.
    """
    cells = [*_opening(page, book), *_cells(page, book)]
    for index, cell in enumerate(cells):
        cell["id"] = str(index)
    kept = {key: page.metadata[key] for key in ("execution", "nbmake") if key in page.metadata}
    notebook = new_notebook(cells=cells, metadata=METADATA | kept)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    nbformat.validate(notebook)
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def _opening(page: Page, book: Book) -> Iterator[NotebookNode]:
    site = book.site
    where = f"{COLAB}/github/{site.repository}/blob/{site.tag}/notebooks/{page.name}.ipynb"
    yield new_markdown_cell(f"[![Open in Colab]({COLAB}/assets/colab-badge.svg)]({where})")
    yield new_code_cell(SETUP.format(url=site.url, tag=site.tag))


def _cells(page: Page, book: Book) -> Iterator[NotebookNode]:
    """The page's own cells, with one to begin in for every answer and none for any solution."""
    solution: Directive | None = None
    for cell in page.cells:
        if cell.kind == "raw":
            raise Refusal(cell.line, "a raw cell is shown by nothing")
        if cell.kind == "code":
            if solution is None:
                yield new_code_cell(cell.source, metadata=_kept(cell))
            continue
        parts: list[str] = []
        for block in cell.blocks():
            solution = _solution(block, solution, book, page)
            part = _render(block, book, page)
            if solution is None:
                parts.append(part)
            if isinstance(block, Directive) and block.name == "exercise":
                yield from _markdown(parts, cell)
                yield new_code_cell(_beginning(block))
                parts = []
        yield from _markdown(parts, cell)
    if solution is not None:
        raise Refusal(solution.line, "'solution-start' without a 'solution-end'")


def _beginning(exercise: Directive) -> str:
    """What stands in the cell for the answer; exercise `chapter-2` is checked as `chapter.2`."""
    chapter, _, number = exercise.options["label"].rpartition("-")
    checked = EXERCISES.get(f"{chapter}.{number}")
    return checked.starter if checked else ANSWER


def _markdown(parts: list[str], cell: Cell) -> Iterator[NotebookNode]:
    if source := directives.join(parts):
        yield new_markdown_cell(source, metadata=_kept(cell))


def _kept(cell: Cell) -> dict[str, Any]:
    return {key: cell.metadata[key] for key in KEPT if key in cell.metadata}


def _solution(block: Block, solution: Directive | None, book: Book, page: Page) -> Directive | None:
    """The solution that is open after this block."""
    if not isinstance(block, Directive) or block.name not in directives.TOP_LEVEL:
        return solution
    if block.name == "solution-end":
        if solution is None:
            raise Refusal(block.line, "'solution-end' without a 'solution-start'")
        return None
    if solution is not None:
        raise Refusal(block.line, f"the solution of line {solution.line} is not closed")
    if block.name == "exercise":
        return None
    if book.label("exercise", block.argument, block.line).page != page:
        raise Refusal(block.line, f"the exercise {block.argument!r} stands on another page")
    return block if block.name == "solution-start" else None


def _render(block: Block, book: Book, page: Page) -> str:
    """Plain Markdown; "" for a solution, which is read all the same so that it is refused."""
    if not isinstance(block, Directive) or block.name not in directives.TOP_LEVEL:
        return directives.render(block, book, page)
    directives.require_known(block)
    if block.indent:
        raise Refusal(block.line, f"{block.name!r} stands at the margin, in no other directive")
    body = directives.rewrite(block.body, block.body_line, book, page)
    if block.name != "exercise":
        return ""
    number = book.labels[block.options["label"]].number
    title = directives.titled(block, book, page)
    heading = f"Exercise {number} ({title})." if title else f"Exercise {number}."
    return directives.join([f"**{heading}**", body])
