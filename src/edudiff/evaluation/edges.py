"""Does a picture have its edges where they were asked for?"""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from edudiff import checks


def edge_agreement(
    found: Float[Tensor, "b 1 h w"], asked: Float[Tensor, "b 1 h w"], tolerance: int = 1
) -> Float[Tensor, " b"]:
    """How well two edge maps agree, from 0 to 1: the F-score of their pixels.

        precision = share of the found pixels with an asked one near
        recall = share of the asked pixels with a found one near
        F = 2 · precision · recall / (precision + recall)

    Near is a square of 2 · tolerance + 1 pixels. If nothing is asked for and nothing is found, F
    is 1; if only one of the two has edges, 0.

    Args:
        found: 1 on an edge, 0 elsewhere, as `data.edges.edges` gives it.
        asked: likewise.
        tolerance: how many pixels an edge may be off.

    Raises:
        ValueError: for maps of different shapes, maps with other values than 0 and 1, or a
            tolerance below 0.

    Source:
        Martin, Fowlkes and Malik 2004 (doi:10.1109/TPAMI.2004.1273918), section 3.1, whose edges
        one pixel thick are matched one to one.
    """
    checks.same_shape(found=found, asked=asked)
    checks.floating(found=found, asked=asked)
    checks.whole_at_least(0, tolerance=tolerance)
    for name, each in (("found", found), ("asked", asked)):
        if not bool(((each == 0) | (each == 1)).all()):
            raise ValueError(f"{name}: expected 0 and 1, got values between or beyond them")
    precision, recall = _near(found, asked, tolerance), _near(asked, found, tolerance)
    both = precision + recall
    return torch.where(both > 0, 2 * precision * recall / both.clamp(min=1e-12), both)


def _near(some: Tensor, others: Tensor, tolerance: int) -> Tensor:
    """The share of some pixels that have one of the others near; of none, 1 if there are none."""
    wide = F.max_pool2d(others, 2 * tolerance + 1, stride=1, padding=tolerance)
    hits, all_of_them = (some * wide).sum(dim=(1, 2, 3)), some.sum(dim=(1, 2, 3))
    nothing = (others.sum(dim=(1, 2, 3)) == 0).to(some.dtype)
    return torch.where(all_of_them > 0, hits / all_of_them.clamp(min=1), nothing)
