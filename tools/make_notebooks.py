"""Write `notebooks/*.ipynb` from `book/*.md`.

`python tools/make_notebooks.py` writes them; with `--check` it writes nothing and exits with 1,
naming the notebooks that are out of step. A page that cannot be carried over is refused with its
file and line, nothing is written and the exit code is 2.
"""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from myst import book, notebooks
from myst.refusals import Problems, noted

ROOT = Path(__file__).resolve().parents[1]


def make(root: Path) -> dict[str, str]:
    """Make every notebook of a repository: file name → text.

    Raises:
        Problems: one line for each page that is refused.
    """
    whole = book.read(root)
    made: dict[str, str] = {}
    problems: list[str] = []
    for page in whole.pages.values():
        if page.has_notebook:
            with noted(problems, page.path.as_posix()):
                made[f"{page.name}.ipynb"] = notebooks.text(page, whole)
    if problems:
        raise Problems("\n".join(problems))
    return made


def out_of_step(made: dict[str, str], folder: Path) -> list[str]:
    """The notebooks in `folder` that are missing, differ, or come from no page."""
    present = {path.name: path.read_bytes() for path in folder.glob("*.ipynb")}
    wanted = {name: text.encode() for name, text in made.items()}
    return sorted(name for name in present | wanted if present.get(name) != wanted.get(name))


def write(made: dict[str, str], folder: Path) -> list[str]:
    """Bring `folder` into step and return what changed; each file appears whole or not at all."""
    folder.mkdir(exist_ok=True)
    changed = out_of_step(made, folder)
    for name in changed:
        if name not in made:
            (folder / name).unlink()
            continue
        whole = folder / f".{name}.new"
        whole.write_bytes(made[name].encode())
        os.replace(whole, folder / name)
    return changed


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(description="Write notebooks/*.ipynb from book/*.md.")
    parser.add_argument("--check", action="store_true", help="write nothing, exit 1 if out of step")
    check = parser.parse_args(arguments).check
    try:
        made = make(root)
    except Problems as problems:
        print(problems, file=sys.stderr)
        return 2
    folder = root / "notebooks"
    changed = out_of_step(made, folder) if check else write(made, folder)
    for name in changed:
        print(f"notebooks/{name}: out of step with the book" if check else f"notebooks/{name}")
    return 1 if check and changed else 0


if __name__ == "__main__":
    sys.exit(main())
