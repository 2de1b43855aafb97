"""Where the picture's edge runs: how much of an object it leaves, and what a wide picture shows."""

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import interpolate, pad

from edudiff import checks
from edudiff.data.captions import ObjectClaim
from edudiff.data.drawing import GREYS, PALETTE
from edudiff.evaluation import silhouettes

LEAST_SEEN = 0.01
"""With less than this share of the picture in its colour, an object is not there at all."""

COLOURLESS = 0.12
"""Pixels whose channels differ by no more than this, from 0 to 1, are background."""


def share_of_colour(pictures: Float[Tensor, " b 3 h w"], colour: str) -> Float[Tensor, " b h w"]:
    """How much of each pixel is of a colour, before any grey: from 0 to 1.

    A grey has no tint, so a pixel that is the colour by the share a has a times its tint.

    Args:
        pictures: in [-1, 1].
        colour: one of `drawing.PALETTE`.

    Raises:
        ValueError: if there is no such colour.
    """
    paint = torch.tensor(checks.choose("colour", colour, PALETTE))
    unit = (pictures.float().clamp(-1, 1) + 1) / 2
    tints, tint = unit - unit.mean(dim=1, keepdim=True), paint - paint.mean()
    return torch.einsum("bchw,c->bhw", tints, tint).div(tint.square().sum()).clamp(0, 1)


def shares_inside(
    pictures: Float[Tensor, " b 3 s s"], objects: Sequence[ObjectClaim]
) -> list[float | None]:
    """How much of the only object of each picture lies within the picture's frame.

    The silhouette that was asked for is laid over what is seen of it; what is seen, by the area of
    the whole silhouette, is the share.

    Args:
        pictures: square, in [-1, 1].
        objects: what was asked for, one a picture, with a colour.

    Returns:
        Shares up to 1; None where nothing of that colour is seen.

    Raises:
        ValueError: if there are not as many objects as pictures, or one has no colour.
    """
    if len(objects) != len(pictures):
        raise ValueError(f"objects: expected {len(pictures)}, one a picture, got {len(objects)}")
    found: list[float | None] = []
    for picture, thing in zip(pictures.detach().cpu(), objects, strict=True):
        if thing.colour is None:
            raise ValueError(f"objects: expected a colour, got none for a {thing.shape}")
        seen = share_of_colour(picture[None], thing.colour)[0]
        if seen.mean() < LEAST_SEEN:
            found.append(None)
            continue
        fit = silhouettes.best_fits(seen, torch.ones_like(seen), [thing.shape])[0]
        whole = silhouettes.unit_box(thing.shape)[4] * fit.radius**2
        found.append(min(1.0, seen.mean().item() / whole))
    return found


def on_plain_ground(pictures: Float[Tensor, " b 3 h w"]) -> Float[Tensor, " b 3 s s"]:
    """Wide or tall pictures as squares: their objects as they are, all that is grey made plain.

    The oracle looks at squares alone, and knows their backgrounds. So every colourless pixel takes
    one grey, dark or light as most of them are. Then a square is cut out around all that has a
    colour, and nothing but ground is lost. Where things lie too far apart for that, ground is added
    to the short sides, and the whole is reduced.

    Args:
        pictures: in [-1, 1].

    Returns:
        Pictures as large as the short side of those given.
    """
    unit = (pictures.detach().cpu().float().clamp(-1, 1) + 1) / 2
    squares = []
    for picture in unit:
        grey = picture.amax(0) - picture.amin(0) <= COLOURLESS
        dark = not grey.any() or picture.mean(0)[grey].median() < 0.5
        level = GREYS["dark" if dark else "light", "plain"][0]
        plain = torch.where(grey, torch.tensor(level), picture)
        squares.append(_square(plain, ~grey, level))
    return torch.stack(squares) * 2 - 1


def _square(
    picture: Float[Tensor, "3 h w"], coloured: Bool[Tensor, "h w"], level: float
) -> Float[Tensor, "3 s s"]:
    """The square of a picture on plain ground in which all that is coloured lies."""
    height, width = coloured.shape
    side, long = min(height, width), max(height, width)
    axis = int(width > height)
    places = coloured.any(dim=1 - axis).nonzero()
    first, last = (int(places.min()), int(places.max())) if len(places) else (0, 0)
    if last - first < side:
        begin = min(max(0, (first + last + 1 - side) // 2), long - side)
        return picture.narrow(1 + axis, begin, side)
    left, top = (long - width) // 2, (long - height) // 2
    edges = (left, long - width - left, top, long - height - top)
    return interpolate(pad(picture, edges, value=level)[None], (side, side), mode="area")[0]
