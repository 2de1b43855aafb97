"""`edudiff exercises`: the book's notebooks → a class's own, with other numbers and data."""

import argparse
from pathlib import Path

from edudiff.commands.numbers import whole_number

DESCRIPTION = """\
Write a class's own variant of the notebooks with exercises.

Answers are checked on inputs of the variant's own, and in one exercise or more of most chapters a
number is drawn that changes the right answer: last year's, and those on the book's site, are wrong.
Grade with the same number: edudiff grade SUBMISSIONS --variant N."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument(
        "--seed", type=whole_number, required=True, metavar="N", help="the variant, say the year"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--notebooks",
        type=Path,
        default=Path("notebooks"),
        help="folder with the book's notebooks (notebooks)",
    )


def run(options: argparse.Namespace) -> None:
    """Write the notebooks, a line for each.

    Raises:
        ValueError: if there are no exercises in the folder, or it is the one to write to.
        OSError: if files cannot be read or written.
    """
    from edudiff.exercises import handout, variants

    paths = sorted(options.notebooks.glob("*.ipynb"))
    if options.out.resolve() == options.notebooks.resolve():
        raise ValueError(f"--out: expected another folder than the book's own, got {options.out}")
    made = {path.name: handout.stamp(path.read_text("utf-8"), options.seed) for path in paths}
    made = {name: (text, checked) for name, (text, checked) in made.items() if checked}
    if not made:
        raise ValueError(
            f"--notebooks: expected the book's notebooks, got none with exercises in "
            f"{options.notebooks}"
        )
    options.out.mkdir(parents=True, exist_ok=True)
    for name, (text, checked) in made.items():
        (options.out / name).write_text(text, encoding="utf-8")
        own = [each for each in checked if each in variants.VARIATIONS]
        numbers = ", ".join(f"{each} {variants.draw(each, options.seed):g}" for each in own)
        print(f"{options.out / name}: {len(checked)} exercises; numbers: {numbers or 'none'}")
    print(f"To grade them: edudiff grade SUBMISSIONS --variant {options.seed}")
