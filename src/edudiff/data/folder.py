"""Your own pictures: class folders or captions, in the layout of Hugging Face's ImageFolder.

    cats/1.jpg  cats/2.png  dogs/1.jpg          the folder's name is the label
    1.jpg  2.png  metadata.jsonl                each line {"file_name": "1.jpg", "text": "a cat"}

Real folders have broken files in them. Nothing is dropped in silence: whatever is not an example is
a problem, with its name and the reason. Only hidden files, whose names begin with a dot, are passed
over.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jaxtyping import Float
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from edudiff import checks
from edudiff.data import pictures

METADATA = "metadata.jsonl"


@dataclass(frozen=True)
class Example:
    """A picture that can be read, and what is known about it.

    Attributes:
        path: the file.
        caption: its text in the metadata; None in class folders.
        label: the name of its class folder; None with captions, and beside the class folders.
    """

    path: Path
    caption: str | None = None
    label: str | None = None


@dataclass(frozen=True)
class Problem:
    """Something in the folder that is not an example.

    Attributes:
        name: the file, as seen from the folder; for a line of the metadata, that file's name.
        reason: what was wrong.
    """

    name: str
    reason: str

    def __str__(self) -> str:
        return f"{self.name}: {self.reason}"


@dataclass(frozen=True)
class Folder:
    """What a folder holds.

    Attributes:
        root: the folder.
        examples: in the order of the metadata's lines or, without metadata, of their names.
        problems: everything else.
    """

    root: Path
    examples: tuple[Example, ...]
    problems: tuple[Problem, ...]

    def __len__(self) -> int:
        """The number of examples."""
        return len(self.examples)

    @property
    def labels(self) -> list[str]:
        """The labels that occur, in alphabetical order."""
        return sorted({example.label for example in self.examples if example.label is not None})


def open_folder(root: Path | str) -> Folder:
    """List the pictures of a folder, and its problems.

    Every picture is read to its end once, because a broken one often shows only there. A second
    file with the bytes of an earlier one is a problem too: it would count twice.

    Args:
        root: the folder; with a file metadata.jsonl in it, captions come from there, else labels
            are the names of the folders that the pictures lie in.

    Raises:
        ValueError: if it is not a folder, no picture in it can be used, or the metadata names a
            file outside it.
    """
    root = Path(root)
    if not root.is_dir():
        raise ValueError(f"{root}: expected a folder")
    files = _visible_files(root)
    with_captions = METADATA in files
    found = list(_from_metadata(root, files) if with_captions else _from_names(root, files))
    examples, problems = [], [entry for entry in found if isinstance(entry, Problem)]
    seen: dict[str, str] = {}
    for example in (entry for entry in found if isinstance(entry, Example)):
        name = example.path.relative_to(root).as_posix()
        reason = _why_unusable(example.path, name, seen)
        if reason is None:
            examples.append(example)
        else:
            problems.append(Problem(name, reason))
    if not examples:
        seen_instead = "; ".join(map(str, problems[:5])) or "nothing"
        raise ValueError(f"{root}: expected at least one picture, got {seen_instead}")
    return Folder(root, tuple(examples), tuple(problems))


def load(example: Example, size: int) -> Float[Tensor, "3 size size"]:
    """Read an example's picture: upright, its central square, scaled to `size` pixels, in [-1, 1].

    See `pictures.read_rgb` and `pictures.square` for what becomes of unusual ones.

    Raises:
        ValueError: if size is below 1 or the file can no longer be read.
    """
    checks.whole_at_least(1, size=size)
    try:
        image = pictures.read_rgb(example.path)
    except Exception as error:  # there is no end to what a broken file can trip over
        raise ValueError(f"{example.path}: expected a picture, got {error!r}") from error
    return pictures.square(image, size)


def _visible_files(root: Path) -> list[str]:
    """All files below the folder that are not hidden, as names from there, in order."""
    names = [path.relative_to(root) for path in root.rglob("*") if path.is_file()]
    return sorted(n.as_posix() for n in names if not any(p.startswith(".") for p in n.parts))


def _from_names(root: Path, files: list[str]) -> Iterator[Example | Problem]:
    for name in files:
        path = root / name
        if path.name in ("metadata.csv", "metadata.parquet"):
            yield Problem(name, f"captions are read from {METADATA} only")
        else:
            yield Example(path, label=path.parent.name if path.parent != root else None)


def _from_metadata(root: Path, files: list[str]) -> Iterator[Example | Problem]:
    named: dict[str, int] = {}
    lines = (root / METADATA).read_bytes().removeprefix(b"\xef\xbb\xbf").split(b"\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            name, caption = _parse(line)
        except ValueError as error:
            yield Problem(METADATA, f"line {number}: {error}")
            continue
        if os.path.isabs(name) or name.split("/")[0] == "..":
            raise ValueError(f"{METADATA}, line {number}: expected a file inside, got {name!r}")
        if name in named:
            yield Problem(name, f"line {number} of {METADATA} names it again, after {named[name]}")
        elif not (root / name).is_file():
            yield Problem(name, f"missing, but line {number} of {METADATA} names it")
        else:
            yield Example(root / name, caption=caption)
        named.setdefault(name, number)
    for name in files:
        if name not in named and name != METADATA:
            yield Problem(name, f"no line of {METADATA} names it")


def _parse(line: bytes) -> tuple[str, str]:
    try:
        row: Any = json.loads(line)
    except ValueError as error:
        raise ValueError(f"expected JSON, got {line[:40]!r}") from error
    if not isinstance(row, dict):
        raise ValueError(f"expected an object with file_name and text, got {line[:40]!r}")
    for key in ("file_name", "text"):
        if not isinstance(row.get(key), str) or not row[key].strip():
            raise ValueError(f"expected words in {key!r}, got {row.get(key)!r}")
    return os.path.normpath(row["file_name"]).replace(os.sep, "/"), row["text"].strip()


def _why_unusable(path: Path, name: str, seen: dict[str, str]) -> str | None:
    """What keeps a file from being an example; None if nothing does. Remembers its bytes."""
    try:
        content = path.read_bytes()
        if not content:
            return "an empty file"
        pictures.read_rgb(path)
    except UnidentifiedImageError:
        is_called_picture = path.suffix.lower() in Image.registered_extensions()
        return "broken: no picture inside" if is_called_picture else "not a picture"
    except Exception as error:  # there is no end to what a broken file can trip over
        return f"broken: {error}"
    first = seen.setdefault(hashlib.sha256(content).hexdigest(), name)
    return None if first == name else f"the same picture as {first}"
