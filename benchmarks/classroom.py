"""A simulated class of 30, graded by `edudiff grade` in one run: solved, half-solved, hostile.

    python benchmarks/classroom.py

It writes the notebooks, runs the command once, as a teacher would, and prints what each student was
to get and got. It ends with 1 if a student got other points or a row is missing. Linux only; about
ten minutes of one core.
"""

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from edudiff.exercises import EXERCISES
from edudiff.exercises.exercise import Exercise
from edudiff.grading.canary import notebook, solution

CHAPTERS = ("forward-diffusion", "reverse-diffusion")
ASKED = {name: each for name, each in EXERCISES.items() if name.partition(".")[0] in CHAPTERS}
NOTEBOOK = Path(__file__).parents[1] / "notebooks" / "03-forward-diffusion.ipynb"
CHECK = "from edudiff.exercises import check"
SIGMA = "forward-diffusion.2"
RIGHT_SIGMA = f"{CHECK}\ncheck({SIGMA!r}, lambda a: ((1 - a) / a).sqrt())"

ENDLESS_LOOP = "while True:\n    pass"
ENDLESS_LOOP_IN_C = f"{CHECK}\ncheck({SIGMA!r}, lambda a: sum(range(10**15)))"
FORK_BOMB = "import os\nwhile True:\n    os.fork()"
THREADS = """
import threading, time
def stay():
    time.sleep(10**6)
while True:
    threading.Thread(target=stay).start()
"""
EXIT = "import os\nos._exit(0)"
MEMORY = "block = bytearray(50 * 10**9)"
TENSOR = "import torch\nblock = torch.ones(50 * 10**9 // 4)"
SMALL_BLOCKS = "blocks = []\nwhile True:\n    blocks.append(bytes(range(256)) * 4096)"
KILL = "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)"
KILL_ALL = "import os, signal\nos.kill(-1, signal.SIGKILL)"
RECURSION = "import sys\nsys.setrecursionlimit(10**9)\ndef f():\n    f()\nf()"
DISK = "with open('full', 'wb') as file:\n    while True:\n        file.write(bytes(10**6))"
PATCH = """
import torch
yes = lambda *a, **k: True
torch.allclose = torch.equal = torch.testing.assert_close = yes
torch.isclose = lambda a, *b, **k: torch.ones_like(a, dtype=torch.bool)
torch.Tensor.__eq__ = torch.Tensor.__lt__ = yes
import edudiff.exercises
edudiff.exercises.check = yes
"""
FORGE = """
import json, os
lines = [{"problems": [], "handed": NAMES}]
lines += [{"report": {"answers": [{"kind": "number", "value": 1.0}] * 99, "points": 1}}] * 99
for end in range(1, 64):
    try:
        os.write(end, "".join(json.dumps(line) + "\\n" for line in lines).encode())
    except OSError:
        pass
"""
FLOOD = f"{CHECK}\nimport torch\ncheck({SIGMA!r}, lambda a: torch.zeros(2 * 10**7))"
STEAL = """
import glob, importlib, re, sys
from pathlib import Path
found = []
for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
    try:
        found.append(Path(path).read_bytes())
    except OSError:
        pass
import edudiff.grading.stub as stub
folder = Path(stub.FOLDER)
for name in ("forward_diffusion", "reverse_diffusion"):
    exec((folder / f"{name}.py").read_text())
for exercise in EXERCISES:
    stub.check(exercise.name, exercise.reference)
"""
IMPORT = f"{CHECK}\nfrom edudiff.exercises.catalogue import EXERCISES"
HAND_OVER = "for name, each in EXERCISES.items():\n    check(name, each.reference)"
NETWORK = "import urllib.request\nurllib.request.urlopen('http://192.0.2.1/answers', timeout=3)"
WIPE = "import os, shutil\nfor path in (os.path.expanduser('~'), '/tmp', '.'):\n    {}"
WIPE = WIPE.format("shutil.rmtree(path, ignore_errors=True)")


@dataclass(frozen=True)
class Student:
    """Somebody who hands something in.

    Attributes:
        does: in a few words.
        points: how many points are due.
        write: writes it to a path without an ending.
    """

    does: str
    points: int
    write: Callable[[Path], None]


def cells_of(*exercises: Exercise) -> list[str]:
    """Cells with right answers."""
    return [solution(each) for each in exercises]


def cells(*sources: str) -> Callable[[Path], None]:
    """A notebook of these code cells."""
    return raw(notebook(sources).encode())


def raw(data: bytes) -> Callable[[Path], None]:
    """A file of these bytes that calls itself a notebook."""
    return lambda path: path.with_suffix(".ipynb").write_bytes(data) and None


def folder(**texts: str) -> Callable[[Path], None]:
    """A folder with several notebooks."""

    def write(path: Path) -> None:
        path.mkdir()
        for name, text in texts.items():
            (path / f"{name}.ipynb").write_text(text, encoding="utf-8")

    return write


def whole_chapter() -> str:
    """The notebook of chapter 3 as it is handed out, with answers where the starters were."""
    book = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    for cell in book["cells"]:
        for name, exercise in ASKED.items():
            if f'check("{name}"' in "".join(cell["source"]):
                cell["source"] = solution(exercise)
    return json.dumps(book)


def link(path: Path) -> None:
    """A link to a file of the teacher's."""
    path.with_suffix(".ipynb").symlink_to(NOTEBOOK)


def solved() -> Iterator[Student]:
    """Everything is right, and looks different each time."""
    right, number = cells_of(*ASKED.values()), len(ASKED)
    third = [each for name, each in ASKED.items() if name.startswith(CHAPTERS[0])]
    yield Student("solved all", number, cells(*right))
    yield Student("solved chapter 3 in its own notebook", len(third), folder(c3=whole_chapter()))
    yield Student("has every cell twice", number, cells(*right, *right))
    bare = {"cells": [{"cell_type": "code", "source": source} for source in right]}
    yield Student("wiped all metadata", number, raw(json.dumps(bare).encode()))
    yield Student(
        "two notebooks in a folder",
        number,
        folder(first=notebook(right[:4]), second=notebook(right[4:])),
    )
    yield Student("errors between right answers", number, cells("1 / 0", *right, "nobody", "(("))
    magics = ["%matplotlib inline", "!ls", "?print"]
    yield Student("shell commands and magics", number, cells(*magics, *right))
    text = notebook(right).replace("\\n", "\\r\\n")
    yield Student("saved on another system", number, raw(text.encode("utf-8-sig")))


def half_solved() -> Iterator[Student]:
    """Something is right."""
    right, exercises = cells_of(*ASKED.values()), list(ASKED.values())
    starters = [each.starter for each in exercises]
    yield Student("only the first three", 3, cells(*right[:3], *starters[3:]))
    yield Student("every other exercise", len(right[::2]), cells(*right[::2], *starters[1::2]))
    yield Student(
        "right first, wrong at last", 0, cells(RIGHT_SIGMA, RIGHT_SIGMA.replace("(1 -", "(2 -"))
    )
    yield Student("forgot the square root", 0, cells(RIGHT_SIGMA.replace(".sqrt()", "")))
    yield Student(
        "gives a value, not a function", 1, cells(right[0], f"{CHECK}\ncheck({SIGMA!r}, 0.5)")
    )
    yield Student(
        "raises in one function", 1, cells(right[0], f"{CHECK}\ncheck({SIGMA!r}, lambda a: a.no)")
    )
    yield Student("attempted nothing", 0, cells(*starters))


def hostile() -> Iterator[Student]:
    """Whatever it does, what it solved counts and nobody else notices."""
    right = cells_of(*ASKED.values())[:2]
    yield Student("a cell that never ends", 2, cells(ENDLESS_LOOP, *right))
    yield Student("a function that never ends, in C", 1, cells(*right, ENDLESS_LOOP_IN_C))
    yield Student("fork bomb", 2, cells(FORK_BOMB, *right))
    yield Student("threads without end", 2, cells(*right, THREADS))
    yield Student("ends its process", 2, cells(EXIT, *right))
    yield Student("50 GB, in three ways", 2, cells(MEMORY, TENSOR, SMALL_BLOCKS, *right))
    yield Student("kills its parent and everybody", 2, cells(*right, KILL, KILL_ALL))
    yield Student("endless recursion, full disk", 2, cells(*right, RECURSION, DISK))
    blank = [each.starter for each in list(ASKED.values())[2:]]
    yield Student("replaces allclose and check", 0, cells(PATCH, *blank))
    forge = FORGE.replace("NAMES", repr(list(ASKED)))
    yield Student("forges the report", 0, cells(forge))
    yield Student("reads the grader's files", 0, cells(CHECK, STEAL, IMPORT, HAND_OVER))
    yield Student("network, and wipes the folders", 2, cells(NETWORK, WIPE, *right))
    yield Student("answers with 20 million numbers", 1, cells(right[0], FLOOD))
    yield Student("is not JSON, or empty", 0, folder(a="PK\3\4 no JSON", b="", c="[1, 2"))
    yield Student("200 MB, and a link", 0, heavy)


def heavy(path: Path) -> None:
    """A folder with a notebook of 200 MB and a link."""
    path.mkdir()
    (path / "large.ipynb").write_text(notebook(["#" * 200 * 10**6]), encoding="utf-8")
    link(path / "link")


def run(place: Path, students: dict[str, Student], words: Sequence[str]) -> tuple[int, float]:
    """Write the class and grade it with the command; its exit code and seconds."""
    place.joinpath("class").mkdir()
    for name, student in students.items():
        student.write(place / "class" / name)
    command = [sys.executable, "-m", "edudiff.cli", "grade", str(place / "class")]
    command += ["--out", str(place / "grades.csv"), "--exercises", *CHAPTERS, *words]
    print(f"$ edudiff {' '.join(command[3:])}", flush=True)
    start = time.monotonic()
    done = subprocess.run(command, check=False)
    return done.returncode, time.monotonic() - start


def report(rows: list[dict[str, str]], students: dict[str, Student]) -> list[str]:
    """Print the table; the students who did not get what they were to get."""
    print("\n| student | does | due | got | what was said |\n|---|---|---|---|---|")
    wrong = []
    for name, student in students.items():
        mine = [row for row in rows if row["student"] == name]
        got = sum(int(row["points"]) for row in mine)
        said = ", ".join(
            f"{n} {status}" for status, n in Counter(r["status"] for r in mine).items()
        )
        print(f"| {name} | {student.does} | {student.points} | {got} | {said} |")
        if got != student.points or {row["exercise"] for row in mine} != set(ASKED):
            wrong.append(name)
    return wrong


def main() -> int:
    """Write, grade, compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="a new folder in which everything stays")
    arguments, words = parser.parse_known_args()
    people = [*solved(), *half_solved(), *hostile()]
    students = {f"student-{number:02}": each for number, each in enumerate(people, start=1)}
    with tempfile.TemporaryDirectory(prefix="class-") as scratch:
        place = arguments.keep or Path(scratch)
        place.mkdir(exist_ok=bool(not arguments.keep))
        status, seconds = run(place, students, words)
        if status:
            return status
        with (place / "grades.csv").open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        left = [each for each in os.listdir(place / "grades-feedback") if each.endswith(".txt")]
    wrong = report(rows, students)
    print(f"\n{len(students)} students, {len(rows)} rows, {len(left)} files of feedback,", end=" ")
    print(f"{seconds:.0f} s. Not as expected: {', '.join(wrong) or 'nobody'}.")
    return int(bool(wrong) or len(left) != len(students))


if __name__ == "__main__":
    sys.exit(main())
