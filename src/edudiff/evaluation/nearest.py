"""Which silhouette is an object most like? Milder than the oracle, which names only clear ones."""

from collections.abc import Sequence

from jaxtyping import Float
from torch import Tensor

from edudiff import checks
from edudiff.data.scenes import World
from edudiff.data.shapes import OUTLINES
from edudiff.evaluation.sight import look


def nearest_shapes(pictures: Float[Tensor, " b 3 h w"], shapes: Sequence[str]) -> list[str | None]:
    """For each picture the shape that fits its first object best, however badly.

    Args:
        pictures: as for `look`.
        shapes: the silhouettes to try.

    Returns:
        their names; None where no object is seen.

    Raises:
        ValueError: as `look`, for no shapes, or for an unknown one.
    """
    checks.whole_at_least(1, shapes=len(shapes))
    for shape in shapes:
        checks.choose("shape", shape, OUTLINES)
    sights = look(pictures, World(shapes=tuple(shapes)))
    found: list[str | None] = []
    for picture, sight in zip(pictures, sights, strict=True):
        named = sight.objects[0].shape if sight.objects else None
        found.append(named or (_nearest(picture[None], shapes) if sight.objects else None))
    return found


def _nearest(picture: Float[Tensor, " 1 3 h w"], shapes: Sequence[str]) -> str | None:
    """Each shape is tried as if it were the only one there is."""
    fits = {}
    for shape in shapes:
        (sight,) = look(picture, World(shapes=(shape,)))
        fits[shape] = max((thing.fit for thing in sight.objects[:1]), default=0.0)
    best = max(fits, key=lambda shape: fits[shape])
    return best if fits[best] > 0 else None
