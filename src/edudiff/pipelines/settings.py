"""How a picture was made, written inside its PNG file, so that it can be made again.

A PNG can carry texts, each under a keyword. Ours are the names of the arguments they were given to.
"""

from collections.abc import Mapping
from pathlib import Path

from PIL import Image, PngImagePlugin

Settings = Mapping[str, str | int | float]

KINDS: dict[str, type[str] | type[int] | type[float]] = {
    "prompt": str,
    "negative_prompt": str,
    "num_inference_steps": int,
    "guidance_scale": float,
    "seed": int,
    "sampler": str,
    "height": int,
    "width": int,
    "count": int,
    "model": str,
    "version": str,
}
"""The settings' names, and what they are."""


def to_text_chunks(settings: Settings) -> PngImagePlugin.PngInfo:
    """The settings as text chunks, for `image.save(path, pnginfo=…)`.

    Latin-1 texts become `tEXt` chunks and all others, such as Japanese prompts, `iTXt` ones.

    Raises:
        ValueError: for a name that is not one of `KINDS`, or a value of another kind.

    Source:
        Portable Network Graphics (W3C, third edition), section 11.3.3.
    """
    chunks = PngImagePlugin.PngInfo()
    for name, value in settings.items():
        if name not in KINDS:
            raise ValueError(f"settings: expected names among {', '.join(KINDS)}, got {name!r}")
        if type(value) is not KINDS[name]:
            raise ValueError(f"{name}: expected {KINDS[name].__name__}, got {value!r}")
        chunks.add_text(name, str(value))
    return chunks


def read_settings(path: str | Path) -> dict[str, str | int | float]:
    """The settings written inside a PNG file, numbers being numbers again.

    Args:
        path: of a picture that `edudiff generate` has written, or another with the same texts.

    Raises:
        ValueError: if it is no PNG file, has no prompt inside, or a number that is none.
        OSError: if there is no such file.
    """
    try:
        with Image.open(path) as image:
            image.load()  # texts may come after the picture
            if not isinstance(image, PngImagePlugin.PngImageFile):
                raise ValueError(f"{path}: expected a PNG file, got {image.format}")
            texts = dict(image.text)
    except Image.UnidentifiedImageError as error:
        raise ValueError(f"{path}: expected a PNG file, got no picture") from error
    if "prompt" not in texts:
        raise ValueError(f"{path}: expected settings inside, got a picture without a prompt")
    settings: dict[str, str | int | float] = {}
    for name, kind in KINDS.items():
        if name in texts:
            try:
                settings[name] = kind(texts[name])
            except ValueError as error:
                got = f"got {texts[name]!r}"
                raise ValueError(f"{path}: {name}: expected {kind.__name__}, {got}") from error
    return settings
