"""The U-Net of Stable Diffusion XL as samplers want it: asked with the words and without."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from edudiff.diffusion.guidance import guide
from edudiff.diffusion.samplers import Denoiser
from edudiff.models.unet import UNet
from edudiff.pipelines.prompts_xl import PictureSize, Told

NEGATIVE_SCORE = 2.5
"""The aesthetic score that guidance leads a refiner away from; diffusers' own."""


def denoiser(
    unet: UNet, words: Told, told: PictureSize, guidance_scale: float, *, scored: bool
) -> Denoiser:
    """The U-Net as samplers want it: (xt, t) → its answer, guided if the scale is not 1.

    Args:
        unet: the network.
        words: what is said of the prompts; with guidance of the negative prompts, then of them.
        told: what it is told of the picture's size.
        guidance_scale: how far to go from the answer without the prompt to the one with it.
        scored: whether it is told an aesthetic score, as refiners are.

    Raises:
        ValueError: when asked, if its answer is not finite.
    """
    guided, weight = guidance_scale != 1, unet.conv_in.weight
    number = len(words.context) // (2 if guided else 1)
    rows = [told.time_ids(scored=scored)] * number
    if guided:
        rows = [_negative(told, scored).time_ids(scored=scored)] * number + rows
    time_ids = torch.tensor(rows, dtype=torch.float32, device=weight.device)

    def model(xt: Float[Tensor, "b c h w"], t: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        times = 2 if guided else 1
        answer = unet(
            xt.to(weight.dtype).repeat(times, 1, 1, 1),
            t.repeat(times),
            words.context,
            text_embeds=words.text_embeds,
            time_ids=time_ids,
        )
        if not answer.isfinite().all():
            raise ValueError(f"unet: expected finite answers, got infinity or NaN at t = {t[0]}")
        if not guided:
            return answer.to(xt.dtype)
        unconditional, conditional = answer.to(xt.dtype).chunk(2)
        return guide(unconditional, conditional, guidance_scale)

    return model


def _negative(told: PictureSize, scored: bool) -> PictureSize:
    """What is told beside negative prompts: the same; to a refiner, that it is whole and ugly."""
    if not scored:
        return told
    return told._replace(crops_coords_top_left=(0, 0), aesthetic_score=NEGATIVE_SCORE)
