"""Picture files of every kind, as the tensors that networks take."""

from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image, ImageOps
from torch import Tensor

from edudiff import checks


def square(image: Image.Image, size: int) -> Float[Tensor, "3 size size"]:
    """The central square of an RGB picture, scaled to `size` pixels, in [-1, 1].

    Scaling down averages over all pixels, so that nothing aliases.

    Raises:
        ValueError: if size is below 1.
    """
    checks.whole_at_least(1, size=size)
    pixels = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC))
    return torch.from_numpy(pixels.copy()).permute(2, 0, 1).float() / 127.5 - 1


def read_rgb(path: Path) -> Image.Image:
    """The picture in a file, upright, as 8-bit RGB.

    The camera's note on which side is up is obeyed. What is transparent lies on white. Grey becomes
    three equal channels, 16 bits become 8, CMYK becomes RGB, of an animation the first frame is
    taken. Colour profiles are not applied.

    Raises:
        OSError: if it cannot be read; other errors as well if it is broken.
        ValueError: if its numbers have no known range.
    """
    with Image.open(path) as file:
        image = ImageOps.exif_transpose(file)
    if image.mode.startswith("I"):
        image = _to_eight_bits(image)
    if image.mode == "F":
        raise ValueError("expected whole numbers, got floats, whose white is not known")
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image.convert("RGBA"))
    return image.convert("RGB")


def _to_eight_bits(image: Image.Image) -> Image.Image:
    array = np.asarray(image).astype(np.int64)
    if array.min() < 0 or array.max() > 65535:
        raise ValueError(f"expected 16 bits, got numbers in [{array.min()}, {array.max()}]")
    return Image.fromarray(np.round(array / 257).astype(np.uint8))
