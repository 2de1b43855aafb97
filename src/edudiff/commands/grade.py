"""`edudiff grade`: a folder of students' notebooks → a table, and feedback for each."""

import argparse
import sys
from pathlib import Path

from edudiff.commands.numbers import seed, whole_number

DESCRIPTION = """\
Run every notebook in a folder and write one row for each student and exercise.

A student is a file NAME.ipynb or a folder NAME with notebooks. Beside grades.csv come the folders
grades-feedback, with a file for each student, and grades-work, with what is finished: interrupt it
whenever you like, and the same command goes on.

Every notebook runs in a process of its own, with limits and without a network where the system
allows it. What is and is not protected here is tried and said before the first one runs. Use a
machine that you can throw away."""

NUMBERS = {
    "--seconds": (300, "for all cells of a notebook"),
    "--cell-seconds": (60, "for one cell"),
    "--memory": (4, "GB for a notebook and all it starts"),
    "--processes": (100, "at a time, threads included"),
    "--largest": (20, "MB that a notebook may have"),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Describe the command's words."""
    parser.add_argument("submissions", type=Path, help="folder with the notebooks")
    parser.add_argument(
        "--out", type=Path, default=Path("grades.csv"), help="table to write (grades.csv)"
    )
    parser.add_argument(
        "--exercises",
        nargs="+",
        default=[],
        metavar="NAME",
        help="which count: names (forward-diffusion.2), chapters, patterns (all)",
    )
    parser.add_argument(
        "--variant",
        type=seed,
        metavar="N",
        help="the class's own, as given to `edudiff exercises --seed` (0, the book's)",
    )
    parser.add_argument(
        "--seed", type=seed, metavar="N", help="of the hidden inputs (secret, kept in grades-work)"
    )
    for flag, (value, meaning) in NUMBERS.items():
        parser.add_argument(
            flag, type=whole_number, default=value, metavar="N", help=f"{meaning} ({value})"
        )


def run(options: argparse.Namespace) -> int:
    """Grade, a line for each student; 1 comes out if the grading itself does not work here.

    Raises:
        ValueError: if there is nothing to grade, the table cannot be written where it should, or
            no variant was given and most notebooks were made for one.
        OSError: if this system cannot hold strangers' code back.
    """
    if sys.platform == "win32":
        raise ValueError("grade: expected Linux or macOS, whose limits it uses, got Windows")
    if options.out.suffix != ".csv" or options.out.is_dir():
        raise ValueError(f"--out: expected the name of a table, NAME.csv, got {options.out}")
    from edudiff.exercises import EXERCISES, variants
    from edudiff.grading import classroom, stamps
    from edudiff.grading.limits import Limits

    if options.variant is None:
        stamps.refuse_others(options.submissions, options.largest * 10**6)
    exercises = {
        name: variants.make(exercise, options.variant or 0)
        for name, exercise in classroom.choose_exercises(EXERCISES, options.exercises).items()
    }
    limits = Limits(
        seconds=float(options.seconds),
        cell_seconds=float(options.cell_seconds),
        memory=options.memory * 10**9,
        processes=options.processes,
    )
    try:
        records = classroom.grade(
            options.submissions,
            options.out,
            exercises,
            limits,
            largest=options.largest * 10**6,
            seed=options.seed,
            say=lambda line: print(line, flush=True),
        )
    except classroom.CanaryError as error:
        print(f"edudiff grade: error: canary: {error}", file=sys.stderr)
        return 1
    rows = sum(len(record.marks) for record in records)
    print(f"{options.out}: {len(records)} students, {rows} rows")
    return 0
