"""A room `edudiff.exercises` for the student's process: `check` is there, no answer is."""

import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

ROOM = "edudiff.exercises"
FOLDER = Path(__file__).parents[1] / "exercises"
PLAIN = ("limit", "plain", "result", "runner")
"""The modules that know no exercise."""


def install() -> dict[str, Any]:
    """Put the stub in the place of the real room.

    Returns:
        What was handed in: under the name of each exercise its last answer, filled as `check` is
        called.
    """
    handed: dict[str, Any] = {}
    room = ModuleType(ROOM, "Exercises, without what is asked and what is right.")
    room.__path__ = [str(FOLDER)]
    sys.modules[ROOM] = room
    sys.meta_path.insert(0, _NothingElse())
    from edudiff.exercises.result import Result, Status

    def check(
        name: str, answer: Any, *, variant: int = 0, seed: int = 0, seconds: float = 0.0
    ) -> Result:
        """Remember this answer; it is judged elsewhere, when the notebook has run."""
        handed[str(name)] = answer
        return Result(Status.NOT_ATTEMPTED, f"exercise {name}", "Handed in.")

    contents = {"check": check, "Result": Result, "Status": Status, "EXERCISES": {}}
    vars(room).update(contents)
    return handed


class _NothingElse(MetaPathFinder):
    """Finds no module of the room but the plain ones."""

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.startswith(f"{ROOM}.") and name.removeprefix(f"{ROOM}.") not in PLAIN:
            raise ModuleNotFoundError(f"No module named {name!r} while a submission is graded")
        return None
