"""Build the book: `make book` calls this once the virtual environment stands.

Chapters run once, several at a time, and are kept in `_build/.jupyter_cache`, as long as neither
they nor anything they call changes. Pages are always written anew, as Sphinx forgets the warnings
of pages that it does not read again. Where nothing changed at all, nothing is done.
"""

import hashlib
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import version
from pathlib import Path

import equations
import fetch_web_assets
import run_chapters

ROOT = Path(__file__).resolve().parents[1]
BUILD = ROOT / "_build"
HTML = BUILD / "html"

CALLED = ("src", "requirements.txt")
"""What a chapter's results depend on besides its own text."""

SHOWN = (*CALLED, "book", "notebooks", "tools", "_config.yml", "_toc.yml")
"""What the pages depend on."""

JUPYTER_BOOK = [sys.executable, "-c", "from jupyter_book.cli.main import main; main()"]

ENVIRONMENT = {
    "HF_HUB_OFFLINE": "1",  # nothing is downloaded behind the reader's back
    "JUPYTER_PREFER_ENV_PATH": "1",  # the kernel of this environment, not one of the user's
    "OMP_NUM_THREADS": "1",  # small networks gain little from more, and lose much on a busy machine
    "TQDM_DISABLE": "1",  # no progress bars in pages (tqdm's notebook bars ignore it)
}
"""What chapters run under, in builds and in tests."""


def files_of(paths: Iterable[Path]) -> Iterator[Path]:
    """The files given, and those in the folders given, in a fixed order."""
    for path in paths:
        inside = sorted(path.rglob("*")) if path.is_dir() else [path]
        skipped = ("__pycache__", ".egg-info")
        yield from (f for f in inside if f.is_file() and not any(s in str(f) for s in skipped))


def digest(paths: Iterable[Path], *more: str) -> str:
    """A checksum of the names and contents of files and folders, and of further words."""
    total = hashlib.sha256("\n".join(more).encode())
    for path in files_of(paths):
        total.update(f"\n{path.relative_to(ROOT)}\n".encode())
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def remembers(stamp: Path, value: str) -> bool:
    """Whether the stamp was left with this value."""
    return stamp.exists() and stamp.read_text() == value


def write_pages() -> None:
    """Run Jupyter Book; a failing chapter or any warning ends the program."""
    for stale in (BUILD / ".doctrees", HTML):
        shutil.rmtree(stale, ignore_errors=True)
    command = [*JUPYTER_BOOK, "build", str(ROOT), "-W", "-n", "--keep-going"]
    done = subprocess.run(command, env={**os.environ, **ENVIRONMENT}, check=False)
    if done.returncode:
        sys.exit("The book was not built: the reason stands above.")


def build() -> None:
    """Bring `_build/html` up to date."""
    fetch_web_assets.main()
    equations.require_tests(ROOT)
    machine = (platform.python_version(), version("torch"))
    called = digest((ROOT / name for name in CALLED), *machine)
    tests = (f"{tie.test}:{line}" for tie, line in equations.places(ROOT))
    shown = digest((ROOT / name for name in SHOWN), *machine, *tests)
    if remembers(BUILD / "html.stamp", shown):
        return
    if not remembers(BUILD / "cache.stamp", called):
        shutil.rmtree(BUILD, ignore_errors=True)
        BUILD.mkdir()
        (BUILD / "cache.stamp").write_text(called)
    (BUILD / "html.stamp").unlink(missing_ok=True)
    run_chapters.run(ROOT / "book", BUILD / ".jupyter_cache", ENVIRONMENT)
    write_pages()
    (BUILD / "html.stamp").write_text(shown)


def main() -> None:
    """Build, then say how to read."""
    build()
    print(
        f"\nThe book is ready. Open {(HTML / 'index.html').as_uri()}\n"
        f"or run  python -m http.server -d {HTML.relative_to(ROOT)}\n"
        "and open http://localhost:8000"
    )


if __name__ == "__main__":
    main()
