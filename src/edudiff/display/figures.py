"""Figures that stand still: plots, and grids of pictures."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure
from PIL import Image
from torch import Tensor

from edudiff import checks
from edudiff.display import html
from edudiff.display.encode import PLOT_DPI, Picture, to_image

SCREEN_PIXELS_PER_INCH = 100
SMALL = 128
"""Pictures up to this many pixels wide are enlarged without smoothing."""


def shown_width(picture: Picture, image: Image.Image, scale: int | None, dpi: int) -> int:
    """How many screen pixels wide a picture is to appear."""
    if isinstance(picture, Figure):
        return round(image.width * SCREEN_PIXELS_PER_INCH / dpi)
    if scale is None:
        scale = max(1, 2 * SMALL // image.width)
    return scale * image.width


def kind(picture: Picture, image: Image.Image) -> tuple[str, ...]:
    """The classes of a figure: "plot" (turned dark with the page) or "picture" (left as it is)."""
    if isinstance(picture, Figure):
        return ("plot",)
    return ("picture", "pixels") if image.width <= 4 * SMALL else ("picture",)


def show(
    picture: Picture, *, alt: str, caption: str | None = None, scale: int | None = None
) -> html.Html:
    """Show a plot or a picture, with its description.

    Args:
        picture: a matplotlib figure, a tensor in [-1, 1], an array in [0, 1], or a Pillow picture.
        alt: what the picture shows, for those who cannot see it; required.
        caption: what to notice, printed below.
        scale: screen pixels per pixel, for pictures; chosen by size if not given.

    Returns:
        Something a notebook displays when it is a cell's last expression.

    Raises:
        ValueError: without an alt text, or for something that is not a picture.
    """
    html.require_alt(alt)
    image = to_image(picture)
    tag = html.image_tag(image, alt, shown_width(picture, image, scale, PLOT_DPI))
    return html.Html(html.figure(tag, caption, *kind(picture, image)), alt)


def grid(pictures: Tensor | Sequence[Picture], columns: int | None = None) -> Image.Image:
    """Lay pictures of one size out in rows, one transparent pixel apart.

    Args:
        pictures: a batch (b, c, h, w) or a sequence of pictures of the same size.
        columns: how many to a row; nearly square if not given.

    Raises:
        ValueError: if there are no pictures, or they differ in size.
    """
    images = [to_image(picture) for picture in pictures]
    if not images or len({image.size for image in images}) != 1:
        sizes = sorted({image.size for image in images})
        raise ValueError(f"pictures: expected at least one, all of one size, got sizes {sizes}")
    columns = math.ceil(math.sqrt(len(images))) if columns is None else columns
    checks.whole_at_least(1, columns=columns)
    width, height = images[0].size
    rows = math.ceil(len(images) / columns)
    sheet = Image.new("RGBA", (columns * (width + 1) - 1, rows * (height + 1) - 1), (0, 0, 0, 0))
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        sheet.paste(image, (column * (width + 1), row * (height + 1)))
    return sheet


def images(
    pictures: Tensor | Sequence[Picture],
    *,
    alt: str,
    caption: str | None = None,
    columns: int | None = None,
    scale: int | None = None,
) -> html.Html:
    """Show a grid of pictures, with one description for all of them.

    Args:
        pictures: a batch (b, c, h, w) in [-1, 1], or a sequence of pictures of the same size.
        alt: what the grid shows; required.
        caption: what to notice, printed below.
        columns: how many to a row; nearly square if not given.
        scale: screen pixels per pixel; chosen by size if not given.

    Raises:
        ValueError: without an alt text, without pictures, or if they differ in size.
    """
    return show(grid(pictures, columns), alt=alt, caption=caption, scale=scale)
