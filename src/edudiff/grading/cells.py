"""What a notebook file holds: its code, and whether it reaches for the answers."""

import ast
import json
import re
from collections.abc import Iterator
from typing import Any

ROOM = "edudiff.exercises"
FREE = {"check", "Result", "Status"}
"""What a notebook may take from there."""
MAGIC = re.compile(r"(?m)^(\s*)[%!].*$")


def read(text: str) -> list[str]:
    """The code cells of a notebook, in order.

    Raises:
        ValueError: if this is no notebook.
    """
    try:
        found = json.loads(text)
        cells = found["cells"]
        sources = [_source(cell) for cell in cells if cell["cell_type"] == "code"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"notebook: expected cells in JSON, got {error!r:.200}") from None
    return sources


def _source(cell: dict[str, Any]) -> str:
    source = cell["source"]
    return source if isinstance(source, str) else "".join(source)


def runnable(source: str) -> str:
    """The cell as plain Python: lines for Jupyter, such as %pip, are left out.

    Raises:
        SyntaxError: if it is not Python even so.
        ValueError: if it holds a character that Python does not read.
    """
    try:
        ast.parse(source)
    except SyntaxError:
        if source.lstrip().startswith("%%"):
            source = "#" + source.lstrip()
        source = MAGIC.sub(r"\1pass", source)
        ast.parse(source)
    return source


def remarks(sources: list[str]) -> list[str]:
    """What a teacher should look at; nothing here costs a point."""
    for source in sources:
        try:
            tree = ast.parse(runnable(source))
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue
        if any(map(_reaches, ast.walk(tree))):
            return ["takes more than check from edudiff.exercises"]
    return []


def _reaches(node: ast.AST) -> bool:
    """Whether this step of the code takes more than `check` from the exercises."""
    return any(name.startswith(ROOM) and name[len(ROOM) + 1 :] not in FREE for name in _names(node))


def _names(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.ImportFrom):
        yield from (f"{node.module}.{alias.name}" for alias in node.names)
    elif isinstance(node, ast.Import):
        yield from (f"{alias.name}.*" for alias in node.names)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        words = node.value.replace("/", ".")
        yield from (f"{ROOM}.*" for _ in re.finditer(re.escape(ROOM), words))
