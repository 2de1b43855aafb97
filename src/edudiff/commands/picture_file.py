"""A picture on the disk: refused before the work begins, and written whole or not at all."""

import os
from pathlib import Path

from PIL import Image

from edudiff.pipelines.settings import Settings, read_settings, to_text_chunks

__all__ = ["FORMATS", "check", "read_settings", "save"]

FORMATS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


def check(path: Path) -> None:
    """Make sure that a picture can be written there, so that no work is done in vain.

    Raises:
        ValueError: for a folder, a name that is not a picture's, a folder that is not there, or a
            place where nothing can be written.
    """
    if path.is_dir():
        raise ValueError(f"--out: expected the name of a picture, got a folder, {path}")
    if path.suffix.lower() not in FORMATS:
        raise ValueError(f"--out: expected a name ending in {', '.join(FORMATS)}, got {path}")
    if not path.parent.is_dir():
        raise ValueError(f"--out: expected a folder that exists, got {path.parent}")
    unfinished = _beside(path)
    try:
        unfinished.touch()
    except OSError as error:
        raise ValueError(f"--out: cannot write to {path.parent}: {error.strerror}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def save(image: Image.Image, path: Path, settings: Settings | None = None) -> None:
    """Write a picture; `path` is at every moment the old file, or none, or the whole new one.

    Args:
        image: what to write.
        path: where to, in the format of its name.
        settings: how it was made, written inside if it is a PNG; see `read_settings`.

    Raises:
        ValueError: for settings that `to_text_chunks` refuses.
        OSError: if it cannot be written, as on a full disk; nothing is left behind.
    """
    kind = FORMATS[path.suffix.lower()]
    picture = image.convert("RGB") if kind == "jpeg" else image
    inside = {"pnginfo": to_text_chunks(settings)} if settings and kind == "png" else {}
    unfinished = _beside(path)
    try:
        with unfinished.open("wb") as file:
            picture.save(file, format=kind, **inside)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        said = error.strerror or error
        raise OSError(f"{path}: {said}. Nothing was written.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _beside(path: Path) -> Path:
    """In the same folder, so that it can take the other's name in one step."""
    return path.with_name(f".{path.name}.{os.getpid()}.part")
