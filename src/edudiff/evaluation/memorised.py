"""Is a picture new, or does it stand among the training pictures? The nearest one is looked for."""

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from edudiff import checks

SIDE = 16
"""Pictures are made this small before they are compared, so that a pixel's shift hardly counts."""


def nearest_pictures(
    pictures: Float[Tensor, " n 3 h w"], training: Float[Tensor, " m 3 h w"]
) -> tuple[Float[Tensor, " n"], Int[Tensor, " n"]]:
    """For each picture the training picture that is nearest, pixel by pixel.

    Args:
        pictures: in [-1, 1].
        training: those it might have been copied from, at least one.

    Returns:
        How far it is, as the root mean square difference of pixels averaged down to 16 × 16, from
        0 to 2; and which one it is.

    Raises:
        ValueError: without training pictures, or for pictures of another size.

    Source:
        The test by distance is that of Carlini et al. 2023 (arXiv:2301.13188), section 4.2, who
        take the largest of several tiles.
    """
    checks.whole_at_least(1, training=len(training))
    if pictures.shape[1:] != training.shape[1:]:
        got = f"{tuple(pictures.shape[1:])} and {tuple(training.shape[1:])}"
        raise ValueError(f"pictures, training: expected pictures of one size, got {got}")
    x, y = (adaptive_avg_pool2d(some, SIDE).flatten(1) for some in (pictures, training))
    exactly = "donot_use_mm_for_euclid_dist"  # the fast way rounds a distance of 0 up
    distance, index = torch.cdist(x, y, compute_mode=exactly).min(dim=1)
    return distance / x.shape[1] ** 0.5, index


def familiarity(
    pictures: Float[Tensor, " n 3 h w"],
    fresh: Float[Tensor, " k 3 h w"],
    training: Float[Tensor, " m 3 h w"],
) -> float:
    """How near pictures come to the training set, beside true pictures that are not in it.

    Returns:
        Median distance of the pictures to their nearest training picture, divided by that of
        fresh true ones. 0: copies. 1: as new as the truth. Above 1 they are new, or bad.

    Raises:
        ValueError: as `nearest_pictures`, or if there are no pictures or no fresh ones.
    """
    checks.whole_at_least(1, pictures=len(pictures), fresh=len(fresh))
    ours, theirs = (nearest_pictures(some, training)[0].median() for some in (pictures, fresh))
    return (ours / theirs).item()
