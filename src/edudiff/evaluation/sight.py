"""What is to be seen in a picture: analysis by synthesis, nothing learnt.

Backgrounds are grey, so whatever stands out from the background that fits best is an object.
Its colour is the nearest of the palette, its shape the silhouette that fits best. What cannot be
told is `None`, never a guess.
"""

import functools
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from scipy import ndimage
from torch import Tensor

from edudiff import checks
from edudiff.data.drawing import GREYS, PALETTE, draw
from edudiff.data.scenes import SMALL_WORLD, SMALLEST_BIG, Background, Scene, World
from edudiff.evaluation import silhouettes
from edudiff.evaluation.patches import SMALLEST_SHARE, Patch, find_patches

MOST_OBJECTS = 6
"""With more patches than this nothing is named: it is a pattern, not a scene."""


@dataclass(frozen=True)
class Seen:
    """One object as seen: what could not be told is None.

    `x`, `y` and `radius` are fractions of the side; `fit`, from 0 to 1, says how well the best
    silhouette covers the object. An object without a named shape has the centre of its area, and
    the radius of a disc as large.
    """

    shape: str | None
    colour: str | None
    x: float
    y: float
    radius: float
    fit: float

    @property
    def size(self) -> str:
        """The word for its size."""
        return "big" if self.radius >= SMALLEST_BIG else "small"


@dataclass(frozen=True)
class Sight:
    """Everything seen in a picture: the objects, the nearest first, and the background."""

    objects: tuple[Seen, ...]
    tone: str | None
    pattern: str | None


def look(pictures: Float[Tensor, " b 3 h w"], world: World = SMALL_WORLD) -> list[Sight]:
    """Say what each picture shows.

    Limits, which `benchmarks/oracle.py` measures: an outline that leaves a silhouette's by no more
    than `silhouettes.MOST_BULGE` still passes for it, so that a circle may have shallow waves, and
    a shape half-way between two that is smaller than about ten pixels in radius may get a name.
    Where objects touch, `silhouettes.CROWDED` times as much passes. JPEG files blur tints at the
    rims, and now and then hide a small object's shape.

    Args:
        pictures: square, 32 to 256 pixels a side, in [-1, 1]; values up to ±2, as diffusion
            gives them, are clamped.
        world: whose shapes and colours may be named.

    Raises:
        ValueError: for pictures that are not (b, 3, size, size), smaller than 32 or larger than
            256 pixels a side, not floating-point, or with a value outside [-2, 2].
    """
    if pictures.ndim != 4 or pictures.shape[1] != 3 or pictures.shape[2] != pictures.shape[3]:
        got = tuple(pictures.shape)
        raise ValueError(f"pictures: expected shape (b, 3, size, size), got {got}")
    if not 32 <= pictures.shape[3] <= 256:
        raise ValueError(f"pictures: expected 32 to 256 pixels a side, got {pictures.shape[3]}")
    checks.floating(pictures=pictures)
    checks.in_range(-2.0, 2.0, pictures=pictures)
    unit = (pictures.detach().cpu().float().clamp(-1, 1) + 1) / 2
    return [_look_at(picture.numpy(), world) for picture in unit]


def _look_at(picture: Float[np.ndarray, " 3 s s"], world: World) -> Sight:
    smooth = ndimage.median_filter(picture, (1, 3, 3))
    background, grey = _background(smooth)
    objects = _objects(find_patches(picture, smooth, grey, world), world)
    if background is None:
        return Sight(objects, None, None)
    return Sight(objects, background.tone, background.pattern)


# The background


@functools.cache
def _backgrounds(size: int) -> tuple[list[Background], Float[np.ndarray, " n s s"]]:
    """Every background there is, in [0, 1]."""
    turns = {"plain": 1, "gradient": 8, "striped": 4}
    kinds = [
        Background(tone, pattern, 45 * turn)
        for tone, pattern in GREYS
        for turn in range(turns[pattern])
    ]
    pictures = draw([Scene((), None, kind) for kind in kinds], size)[:, 0]
    return kinds, ((pictures + 1) / 2).numpy()


def _background(
    picture: Float[np.ndarray, " 3 s s"],
) -> tuple[Background | None, Float[np.ndarray, " s s"]]:
    """The background that comes nearest to the grey pixels, and its grey; None if none does."""
    colourless = np.ptp(picture, axis=0) < 0.15
    level = picture.mean(0)
    if colourless.mean() < 0.08:
        return None, np.full_like(level, 0.5)
    kinds, greys = _backgrounds(picture.shape[1])
    misfit = np.abs(greys[:, colourless] - level[colourless]).clip(max=0.2).mean(1)
    best = int(misfit.argmin())
    if misfit[best] > 0.06:
        return None, np.full_like(level, np.median(level[colourless]))
    return kinds[best], greys[best]


# Objects


def _objects(patches: list[Patch], world: World) -> tuple[Seen, ...]:
    """The objects, the nearest first: the smaller one, unless only the reverse makes sense."""
    if len(patches) > MOST_OBJECTS:
        return tuple(_unnamed(patch.mask, _colour(patch.paint, world)) for patch in patches)
    seen = _name_all(patches, world)
    if len(patches) == 2 and not all(thing.shape for thing in seen):
        turned = _name_all(patches[::-1], world)
        if len(turned) == 2 and all(thing.shape for thing in turned):
            return turned
    return seen


def _name_all(patches: list[Patch], world: World) -> tuple[Seen, ...]:
    """Name patches from the farthest, the last, to the nearest, each hidden by those nearer."""
    seen: list[Seen] = []
    everything = patches
    while patches:
        *nearer, patch = patches
        pieces = [other for other in nearer if _same_paint(other, patch)]
        hiding = [p for p in nearer if not _same_paint(p, patch) and p.touches(patch)]
        alone = not any(p.touches(patch) for p in everything if p is not patch)
        found, shadow = _name(patch, pieces, hiding, alone, world)
        seen.append(found)
        # What is left of a farther object on the other side of a nearer one is no new object.
        patches = [p for p in nearer if not (_same_paint(p, patch) and shadow[p.mask].mean() > 0.7)]
        rest = ndimage.binary_opening(patch.mask & ~shadow, np.ones((2, 2)))
        if rest.mean() >= SMALLEST_SHARE:
            seen.append(_unnamed(rest, found.colour))
    return tuple(reversed(seen))


def _name(
    patch: Patch, pieces: list[Patch], hiding: list[Patch], alone: bool, world: World
) -> tuple[Seen, Bool[np.ndarray, " s s"]]:
    """What a patch is, and the pixels that this explains.

    It is first taken together with its pieces, the patches of the same colour: a nearer object
    may cut a farther one in two.
    """
    colour = _colour(patch.paint, world)
    for together in [pieces, []] if pieces else [[]]:
        alpha = torch.from_numpy(np.max([part.alpha for part in [patch, *together]], axis=0))
        weight = torch.ones_like(alpha)
        for other in [*hiding, *pieces]:
            if not any(other is part for part in together):
                weight[torch.from_numpy(other.away <= 2)] = 0
        best, *rest = silhouettes.best_fits(alpha, weight, world.shapes)
        if silhouettes.named([best, *rest], alpha, weight, alone):
            shadow = silhouettes.coverage(best.shape, torch.tensor([best[1:4]]), len(alpha))[0] > 0
            grown = ndimage.binary_dilation(shadow.numpy(), iterations=max(1, len(alpha) // 32))
            return Seen(best.shape, colour, best.x, best.y, best.radius, best.fit), grown
    return _unnamed(patch.mask, colour, best.fit), patch.mask


def _same_paint(one: Patch, other: Patch) -> bool:
    return bool(np.linalg.norm(one.paint - other.paint) <= 0.16)


def _colour(paint: Float[np.ndarray, " 3"], world: World) -> str | None:
    far = {name: float(np.linalg.norm(paint - np.array(PALETTE[name]))) for name in world.colours}
    name = min(far, key=lambda name: far[name])
    return name if far[name] <= 0.16 else None


def _unnamed(mask: Bool[np.ndarray, " s s"], colour: str | None, fit: float = 0.0) -> Seen:
    rows, columns = mask.nonzero()
    x, y = ((axis.mean() + 0.5) / len(mask) for axis in (columns, rows))
    radius = (mask.mean() / np.pi) ** 0.5
    return Seen(None, colour, float(x), float(y), float(radius), fit)
