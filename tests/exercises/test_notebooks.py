"""What students receive holds no answers."""

import ast
import inspect
import json
import re
import textwrap
from pathlib import Path

import pytest

from edudiff.exercises import EXERCISES, check
from myst import pages
from myst.blocks import Directive
from myst.notebooks import ANSWER

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))
CHAPTERS = {notebook.stem[3:]: notebook for notebook in NOTEBOOKS}
LIBRARIES = {"einops", "math", "numpy", "torch"}


@pytest.fixture(params=NOTEBOOKS, ids=lambda path: path.stem)
def notebook(request):
    return request.param


def cells(notebook: Path) -> list[tuple[str, str]]:
    return [
        (cell["cell_type"], "".join(cell["source"]))
        for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]
    ]


def posed(notebook: Path) -> list[tuple[str, str, str]]:
    """Of every exercise its name in the catalogue, its title, and the code cell right after it."""
    found, exercises = cells(notebook), []
    for (kind, words), (_, source) in zip(found, found[1:], strict=False):
        heading = re.search(r"^\*\*Exercise \d+\.(\d) \((.*)\)\.\*\*$", words, re.MULTILINE)
        if kind == "markdown" and heading:
            exercises.append((f"{notebook.stem[3:]}.{heading[1]}", heading[2], source))
    return exercises


def answers(notebook: Path) -> list[str]:
    return [source for _, _, source in posed(notebook)]


def code(page: Path) -> list[str]:
    return [cell.source for cell in pages.read(page, ROOT).cells if cell.kind == "code"]


def imported(page: Path) -> dict[str, object]:
    """What a chapter's code imports from the libraries, under the chapter's names."""
    space: dict[str, object] = {}
    for node in (node for source in code(page) for node in ast.parse(source).body):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [node.module] if isinstance(node, ast.ImportFrom) else []
        if {name.split(".")[0] for name in names} & LIBRARIES:
            exec(ast.unparse(node), space)
    return space


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


def test_an_exercise_that_is_checked_begins_with_its_starter_and_others_with_nothing(notebook):
    for name, _, source in posed(notebook):
        assert source == (EXERCISES[name].starter if name in EXERCISES else ANSWER)


@pytest.fixture(params=EXERCISES.values(), ids=EXERCISES)
def exercise(request):
    return request.param


def test_every_exercise_of_the_catalogue_is_posed_under_its_title(exercise):
    chapter, _ = exercise.name.split(".")
    titles = {name: title for name, title, _ in posed(CHAPTERS[chapter])}
    assert titles[exercise.name] == exercise.title


def test_a_chapter_that_has_checks_has_at_least_three():
    chapters = [name.split(".")[0] for name in EXERCISES]
    assert {each: chapters.count(each) for each in chapters if chapters.count(each) < 3} == {}


def test_the_chapters_solution_needs_nothing_but_libraries_and_passes(exercise):
    page = ROOT / "book" / f"{CHAPTERS[exercise.name.split('.')[0]].stem}.md"
    (solution,) = [each for each in solutions(page) if f'check("{exercise.name}"' in each]
    *definition, call = ast.parse(solution).body
    space = imported(page) | {"check": check}
    exec(ast.unparse(ast.Module(definition, [])), space)
    result = eval(ast.unparse(call), space)
    assert result.passed, result


def test_no_cell_holds_a_chapters_solution(notebook):
    solved = solutions(ROOT / "book" / f"{notebook.stem}.md")
    assert len(solved) >= 4
    everything = "\n".join(source for _, source in cells(notebook))
    assert [code for code in solved if code.strip() in everything] == []


def squeezed(text: str) -> str:
    return re.sub(r"\s+", "", text)


def test_no_notebook_holds_a_reference(exercise):
    tree = ast.parse(textwrap.dedent(inspect.getsource(inspect.unwrap(exercise.reference))))
    body = squeezed("".join(map(ast.unparse, tree.body[0].body[1:])))
    assert len(body) > 20
    for notebook in NOTEBOOKS:
        assert body not in squeezed("".join(source for _, source in cells(notebook)))
