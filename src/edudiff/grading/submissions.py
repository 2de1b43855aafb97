"""Who handed in what."""

import hashlib
import stat
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

SUFFIX = ".ipynb"


@dataclass(frozen=True)
class Submission:
    """What one student handed in.

    Attributes:
        student: the name of the file, or of the folder in which several notebooks lie.
        files: the notebooks, in alphabetical order; none if the folder holds none.
    """

    student: str
    files: tuple[Path, ...]


def find(folder: Path) -> tuple[list[Submission], list[Path]]:
    """All submissions in a folder, and the files in it that are none.

    A student is a file `NAME.ipynb` or a folder `NAME` with notebooks at any depth.

    Raises:
        ValueError: if there is no such folder, nothing in it, or two of the same name.
    """
    if not folder.is_dir():
        raise ValueError(f"submissions: expected a folder with notebooks, got {folder}")
    files: dict[str, list[Path]] = defaultdict(list)
    others = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        if path.is_dir() and not path.is_symlink() and path.suffix != SUFFIX:
            files[path.name] = _notebooks(path)
        elif path.suffix == SUFFIX:
            files[path.stem].append(path)
        else:
            others.append(path)
    if not files:
        raise ValueError(f"submissions: expected notebooks (*{SUFFIX}) in {folder}, got none")
    for name, some in files.items():
        if len({path.parent == folder for path in some}) > 1:  # a folder and a file
            raise ValueError(f"submissions: expected one student of each name, got two {name!r}")
    return [Submission(name, tuple(some)) for name, some in sorted(files.items())], others


def _notebooks(folder: Path) -> list[Path]:
    found = folder.rglob(f"*{SUFFIX}")
    inner = [(path, path.relative_to(folder).parts) for path in found]
    return sorted(path for path, parts in inner if not any(p.startswith(".") for p in parts))


def read(path: Path, most: int) -> str:
    """The text of a notebook.

    Raises:
        ValueError: if it is no ordinary file, larger than `most` bytes, empty, not text, or cannot
            be read.
    """
    try:
        form = path.lstat()
        if not stat.S_ISREG(form.st_mode):
            raise ValueError("expected an ordinary file, got a link, a folder or the like")
        if form.st_size > most:
            size = f"{form.st_size / 1e6:.0f} MB"
            raise ValueError(f"expected at most {most / 1e6:.0f} MB, got {size}")
        data = path.read_bytes()
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from None
    if not data.strip():
        raise ValueError("the file is empty")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError("expected text, got other bytes") from None


def fingerprint(submission: Submission, most: int, settings: str) -> str:
    """Changes whenever a notebook, or how it is graded, changes."""
    mixed = hashlib.sha256(settings.encode())
    for path in submission.files:
        try:
            mixed.update(read(path, most).encode())
        except ValueError as error:
            mixed.update(str(error).encode())
        mixed.update(b"\0" + path.name.encode(errors="surrogateescape"))
    return mixed.hexdigest()
