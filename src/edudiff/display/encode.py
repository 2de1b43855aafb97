"""Pictures as bytes that a page can carry inside itself."""

import base64
import io
from typing import TypeAlias

import numpy as np
from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from edudiff import checks

Picture: TypeAlias = Tensor | np.ndarray | Image.Image | Figure
"""What can be shown. A tensor is (h, w), (1, h, w) or (3, h, w) in [-1, 1]; an array is (h, w) or
(h, w, 3), bytes or floats in [0, 1]. Values outside are clamped, as noise has no largest value."""

PLOT_DPI = 160


def to_image(picture: Picture, *, dpi: int = PLOT_DPI) -> Image.Image:
    """Make a Pillow picture of anything that can be shown.

    Args:
        picture: a tensor, an array, a Pillow picture or a matplotlib figure.
        dpi: pixels per inch, for figures.

    Raises:
        ValueError: for a shape, a type or a dtype that is not a picture.
    """
    if isinstance(picture, Figure):
        return _draw(picture, dpi)
    if isinstance(picture, Tensor):
        return _from_tensor(picture)
    if isinstance(picture, np.ndarray):
        return _from_array(picture)
    if isinstance(picture, Image.Image):
        return picture
    raise ValueError(
        f"picture: expected a tensor, an array, a Pillow picture or a figure, got {type(picture)}"
    )


def _draw(figure: Figure, dpi: int) -> Image.Image:
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=dpi)
    return Image.open(file).convert("RGB")


def _from_tensor(tensor: Tensor) -> Image.Image:
    if tensor.ndim == 3 and tensor.shape[0] in (1, 3):
        tensor = tensor[0] if tensor.shape[0] == 1 else tensor.permute(1, 2, 0)
    elif tensor.ndim != 2:
        got = tuple(tensor.shape)
        raise ValueError(f"picture: expected a tensor (h, w), (1, h, w) or (3, h, w), got {got}")
    checks.floating(picture=tensor)
    return _from_array((tensor.detach().cpu().double().numpy() + 1) / 2)


def _from_array(array: np.ndarray) -> Image.Image:
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] == 3)):
        raise ValueError(f"picture: expected an array (h, w) or (h, w, 3), got {array.shape}")
    if array.dtype != np.uint8:
        if not np.issubdtype(array.dtype, np.floating):
            raise ValueError(f"picture: expected an array of bytes or floats, got {array.dtype}")
        array = np.round(255 * np.clip(array, 0, 1)).astype(np.uint8)
    return Image.fromarray(array)


def data_uri(image: Image.Image) -> str:
    """The picture as a lossless WebP inside a `data:` address."""
    file = io.BytesIO()
    image.save(file, format="WEBP", lossless=True, quality=90, method=5)
    return "data:image/webp;base64," + base64.b64encode(file.getvalue()).decode("ascii")
