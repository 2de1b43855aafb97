"""Where a picture changes: the edges that a line drawing would show."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from edudiff import checks

SOBEL = torch.tensor([[-1.0, 0.0, 1.0], [-2.0, 0.0, 2.0], [-1.0, 0.0, 1.0]])
"""How much more there is to the right than to the left; turned, below than above."""

THRESHOLD = 0.24
"""Above the stripes of a background, below the rims of objects; both are of full contrast 1."""


def edge_strength(pictures: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 1 h w"]:
    """How steep a picture is at each pixel: the length of Sobel's gradient, in [0, √2].

    The steepest of all channels counts, so that an edge between two colours equally bright is one
    too. Beyond the picture's border its last pixels go on. A straight upright or level edge between
    black and white, and nothing between, is 1 on both of its sides.

    Args:
        pictures: in [-1, 1].

    Raises:
        ValueError: if pictures are no batch (b, c, h, w) of floating-point numbers.

    Source:
        Sobel and Feldman 1968; Gonzalez and Woods, *Digital Image Processing*, section 10.2. In
        scikit-image: `filters.sobel`, which divides by √2.
    """
    checks.floating(pictures=pictures)
    if pictures.ndim != 4:
        raise ValueError(f"pictures: expected shape (b, c, h, w), got {tuple(pictures.shape)}")
    kernels = torch.stack([SOBEL, SOBEL.T])[:, None].to(pictures)
    each = F.pad(pictures.flatten(0, 1)[:, None], (1, 1, 1, 1), mode="replicate")
    slopes = F.conv2d(each, kernels).square().sum(dim=1).sqrt() / 8  # from −1 to 1: 4 · 2
    return slopes.unflatten(0, pictures.shape[:2]).amax(dim=1, keepdim=True)


def edges(
    pictures: Float[Tensor, "b c h w"], threshold: float = THRESHOLD
) -> Float[Tensor, "b 1 h w"]:
    """1 where a picture is steeper than the threshold, 0 elsewhere.

    Args:
        pictures: in [-1, 1].
        threshold: of `edge_strength`, at least 0.

    Raises:
        ValueError: for a threshold below 0, and what `edge_strength` raises.
    """
    if not threshold >= 0:
        raise ValueError(f"threshold: expected a number ≥ 0, got {threshold!r}")
    return (edge_strength(pictures) > threshold).to(pictures.dtype)
