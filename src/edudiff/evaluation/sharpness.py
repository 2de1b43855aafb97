"""How sharp pictures are: how much of what is in them changes from one pixel to the next."""

from jaxtyping import Float
from torch import Tensor


def sharpness(pictures: Float[Tensor, " b c h w"]) -> Float[Tensor, " b"]:
    """How quickly each picture changes, by how much it changes at all.

        √( Σ (∇² x)² / Σ (x − x̄)² ),   (∇² x) = left + right + above + below − 4 x

    Blur takes away the quick changes and leaves the slow ones, so it makes this smaller, whatever
    the picture's contrast. White noise has √20, about 4.5; a large patch with sharp edges has
    little more than 1.

    Args:
        pictures: at least 3 × 3, in any range.

    Source:
        The energy of the Laplacian, a focus measure: Subbarao, Choi and Nikzad 1993,
        "Focusing techniques", Optical Engineering 32 (11), here divided by the variance.
    """
    x = pictures.double()
    middle = x[..., 1:-1, 1:-1]
    beside = x[..., 1:-1, :-2] + x[..., 1:-1, 2:] + x[..., :-2, 1:-1] + x[..., 2:, 1:-1]
    energy = (beside - 4 * middle).square().mean(dim=(1, 2, 3))
    variance = (x - x.mean(dim=(2, 3), keepdim=True)).square().mean(dim=(1, 2, 3))
    return (energy / variance.clamp(min=1e-9)).sqrt().to(pictures.dtype)
