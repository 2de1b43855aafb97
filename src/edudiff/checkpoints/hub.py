"""Full-size weights: find them in the hub's cache, or download them into it.

Only safetensors and configuration are ever fetched: no pickles, no code. huggingface_hub writes
each file under another name until it is whole, and goes on with it at the next call.
"""

import os
import shutil
import tempfile
from pathlib import Path

import huggingface_hub
from huggingface_hub import constants, errors

from edudiff.checkpoints.table import CONFIGURATION, FullSize

VOCABULARIES = ({"tokenizer.json"}, {"vocab.json", "merges.txt"})
"""A tokenizer needs one of these sets of files."""


def patterns(full: FullSize, half: bool) -> list[str]:
    """What to download: the weights by name, and the configuration beside them."""
    beside = [f"{folder}/*{ending}" for folder in full.folders for ending in CONFIGURATION]
    weights = [_weights_file(stem, half) for stem in full.weights]
    return [*weights, "model_index.json", *(pattern.lstrip("/") for pattern in beside)]


def is_cached(full: FullSize, half: bool) -> bool:
    """Whether all of the pinned revision is in the cache."""
    return _snapshot(full, half) is not None


def cached(full: FullSize, half: bool) -> Path | None:
    """A folder with the pinned revision, if all of it is in the cache."""
    snapshot = _snapshot(full, half)
    return None if snapshot is None else _loadable(snapshot, full, half)


def download(full: FullSize, half: bool) -> Path:
    """Download the pinned revision, or what is missing of it, and return its folder.

    Raises:
        ConnectionError: if it breaks off. Whole files stay, and the next call goes on.
    """
    again = f"Ask again to go on, or take the tiny version with size='tiny'. ({full.page})"
    try:
        snapshot = huggingface_hub.snapshot_download(
            full.repository, revision=full.revision, allow_patterns=patterns(full, half)
        )
    except (OSError, errors.HTTPError, RuntimeError) as error:
        first_line = str(error).strip().partition("\n")[0]
        said = f"{type(error).__name__}: {first_line}"
        message = f"{full.repository}: the download broke off ({said}). {again}"
        raise ConnectionError(message) from error
    if not _is_whole(Path(snapshot), full, half):
        raise ConnectionError(f"{full.repository}: the download is not complete. {again}")
    return _loadable(Path(snapshot), full, half)


def _snapshot(full: FullSize, half: bool) -> Path | None:
    try:
        snapshot = huggingface_hub.snapshot_download(
            full.repository,
            revision=full.revision,
            allow_patterns=patterns(full, half),
            local_files_only=True,
        )
    except errors.LocalEntryNotFoundError:
        return None
    return Path(snapshot) if _is_whole(Path(snapshot), full, half) else None


def _weights_file(stem: str, half: bool) -> str:
    return f"{stem}.fp16.safetensors" if half else f"{stem}.safetensors"


def _is_whole(snapshot: Path, full: FullSize, half: bool) -> bool:
    """Whether nothing that loading needs is missing, as after a download that broke off."""
    for stem in full.weights:
        file = snapshot / _weights_file(stem, half)
        if not (file.is_file() and (file.parent / "config.json").is_file()):
            return False
    there = {
        folder: {file.name for file in (snapshot / folder).glob("*")} for folder in full.folders
    }
    words = [names for folder, names in there.items() if folder.startswith("tokenizer")]
    return (
        all(any(name.endswith(".json") for name in names) for names in there.values())
        and all(any(needed <= names for needed in VOCABULARIES) for names in words)
        and ("" in full.folders or (snapshot / "model_index.json").is_file())
    )


def _loadable(snapshot: Path, full: FullSize, half: bool) -> Path:
    """A folder that `from_pretrained` loads as it is.

    Loaders find weights in half precision only if told `variant="fp16"`. So there is a second
    folder of links, under the names that loaders look for: it takes no space on the disk.
    """
    if not half:
        return snapshot
    folders = [snapshot / folder for folder in full.folders]
    beside = [
        file for folder in folders for file in folder.glob("*") if file.suffix in CONFIGURATION
    ]
    links = {file.relative_to(snapshot): file for file in [*snapshot.glob("*.json"), *beside]}
    for stem in full.weights:
        links[Path(_weights_file(stem, half=False))] = snapshot / _weights_file(stem, half=True)
    name = f"{full.repository.replace('/', '--')}-{full.revision}-fp16"
    folder = Path(constants.HF_HOME) / "edudiff" / name
    if not all((folder / link).is_file() for link in links):
        _link(folder, links)
    return folder


def _link(folder: Path, links: dict[Path, Path]) -> None:
    """Make a folder of links, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent) as unfinished:
        for link, file in links.items():
            place = Path(unfinished) / "links" / link
            place.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.symlink(file.resolve(), place)
            except OSError:  # Windows grants links to few
                shutil.copyfile(file, place)
        shutil.rmtree(folder, ignore_errors=True)
        (Path(unfinished) / "links").rename(folder)
