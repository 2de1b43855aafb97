"""Pictures changed by words: image-to-image, inpainting, outpainting.

picture → encoder → latents, noised part of the way → sampler ⇄ U-Net → latents → decoder → picture

All three begin with a picture instead of pure noise; the model is that of `text_to_image`.
"""

from collections.abc import Callable, Iterator, Sequence

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from edudiff import checks
from edudiff.diffusion.samplers import SAMPLERS, Denoiser
from edudiff.pipelines.canvas import check_pictures, latents_to_paint, outpaint
from edudiff.pipelines.starts import Start, encode, start
from edudiff.pipelines.text_to_image import TextToImage

__all__ = ["encode", "image_to_image", "inpaint", "outpaint"]


def image_to_image(
    pipe: TextToImage,
    pictures: Float[Tensor, "b 3 H W"],
    prompts: Sequence[str],
    *,
    generator: Generator,
    strength: float = 0.8,
    num_inference_steps: int = 20,
    guidance_scale: float = 5.0,
    negative_prompts: Sequence[str] | None = None,
    sampler: str = "dpm-solver++",
) -> Iterator[Float[Tensor, "b c h w"]]:
    """Noise pictures part of the way and walk back to what the prompts say.

    The picture's latents (see `encode`) are mixed with noise as at the timestep where the walk
    begins. Of S timesteps the last ⌊strength · S⌋ are visited, the noisiest left out. The noise is
    drawn on the CPU, one picture after the other, as in `text_to_image.sample`.

    Args:
        pipe: the pipeline.
        pictures: what to begin with, in [-1, 1]; their sides are multiples of
            `pipe.smallest_size`.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        strength: how far to go into the noise, in (0, 1]: near 0 the picture hardly changes, at 1
            little is left of it.
        num_inference_steps: S, how many steps the whole way would have.
        guidance_scale: as in `text_to_image.sample`.
        negative_prompts: as in `text_to_image.sample`.
        sampler: one of `SAMPLERS`.

    Yields:
        ⌊strength · S⌋ tensors, latents as the U-Net knows them; `text_to_image.decode` makes
        pictures of them.

    Raises:
        ValueError: at once, what `text_to_image.sample` raises; for another number of pictures than
            prompts, pictures that `encode` refuses, or a strength that is not in (0, 1] or so small
            that no step is left.

    Source:
        Meng et al. 2021 (SDEdit, arXiv:2108.01073), algorithm 1. In diffusers:
        `StableDiffusionImg2ImgPipeline`, which draws its latents from the encoder's Gaussian.
    """
    walk = checks.choose("sampler", sampler, SAMPLERS)
    begin = start(
        pipe,
        pictures,
        prompts,
        generator=generator,
        strength=strength,
        num_inference_steps=num_inference_steps,
        guidance_scale=guidance_scale,
        negative_prompts=negative_prompts,
    )
    return walk(
        begin.model,
        begin.at(int(begin.timesteps[0])),
        begin.timesteps,
        pipe.schedule,
        prediction_type=pipe.prediction_type,
        generator=generator,
    )


def inpaint(
    pipe: TextToImage,
    pictures: Float[Tensor, "b 3 H W"],
    masks: Float[Tensor, "b 1 H W"],
    prompts: Sequence[str],
    *,
    generator: Generator,
    strength: float = 1.0,
    num_inference_steps: int = 20,
    guidance_scale: float = 5.0,
    negative_prompts: Sequence[str] | None = None,
    sampler: str = "dpm-solver++",
) -> Iterator[Float[Tensor, "b c h w"]]:
    """Paint part of a picture anew, so that it fits the rest and the prompt.

    At every stop the part to keep is set back to the picture's own latents, mixed with as much
    noise as there is at that timestep, always the same; so the U-Net sees around the new part what
    will be there. At the end the kept part has the picture's latents, not its pixels: it comes out
    as the autoencoder rebuilds it.

    A latent stands for a square of pixels, `pipe.vae.downsampling_factor` a side, and is painted
    if the mask is 1 at the first of them, at the top left: best let masks follow the squares.

    Args:
        pipe: the pipeline.
        pictures: in [-1, 1]; their sides are multiples of `pipe.smallest_size`.
        masks: 1 where to paint, 0 where to keep.
        prompts: a text for each picture, saying what all of it shall show.
        generator: the source of randomness, on the CPU.
        strength: as in `image_to_image`; with 1 the painted part begins with noise alone.
        num_inference_steps: as in `image_to_image`.
        guidance_scale: as in `text_to_image.sample`, like the other two.
        negative_prompts: a text for each picture, or none.
        sampler: one of `SAMPLERS`.

    Yields:
        ⌊strength · S⌋ tensors, latents as the U-Net knows them, the kept part set back.

    Raises:
        ValueError: at once, what `image_to_image` raises; for masks of another shape than (b, 1,
            height, width), with other values than 0 and 1, or one that leaves nothing to paint.

    Source:
        Lugmayr et al. 2022 (RePaint, arXiv:2201.09865), eq. 8, with r = 1; the noise once for all
        steps as in diffusers: `StableDiffusionInpaintPipeline` with a U-Net of 4 channels.
    """
    walk = checks.choose("sampler", sampler, SAMPLERS)
    check_pictures(pictures, pipe.smallest_size)
    paint = latents_to_paint(masks, pictures, pipe.vae.downsampling_factor)
    begin = start(
        pipe,
        pictures,
        prompts,
        generator=generator,
        strength=strength,
        num_inference_steps=num_inference_steps,
        guidance_scale=guidance_scale,
        negative_prompts=negative_prompts,
    )
    mending, keep = _mending(begin, paint.to(begin.latents.device))
    steps = walk(
        mending,
        begin.noise if strength == 1 else begin.at(int(begin.timesteps[0])),
        begin.timesteps,
        pipe.schedule,
        prediction_type=pipe.prediction_type,
        generator=generator,
    )
    stops = [*begin.timesteps[1:].tolist(), -1]
    return (keep(xt, t_prev) for xt, t_prev in zip(steps, stops, strict=True))


def _mending(begin: Start, paint: Tensor) -> tuple[Denoiser, Callable[[Tensor, int], Tensor]]:
    """The model that sees the kept part as it is, and what sets it back to that.

    Samplers know nothing of masks. But they move every latent by itself, so it is enough to set
    the kept part back whenever the model is asked, and in what is yielded.
    """
    first = int(begin.timesteps[0])

    def keep(xt: Tensor, t: int) -> Tensor:
        return torch.where(paint, xt, begin.at(t))

    def model(xt: Tensor, t: Tensor) -> Tensor:
        return begin.model(xt if t[0] == first else keep(xt, int(t[0])), t)

    return model, keep
