"""The book's numbered equations and the tests that hold them, as `book/equations.yml` ties them.

Both ways: an equation without a test is a complaint, and so is a test that does not exist. The
same two lists become the page "Equations and their tests". Tests are read, never imported.
"""

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from myst import pages
from myst.blocks import Directive

TABLE = Path("book") / "equations.yml"
NEVER_RUN = ("skip", "xfail")
"""Marks of tests that hold nothing."""


@dataclass(frozen=True)
class Equation:
    """A numbered equation: its label, the formula in LaTeX, and where it stands."""

    label: str
    formula: str
    page: Path
    title: str
    line: int


@dataclass(frozen=True)
class Tie:
    """A line of the table: an equation's label and one test, `tests/…/test_a.py::test_b`."""

    label: str
    test: str
    line: int

    @property
    def file(self) -> str:
        """The test's file."""
        return self.test.partition("::")[0]

    @property
    def name(self) -> str:
        """The test's function."""
        return self.test.partition("::")[2]


def numbered(root: Path) -> list[Equation]:
    """Every equation with a label, in the book's order.

    Raises:
        Refusal: if a page cannot be read.
    """
    found = []
    for path in sorted((root / "book").glob("*.md")):
        page = pages.read(path, root)
        found += [
            Equation(block.options["label"], block.body.strip(), page.path, page.title, block.line)
            for block in page.blocks()
            if isinstance(block, Directive) and block.name == "math" and "label" in block.options
        ]
    return found


def ties(root: Path) -> Iterator[Tie]:
    """The lines of the table; an equation may have one test or a list of them.

    Raises:
        ValueError: if the table is not a mapping of labels to tests.
    """
    table = yaml.compose((root / TABLE).read_text(encoding="utf-8"))
    if not isinstance(table, yaml.MappingNode):
        raise ValueError(f"{TABLE}:1: expected lines 'label: tests/…/test_a.py::test_b'")
    for label, tests in table.value:
        for test in tests.value if isinstance(tests, yaml.SequenceNode) else [tests]:
            if not isinstance(test, yaml.ScalarNode):
                raise ValueError(f"{TABLE}:{test.start_mark.line + 1}: expected a test or a list")
            yield Tie(label.value, test.value, test.start_mark.line + 1)


def tests_in(path: Path) -> dict[str, ast.FunctionDef]:
    """The test functions of a file by name; none if there is no such file."""
    if not path.is_file():
        return {}
    body = ast.parse(path.read_text(encoding="utf-8")).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef)]
    return {node.name: node for node in functions if node.name.startswith("test_")}


def marks(function: ast.FunctionDef) -> set[str]:
    """The names of a test's marks: `@pytest.mark.slow` is "slow"."""
    called = [each.func if isinstance(each, ast.Call) else each for each in function.decorator_list]
    return {each.attr for each in called if isinstance(each, ast.Attribute)}


def complaints(root: Path) -> list[str]:
    """What is wrong with the table, one line each, beginning with file and line."""
    equations, tied = {each.label: each for each in numbered(root)}, list(ties(root))
    held = {tie.label for tie in tied}
    found = [
        f"{each.page}:{each.line}: the equation {each.label!r} has no test: name one in {TABLE}"
        for each in equations.values()
        if each.label not in held
    ]
    return found + [
        f"{TABLE}:{tie.line}: {reason}" for tie in tied if (reason := fault(tie, root, equations))
    ]


def fault(tie: Tie, root: Path, labels: dict[str, Equation]) -> str:
    """What is wrong with one line of the table, or nothing."""
    if tie.label not in labels:
        return f"no equation of the book has the label {tie.label!r}"
    test = tests_in(root / tie.file).get(tie.name)
    if test is None:
        return f"there is no test {tie.test}"
    if never := marks(test) & set(NEVER_RUN):
        return f"the test {tie.name} is marked {', '.join(sorted(never))} and holds nothing"
    return ""


def places(root: Path) -> Iterator[tuple[Tie, int]]:
    """The lines of the table, each with the line on which its test begins, 1 if there is none."""
    for tie in ties(root):
        test = tests_in(root / tie.file).get(tie.name)
        yield tie, test.lineno if test else 1


def listing(root: Path, repository: str, tag: str) -> str:
    """The page's list, in MyST: chapter by chapter the equations, each with its tests.

    Args:
        root: the repository on this machine.
        repository: its address on GitHub.
        tag: the branch or tag that links lead to.
    """
    tests: dict[str, list[str]] = {}
    for tie, line in places(root):
        link = f"[`{tie.name}`]({repository}/blob/{tag}/{tie.file}#L{line})"
        tests.setdefault(tie.label, []).append(link)
    parts: list[str] = []
    for each in numbered(root):
        heading = f"## {each.page.stem.partition('-')[0]} · {each.title}"
        parts += [heading] * (heading not in parts)
        names = " and ".join(tests.get(each.label, ["no test"]))
        parts += [f"Equation {{eq}}`{each.label}`, held by {names}"]
        parts += [f"```{{math}}\n{each.formula}\n```"]
    return "\n\n".join(parts) + "\n"


def require_tests(root: Path) -> None:
    """End the program if an equation has no test, or a test is not there."""
    if found := complaints(root):
        sys.exit("\n".join(found))
