"""A name → the folder with our small weights, checked before anyone loads them.

    root/registry.json            name → file → its size in bytes and its SHA-256
    root/weights/tiny-vae/        config.json, …safetensors, and how they came to be

A file that was cut short or changed would often load all the same and give bad pictures.
"""

import functools
import hashlib
import json
from pathlib import Path
from typing import TypedDict

from edudiff import checks

ROOT = Path(__file__).parent
LOADED = (".json", ".safetensors", ".txt")
"""What loaders read. The rest of a folder (model card, log, sample pictures) may be edited."""


class Fingerprint(TypedDict):
    """What tells a whole file from a damaged one: its size in bytes and its SHA-256 in hex."""

    size: int
    sha256: str


Table = dict[str, dict[str, Fingerprint]]


def path(name: str, *, root: Path = ROOT) -> Path:
    """The folder with the weights of that name, every file in it being as it was published.

    Files are read for this once per process; later calls take no time.

    Args:
        name: one of the names in the table, such as "tiny-vae".
        root: where the table and the weights are.

    Raises:
        ValueError: if there is no such name, or a file is missing, cut short or changed; the
            message says which one, and what to do.
    """
    _verify(name, root)
    return root / "weights" / name


def read_table(root: Path = ROOT) -> Table:
    """All names, their files, and the files' fingerprints."""
    return json.loads((root / "registry.json").read_text(encoding="utf-8"))


def digest(*names: str, root: Path = ROOT) -> str:
    """Sixteen hex digits that say which weights these are: others if any of their files differs.

    What was measured with weights keeps it, so that it is noticed when they have changed since.

    Raises:
        ValueError: for a name that is not in the table.
    """
    table = read_table(root)
    files = [checks.choose("weights", name, table) for name in names]
    return hashlib.sha256(json.dumps(files, sort_keys=True).encode()).hexdigest()[:16]


def fingerprints(folder: Path) -> dict[str, Fingerprint]:
    """What the table must say about a folder: the fingerprint of each file that loaders read."""
    files = sorted(file for file in folder.rglob("*") if file.suffix in LOADED)
    return {file.relative_to(folder).as_posix(): fingerprint(file) for file in files}


def fingerprint(file: Path) -> Fingerprint:
    """Size and SHA-256 of a file."""
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    return {"size": file.stat().st_size, "sha256": digest}


@functools.cache
def _verify(name: str, root: Path) -> None:
    files = checks.choose("weights", name, read_table(root))
    for file_name, expected in files.items():
        file = root / "weights" / name / file_name
        cure = f"Reinstall edudiff or, in a clone of it, run: git checkout -- {file}"
        if not file.is_file():
            raise ValueError(f"{file}: expected a file, got none. {cure}")
        found = fingerprint(file)
        if found["size"] != expected["size"]:
            sizes = f"expected {expected['size']} bytes, got {found['size']}"
            raise ValueError(f"{file}: {sizes}. {cure}")
        if found["sha256"] != expected["sha256"]:
            hashes = f"expected SHA-256 {expected['sha256']}, got {found['sha256']}"
            raise ValueError(f"{file}: {hashes}. {cure}")
