"""What students receive holds no answers."""

import ast
import inspect
import json
import re
import textwrap
from pathlib import Path

import pytest

from edudiff.exercises import EXERCISES
from myst import pages
from myst.blocks import Directive

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


def cells(notebook: Path) -> list[tuple[str, str]]:
    return [
        (cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    ]


def answers(notebook: Path) -> list[str]:
    """The code cells right after an exercise."""
    found = cells(notebook)
    return [
        source
        for (kind, words), (_, source) in zip(found, found[1:], strict=False)
        if kind == "markdown" and re.search(r"^\*\*Exercise \d+\.\d", words, re.MULTILINE)
    ]


def solutions(page: Path) -> list[str]:
    """The code of all solutions of a chapter."""
    found, folded = [], False
    for cell in pages.read(page, ROOT).cells:
        if cell.kind == "code":
            found += [cell.source] if folded else []
            continue
        for block in cell.blocks():
            if isinstance(block, Directive) and block.name in ("solution-start", "solution-end"):
                folded = block.name == "solution-start"
    return found


def is_blank(statement: ast.stmt) -> bool:
    """Whether a statement of an answer cell gives nothing away."""
    if isinstance(statement, ast.FunctionDef):
        return all(isinstance(each, ast.Expr | ast.Pass) for each in statement.body)
    if isinstance(statement, ast.ImportFrom):
        return statement.module == "edudiff.exercises"
    return ast.unparse(statement).startswith("check(")


def test_the_chapters_are_found():
    assert len(NOTEBOOKS) >= 10


def test_the_cell_after_an_exercise_is_empty_or_a_starter(notebook):
    found = answers(notebook)
    assert len(found) >= 4
    assert [cell for cell in found if not all(map(is_blank, ast.parse(cell).body))] == []


def test_no_cell_holds_a_chapters_solution(notebook):
    solved = solutions(ROOT / "book" / f"{notebook.stem}.md")
    assert len(solved) >= 4
    everything = "\n".join(source for _, source in cells(notebook))
    assert [code for code in solved if code.strip() in everything] == []


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


@pytest.mark.parametrize("exercise", EXERCISES.values(), ids=EXERCISES)
def test_no_notebook_holds_a_reference(exercise):
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(exercise.reference))))
    body = squeezed("".join(map(ast.unparse, tree.body[0].body[1:])))
    assert len(body) > 20
    for notebook in NOTEBOOKS:
        assert body not in squeezed("".join(source for _, source in cells(notebook)))
