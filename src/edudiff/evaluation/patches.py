"""Patches of one colour: where in a picture something stands out, and how much of each pixel.

Pixels go to the background or to the nearest colour of the palette. What is left after thin
rims, where two neighbours blend, and specks of dirt are taken away is a patch.
"""

import itertools
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import ndimage

from edudiff.data.drawing import PALETTE
from edudiff.data.scenes import World

SMALLEST_SHARE = 0.008
"""Patches of less than this share of the picture are dirt, not objects."""

UNLIKE = 0.22
"""A pixel farther than this from the background and from every colour has a colour of its own."""


@dataclass(frozen=True, eq=False)
class Patch:
    """An area of one colour, its share of each pixel, and how far each pixel is from it."""

    mask: Bool[np.ndarray, " s s"]
    paint: Float[np.ndarray, " 3"]
    alpha: Float[np.ndarray, " s s"]
    away: Float[np.ndarray, " s s"]

    def touches(self, other: "Patch", reach: float = 3) -> bool:
        """Whether the two come within so many pixels of each other."""
        return bool(self.away[other.mask].min() <= reach)


def find_patches(
    picture: Float[np.ndarray, " 3 s s"],
    smooth: Float[np.ndarray, " 3 s s"],
    grey: Float[np.ndarray, " s s"],
    world: World,
) -> list[Patch]:
    """The patches, the smallest first.

    The share of each pixel undoes the blend at the rim: picture = behind + alpha (paint − behind).

    Args:
        picture: in [0, 1].
        smooth: the same with its noise reduced, to find the patches in.
        grey: the background.
        world: whose colours there can be.
    """
    regions = _regions(smooth, grey, world)
    masks = [regions == number for number in range(1, regions.max() + 1)]
    paints = [np.median(picture[:, _core(mask)], axis=1) for mask in masks]
    found = []
    for mask, paint in zip(masks, paints, strict=True):
        away = ndimage.distance_transform_edt(~mask)
        others = (regions >= 0) & ~mask
        if not others.any():
            others = ~others
        nearest = ndimage.distance_transform_edt(
            ~others, return_distances=False, return_indices=True
        )
        neighbour = regions[tuple(nearest)]
        behind = np.where(neighbour == 0, grey, 0)[None].repeat(3, 0)
        for other, colour in enumerate(paints, start=1):
            behind[:, neighbour == other] = colour[:, None]
        contrast = paint[:, None, None] - behind
        alpha = ((picture - behind) * contrast).sum(0) / (contrast**2).sum(0).clip(min=0.01)
        alpha = np.where((away <= 2.5) & (regions <= 0) | mask, alpha, 0).clip(0, 1)
        found.append(Patch(mask, paint, alpha.astype("f4"), away))
    return found


def _regions(
    picture: Float[np.ndarray, " 3 s s"], grey: Float[np.ndarray, " s s"], world: World
) -> Int[np.ndarray, " s s"]:
    """0 for background, 1, 2, … for the patches, the smallest first, −1 for what lies between."""
    size = picture.shape[1]
    paints = [np.broadcast_to(grey, picture.shape)]
    paints += [np.array(PALETTE[name], "f4")[:, None, None] for name in world.colours]
    far = np.stack([np.linalg.norm(picture - paint, axis=0) for paint in paints])
    kind = np.where(far.min(0) <= UNLIKE, far.argmin(0), len(paints))
    brush = np.ones((max(2, round(size / 24)),) * 2)
    patches = []
    for paint in range(1, len(paints) + 1):
        mask = kind == paint
        if mask.sum() < SMALLEST_SHARE * size**2:
            continue
        parts, _ = ndimage.label(mask, np.ones((3, 3)))
        cores = np.unique(parts[ndimage.binary_opening(mask, brush)])
        patches += [parts == core for core in cores if core]
    patches = [patch for patch in patches if patch.mean() >= SMALLEST_SHARE]
    thick = [ndimage.distance_transform_edt(patch).max() for patch in patches]
    solid = [
        patch
        for patch, width in zip(patches, thick, strict=True)
        if width > max(2.3, size / 32)
        or not _is_rim(
            picture, patch, [p for p, w in zip(patches, thick, strict=True) if w > width], grey
        )
    ]
    regions = np.where(kind == 0, 0, -1)
    for number, patch in enumerate(sorted(solid, key=np.sum), start=1):
        regions[patch] = number
    return regions


def _is_rim(
    picture: Float[np.ndarray, " 3 s s"],
    patch: Bool[np.ndarray, " s s"],
    thicker: list[Bool[np.ndarray, " s s"]],
    grey: Float[np.ndarray, " s s"],
) -> bool:
    """Whether a thin patch is only where two thicker ones, or one and the background, blend.

    Lightness and tint may blend by different shares, as in a JPEG file.
    """
    near = ndimage.binary_dilation(patch, iterations=3)
    ends = [np.median(picture[:, mask], axis=1)[:, None] for mask in thicker if mask[near].any()]
    ends.append(grey[patch][None].repeat(3, 0))
    pixels = picture[:, patch]
    off = np.full(pixels.shape[1], np.inf)
    for one, other in itertools.combinations(ends, 2):
        low, high = np.minimum(one, other).mean(0), np.maximum(one, other).mean(0)
        light = pixels.mean(0) - pixels.mean(0).clip(low, high)
        start, line = one - one.mean(0), other - other.mean(0) - (one - one.mean(0))
        tint = pixels - pixels.mean(0) - start
        share = ((tint * line).sum(0) / (line**2).sum(0).clip(min=1e-3)).clip(0, 1)
        off = np.minimum(off, np.hypot(np.linalg.norm(tint - share * line, axis=0), light))
    return bool(off.mean() <= 0.1)


def _core(mask: Bool[np.ndarray, " s s"]) -> Bool[np.ndarray, " s s"]:
    core = ndimage.binary_erosion(mask)
    return core if core.any() else mask
