"""Measure what every chapter costs and write it below its title: `make costs` calls this.

Each notebook runs alone, in a fresh process with two threads. Needs Linux or macOS.
"""

import math
import os
import re
import resource
import subprocess
import sys
import time
from pathlib import Path

import build_book

ROOT = build_book.ROOT
COST = re.compile(r"(?m)^\*\*Cost:\*\* .+ on two CPU cores, .+ of memory, (?P<download>.+)$")
BYTES = 1 if sys.platform == "darwin" else 1024
"""The unit of `ru_maxrss`, in bytes."""


def round_up(value: float, step: int) -> int:
    """The next multiple of `step`."""
    return step * math.ceil(value / step)


def cost_line(seconds: float, size: float, download: str) -> str:
    """The sentence that a chapter begins with; `size` is the peak memory in bytes."""
    time_needed = f"{round_up(seconds, 5)} s"
    megabytes = round_up(size / 1e6, 50)
    memory = f"{megabytes} MB" if megabytes < 1000 else f"{megabytes / 1000:.1f} GB"
    return f"**Cost:** {time_needed} on two CPU cores, {memory} of memory, {download}"


def replace_cost(chapter: str, seconds: float, size: float) -> str:
    """The chapter's text with the measured cost; what it says of downloads is left.

    Raises:
        ValueError: if the text has no cost line.
    """
    found = COST.search(chapter)
    if found is None:
        raise ValueError("chapter: expected a line **Cost:** … on two CPU cores, … got none")
    return COST.sub(lambda _: cost_line(seconds, size, found["download"]), chapter, count=1)


def run_here(notebook: Path) -> None:
    """Run a notebook and print the seconds it took and the bytes its kernel held at most."""
    import nbformat
    from nbclient import NotebookClient

    start = time.monotonic()
    content = nbformat.read(notebook, as_version=4)
    folder = {"metadata": {"path": str(notebook.parent)}}
    NotebookClient(content, timeout=None, resources=folder).execute()
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * BYTES
    print(time.monotonic() - start, peak)


def measure(notebook: Path) -> tuple[float, float]:
    """Seconds and bytes that a notebook needs in a process of its own."""
    environment = {**os.environ, **build_book.ENVIRONMENT, "OMP_NUM_THREADS": "2"}
    command = [sys.executable, __file__, str(notebook)]
    done = subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    seconds, size = done.stdout.split()[-2:]
    return float(seconds), float(size)


def main() -> None:
    """Measure every chapter that has a cost line, and rewrite it."""
    for notebook in sorted((ROOT / "notebooks").glob("*.ipynb")):
        chapter = ROOT / "book" / f"{notebook.stem}.md"
        text = chapter.read_text(encoding="utf-8")
        if COST.search(text):
            seconds, size = measure(notebook)
            chapter.write_text(replace_cost(text, seconds, size), encoding="utf-8")
            print(f"{notebook.stem}: {seconds:.1f} s, {size / 1e6:.0f} MB", flush=True)


if __name__ == "__main__":
    run_here(Path(sys.argv[1])) if sys.argv[1:] else main()
