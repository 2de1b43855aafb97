"""Two notebooks whose marks are known: all right, and nothing done yet.

If these do not get their marks, nobody's can be trusted: a package is missing, say.
"""

import ast
import builtins
import importlib
import inspect
import json
import textwrap
from collections.abc import Iterable, Sequence
from types import ModuleType

from edudiff.exercises import variants
from edudiff.exercises.exercise import Exercise

ROOM = "edudiff.exercises"
Statement = ast.stmt


def notebook(sources: Sequence[str]) -> str:
    """The file that holds these code cells."""
    cells = [{"cell_type": "code", "source": source, "metadata": {}} for source in sources]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5})


def unsolved(exercises: Iterable[Exercise]) -> str:
    """A notebook in which nothing is done yet."""
    return notebook([exercise.starter for exercise in exercises])


def solved(exercises: Iterable[Exercise]) -> str:
    """A notebook with the right answers, written out so that it needs none of our room."""
    return notebook([solution(exercise) for exercise in exercises])


def solution(exercise: Exercise) -> str:
    """A cell that hands in the right answer to one exercise."""
    reference = inspect.unwrap(exercise.reference)
    name = reference.__name__
    lines: list[str] = []
    seen: set[tuple[str, str]] = set()
    _collect(importlib.import_module(reference.__module__), name, lines, seen)
    answer = name
    if changed := variants.changed(exercise):
        change, number = changed
        _collect(importlib.import_module(change.__module__), change.__name__, lines, seen)
        answer = f"{change.__name__}({name}, {number!r})"
    body = textwrap.indent("\n".join([*lines, f"return {answer}"]), "    ")
    own = f", variant={exercise.variant}" if exercise.variant else ""
    return (
        f"from edudiff.exercises import check\n\n"
        f"def answer():\n{body}\n\ncheck({exercise.name!r}, answer(){own})"
    )


def _collect(module: ModuleType, name: str, lines: list[str], seen: set[tuple[str, str]]) -> None:
    """Add the statement that defines a name, after those of all names that it needs."""
    if (module.__name__, name) in seen:
        return
    seen.add((module.__name__, name))
    statement = _definitions(module).get(name)
    if statement is None:
        if not hasattr(builtins, name):
            raise LookupError(f"{module.__name__} does not define {name}")
        return
    if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith(ROOM):
        return _collect(importlib.import_module(statement.module or ""), name, lines, seen)
    known = _definitions(module)
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and node.id in known:
            _collect(module, node.id, lines, seen)
    line = ast.unparse(statement)
    if line not in lines:
        lines.append(line)


def _definitions(module: ModuleType) -> dict[str, Statement]:
    """The statement at the top of a module that gives each name."""
    found: dict[str, Statement] = {}
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.Import | ast.ImportFrom):
            for alias in statement.names:
                found[alias.asname or alias.name.partition(".")[0]] = statement
        elif isinstance(statement, ast.FunctionDef | ast.ClassDef):
            found[statement.name] = statement
        elif isinstance(statement, ast.Assign | ast.AnnAssign):
            targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
            for target in targets:
                for node in ast.walk(target):
                    if isinstance(node, ast.Name):
                        found[node.id] = statement
    return found
