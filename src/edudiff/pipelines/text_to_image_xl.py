"""Stable Diffusion XL and its refiner: the same walk as Stable Diffusion's, told more.

prompts → two tokenisers → two text encoders → states side by side, and one vector ┐
original size, crop corner, target size (refiner: aesthetic score) ────────────────┤
noise, or what another model began → sampler ⇄ U-Net, asked with and without words → latents
"""

from collections import deque
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from edudiff import checks
from edudiff.diffusion.guidance import check_scale
from edudiff.diffusion.samplers import SAMPLERS
from edudiff.diffusion.spacing import spaced_timesteps
from edudiff.pipelines.canvas import check_sides
from edudiff.pipelines.decoding import to_pictures
from edudiff.pipelines.denoiser_xl import denoiser
from edudiff.pipelines.pipe_xl import TextToImageXL, load
from edudiff.pipelines.prompts import check_negative_prompts, check_prompts
from edudiff.pipelines.prompts_xl import Pair, PictureSize, Told, check_size, encode
from edudiff.pipelines.walk_xl import check_latents, part_of_walk

__all__ = ["TextToImageXL", "decode", "generate", "load", "sample"]


def sample(
    pipe: TextToImageXL,
    prompts: Sequence[str],
    *,
    generator: Generator,
    num_inference_steps: int = 20,
    guidance_scale: float = 3.0,
    negative_prompts: Sequence[str] | None = None,
    sampler: str = "dpm-solver++",
    height: int | None = None,
    width: int | None = None,
    original_size: Pair | None = None,
    crops_coords_top_left: Pair = (0, 0),
    target_size: Pair | None = None,
    aesthetic_score: float = 6.0,
    denoising_end: float | None = None,
    denoising_start: float | None = None,
    latents: Float[Tensor, "b c h w"] | None = None,
) -> Iterator[Float[Tensor, "b c h w"]]:
    """Walk from noise to latents of what the prompts say, yielding the latents after each step.

    Noise is drawn as by `text_to_image.sample`.

    Args:
        pipe: the pipeline.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        num_inference_steps: S, how many steps the whole walk has.
        guidance_scale: how far to go from the answer without the prompt to the one with it, and
            beyond; 1 = off.
        negative_prompts: a text for each picture to go away from instead of no text.
        sampler: one of `SAMPLERS`.
        height: of the pictures, in pixels; as trained, or as the latents are, if not given.
        width: as the height.
        original_size: height and width the picture shall look as if it had been enlarged or
            reduced from; those of the picture if not given.
        crops_coords_top_left: row and column of a larger picture that it shall look cut from.
        target_size: height and width the U-Net is told; those of the picture if not given.
        aesthetic_score: told to a refiner; `NEGATIVE_SCORE` is what guidance leads away from.
        denoising_end: the share of the noise table, in (0, 1), after which to stop.
        denoising_start: the share at which another model stopped; `latents` are what it left.
        latents: what to walk from instead of noise from the generator: noise, or if there is a
            `denoising_start` the other model's last latents.

    Yields:
        A tensor for each step, latents as the U-Net knows them; `decode` makes pictures of them.

    Raises:
        ValueError: at once, as `text_to_image.sample`, and for sizes that are no two whole
            numbers, shares that are not in (0, 1) or leave no step, or a `denoising_start` without
            latents; and while walking, if the U-Net's answer is not finite.

    Source:
        Podell et al. 2023 (arXiv:2307.01952), sections 2.2 and 2.5. In diffusers:
        `StableDiffusionXLPipeline(…, output_type="latent")` and the refiner's pipeline, given
        `image=latents`.
    """
    negatives = _negatives(pipe, prompts, negative_prompts)
    check_scale(guidance_scale)
    walk = checks.choose("sampler", sampler, SAMPLERS)
    timesteps, number = _timesteps(pipe, num_inference_steps, denoising_start, denoising_end)
    if latents is None and denoising_start is not None:
        raise ValueError("latents: expected what was left at denoising_start, got none")
    latents = _start(pipe, len(prompts), height, width, latents, generator)
    sizes = (original_size, crops_coords_top_left, target_size)
    told = _told(pipe, latents, *sizes, aesthetic_score)
    words = _words(pipe, prompts, negatives if guidance_scale != 1 else ())
    steps = walk(
        denoiser(pipe.unet, words, told, guidance_scale, scored=pipe.scored),
        latents.to(pipe.unet.conv_in.weight.device),
        timesteps,
        pipe.schedule,
        prediction_type=pipe.prediction_type,
        generator=generator,
    )
    return islice(steps, number)


def decode(pipe: TextToImageXL, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 H W"]:
    """Pictures in [-1, 1] of latents as `sample` yields them.

    Raises:
        ValueError: if latents or pictures are not finite.
    """
    return to_pictures(pipe.vae, latents)


def generate(
    pipe: TextToImageXL, prompts: Sequence[str], *, generator: Generator, **options: Any
) -> Float[Tensor, "b 3 h w"]:
    """A picture in [-1, 1] for each prompt: what `sample` ends with, decoded.

    Args:
        pipe: the pipeline.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        options: the other arguments of `sample`, such as `num_inference_steps=50`.

    Raises:
        ValueError: what `sample` and `decode` raise.
    """
    steps = sample(pipe, prompts, generator=generator, **options)
    return decode(pipe, deque(steps, maxlen=1)[0])


def _negatives(
    pipe: TextToImageXL, prompts: Sequence[str], negative_prompts: Sequence[str] | None
) -> Sequence[str] | None:
    """What to go away from, None standing for zeros; refuses what no tokeniser can read."""
    negatives: Sequence[str] | None = None
    for tokenizer in pipe.tokenizers:
        check_prompts(prompts, tokenizer)
        negatives = check_negative_prompts(negative_prompts, prompts, tokenizer)
    return None if negative_prompts is None and pipe.zeros_for_no_text else negatives


def _timesteps(
    pipe: TextToImageXL, num_inference_steps: int, start: float | None, end: float | None
) -> tuple[Tensor, int]:
    """The timesteps from the first one to visit down to the table's end, and how many to visit."""
    total = pipe.schedule.num_train_timesteps
    timesteps = spaced_timesteps(total, num_inference_steps, pipe.spacing, pipe.steps_offset)
    first, last = part_of_walk(timesteps, total, start, end)
    return timesteps[first:], last - first


def _start(
    pipe: TextToImageXL,
    number: int,
    height: int | None,
    width: int | None,
    latents: Tensor | None,
    generator: Generator,
) -> Tensor:
    """The latents given, if they fit, or noise."""
    channels, factor = pipe.vae.latent_channels, pipe.vae.downsampling_factor
    if latents is None:
        sides = [pipe.size if side is None else side for side in (height, width)]
        check_sides(pipe.smallest_size, height=sides[0], width=sides[1])
        shape = (channels, sides[0] // factor, sides[1] // factor)
        latents = torch.stack([torch.randn(shape, generator=generator) for _ in range(number)])
    check_latents(latents, number, channels, factor, (height, width))
    return latents


def _told(
    pipe: TextToImageXL,
    latents: Tensor,
    original_size: Pair | None,
    crops_coords_top_left: Pair,
    target_size: Pair | None,
    aesthetic_score: float,
) -> PictureSize:
    """What the U-Net is told of sizes; of those not given, the picture's own."""
    factor = pipe.vae.downsampling_factor
    here = latents.shape[2] * factor, latents.shape[3] * factor
    return PictureSize(
        check_size("original_size", here if original_size is None else original_size),
        check_size("crops_coords_top_left", crops_coords_top_left, least=0),
        check_size("target_size", here if target_size is None else target_size),
        aesthetic_score,
    )


def _words(pipe: TextToImageXL, prompts: Sequence[str], negatives: Sequence[str] | None) -> Told:
    """What is said of the negative prompts, or zeros for them, then of the prompts."""
    texts = [*(negatives or ()), *prompts]
    words = encode(texts, pipe.tokenizers, pipe.text_encoder, pipe.text_encoder_2)
    if negatives is not None:
        return words
    return Told(*(torch.cat([torch.zeros_like(states), states]) for states in words))
