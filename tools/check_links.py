"""Ask every link of the book that leads outside whether it still does: a weekly workflow runs this.

Sphinx's linkcheck asks; this program reads the answers. Only a page that refuses programs (403,
as some publishers' do) does not fail it, and each of those is listed for a person to open.
"""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import build_book

FOLDER = build_book.BUILD / "linkcheck"
GOOD = ("working", "redirected", "unchecked")
"""What fails nobody. Unchecked are places on the book's own pages, which the build checks."""

Answer = dict[str, str | int]


def read(path: Path) -> list[Answer]:
    """The answers as linkcheck writes them, one a line.

    Raises:
        ValueError: if there are none: then nothing was asked.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    answers = [json.loads(line) for line in text.splitlines()]
    if not answers:
        raise ValueError(f"{path}: expected an answer for every link, got none")
    return answers


def kind(answer: Answer) -> str:
    """An answer's status, or "refused" where a page only wants people."""
    refused = answer["status"] == "broken" and "403 Client Error" in str(answer["info"])
    return "refused" if refused else str(answer["status"])


def line(answer: Answer) -> str:
    """An answer to read: where the link stands, where it leads, what came of it."""
    place = f"{answer['filename']}:{answer['lineno']}"
    return f"{place}: {kind(answer)}: {answer['uri']} {answer['info']}".rstrip()


def report(answers: Iterable[Answer]) -> bool:
    """Print how many links there are of each kind, and all that are not good; whether all pass."""
    answers = sorted(answers, key=line)
    counts = Counter(map(kind, answers))
    print(", ".join(f"{count} {name}" for name, count in sorted(counts.items())))
    for answer in answers:
        if kind(answer) not in GOOD:
            print(line(answer))
    return set(counts) <= {*GOOD, "refused"}


def main() -> None:
    """Ask, and end in failure if a link is broken or nobody could say."""
    shutil.rmtree(FOLDER, ignore_errors=True)
    command = [*build_book.JUPYTER_BOOK, "build", str(build_book.ROOT), "--builder", "linkcheck"]
    environment = {**os.environ, **build_book.ENVIRONMENT}
    subprocess.run(command, env=environment, check=False)  # fails too, but at anything
    if not report(read(FOLDER / "output.json")):
        sys.exit("Not every link leads somewhere: see above.")


if __name__ == "__main__":
    main()
