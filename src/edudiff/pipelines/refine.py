"""Two models for one picture: the first walks most of the way, the second adds the details."""

from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from jaxtyping import Float
from torch import Generator, Tensor

from edudiff.pipelines.text_to_image_xl import TextToImageXL, decode, sample


def sample_refined(
    base: TextToImageXL,
    refiner: TextToImageXL,
    prompts: Sequence[str],
    *,
    generator: Generator,
    split: float = 0.8,
    **options: Any,
) -> Iterator[Float[Tensor, "b c h w"]]:
    """Walk with one model down to a noise level, and on from there with the other.

    Args:
        base: makes latents of noise.
        refiner: goes on with them; it was trained on little noise only.
        prompts: a text for each picture, for both.
        generator: the source of randomness, on the CPU.
        split: the share of the noise table, in (0, 1), that is the base's.
        options: further arguments of `sample`, such as `num_inference_steps`, for both.

    Yields:
        A tensor for each step of the whole walk, first the base's, then the refiner's.

    Raises:
        ValueError: if the two do not share their latents, and what `sample` raises.

    Source:
        Podell et al. 2023 (arXiv:2307.01952), section 2.5, after Balaji et al. 2022
        (eDiff-I, arXiv:2211.01324). In diffusers: `denoising_end=split` for the base,
        `denoising_start=split, image=latents` for the refiner.
    """
    if base.vae.latent_channels != refiner.vae.latent_channels:
        expected, got = base.vae.latent_channels, refiner.vae.latent_channels
        raise ValueError(f"refiner: expected latents of {expected} channels, as base's, got {got}")
    begun = sample(base, prompts, generator=generator, denoising_end=split, **options)
    return _both(refiner, begun, prompts, generator, split, options)


def _both(
    refiner: TextToImageXL,
    begun: Iterator[Tensor],
    prompts: Sequence[str],
    generator: Generator,
    split: float,
    options: dict[str, Any],
) -> Iterator[Tensor]:
    for latents in begun:
        yield latents
    yield from sample(
        refiner, prompts, generator=generator, denoising_start=split, latents=latents, **options
    )


def generate_refined(
    base: TextToImageXL,
    refiner: TextToImageXL,
    prompts: Sequence[str],
    *,
    generator: Generator,
    **options: Any,
) -> Float[Tensor, "b 3 h w"]:
    """A picture in [-1, 1] for each prompt: what `sample_refined` ends with, decoded.

    Args:
        base: makes latents of noise.
        refiner: goes on with them, and decodes.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        options: the other arguments of `sample_refined`.

    Raises:
        ValueError: what `sample_refined` and `decode` raise.
    """
    steps = sample_refined(base, refiner, prompts, generator=generator, **options)
    return decode(refiner, deque(steps, maxlen=1)[0])
