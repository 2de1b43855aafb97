"""Sizes, pictures and masks: which a pipeline can take, what a mask means, a larger canvas."""

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from edudiff import checks


def check_sides(multiple: int, *, height: int, width: int) -> None:
    """Refuse pictures that the networks cannot halve often enough.

    Args:
        multiple: what every side must be a multiple of, a pipeline's `smallest_size`.
        height: of the pictures, in pixels.
        width: of the pictures, in pixels.

    Raises:
        ValueError: if a side is below 1 or no such multiple.
    """
    for name, side in (("height", height), ("width", width)):
        checks.whole_at_least(1, **{name: side})
        if side % multiple:
            expected = f"a multiple of {multiple}, as vae and unet need"
            raise ValueError(f"{name}: expected {expected}, got {side}")


def check_pictures(pictures: Float[Tensor, "b 3 h w"], multiple: int) -> None:
    """Refuse what is no batch of coloured pictures in [-1, 1] with such sides.

    Raises:
        ValueError: for another shape, another range, another kind of number, or sides that
            `check_sides` refuses.
    """
    checks.floating(pictures=pictures)
    if pictures.ndim != 4 or pictures.shape[1] != 3:
        raise ValueError(f"pictures: expected shape (b, 3, h, w), got {tuple(pictures.shape)}")
    check_sides(multiple, height=pictures.shape[2], width=pictures.shape[3])
    checks.in_range(-1.0, 1.0, pictures=pictures)


def latents_to_paint(
    masks: Float[Tensor, "b 1 H W"], pictures: Float[Tensor, "b 3 H W"], factor: int
) -> Bool[Tensor, "b 1 h w"]:
    """Which latents a mask means: those whose square has a 1 at its first pixel, the top left.

    Args:
        masks: 1 where to paint, 0 where to keep.
        pictures: what they belong to.
        factor: pixels along one side of a latent's square.

    Raises:
        ValueError: for masks of another shape than (b, 1, height, width), with other values than 0
            and 1, or one that means no latent at all.

    Source:
        In diffusers: `StableDiffusionInpaintPipeline.prepare_mask_latents`, which takes the nearest
        pixel.
    """
    checks.floating(masks=masks)
    expected = (len(pictures), 1, *pictures.shape[2:])
    if masks.shape != expected:
        raise ValueError(f"masks: expected shape {expected}, as pictures, got {tuple(masks.shape)}")
    others = masks[(masks != 0) & (masks != 1)]
    if len(others):
        raise ValueError(f"masks: expected 0 (keep) and 1 (paint), got also {others[0].item():g}")
    paint = masks[:, :, ::factor, ::factor] == 1
    for i, mask in enumerate(paint):
        if not bool(mask.any()):
            where = f"the top left of a square of {factor} × {factor} pixels"
            raise ValueError(f"masks[{i}]: expected a 1 in {where}, got nothing to paint")
    return paint


def outpaint(
    pictures: Float[Tensor, "b 3 h w"],
    *,
    left: int = 0,
    right: int = 0,
    top: int = 0,
    bottom: int = 0,
) -> tuple[Float[Tensor, "b 3 H W"], Float[Tensor, "b 1 H W"]]:
    """Pictures on a larger canvas, and the masks with which `editing.inpaint` fills what was added.

    The added part carries on the colours of the picture's edge, so that the encoder, which looks
    beyond every pixel, sees no border that will not be there.

    Args:
        pictures: in [-1, 1].
        left: pixels to add there; best a multiple of a latent's square, see `latents_to_paint`.
        right: as `left`.
        top: as `left`.
        bottom: as `left`.

    Returns:
        Pictures with sides that `pipe.smallest_size` should divide, and masks: 1 on what was added.

    Raises:
        ValueError: if pictures are no batch, a number is below 0 or all are 0.
    """
    checks.floating(pictures=pictures)
    if pictures.ndim != 4:
        raise ValueError(f"pictures: expected a batch (b, 3, h, w), got {tuple(pictures.shape)}")
    sides = {"left": left, "right": right, "top": top, "bottom": bottom}
    checks.whole_at_least(0, **sides)
    if not any(sides.values()):
        raise ValueError("left, right, top, bottom: expected something to add, got 0 for all")
    added = tuple(sides.values())
    masks = F.pad(torch.zeros_like(pictures[:, :1]), added, value=1.0)
    return F.pad(pictures, added, mode="replicate"), masks
