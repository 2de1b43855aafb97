"""What SDXL's recipes measure: what pictures show, and what it does to tell their size."""

from collections.abc import Sequence
from functools import partial
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from edudiff.data import captions, views
from edudiff.evaluation import framing, oracle
from edudiff.evaluation.sharpness import sharpness
from edudiff.pipelines import text_to_image_xl
from edudiff.pipelines.text_to_image_xl import TextToImageXL
from edudiff.training.recipes import quality

CHUNK = 64
GUIDANCE_SCALE = 2.0
"""Chosen by `benchmarks/sdxl_against_sd.py --tune`, on prompts of their own."""

SMALL_SIZE = (8, 8)
CROP_CORNER = (40, 40)


def draw(
    pipe: TextToImageXL, prompts: Sequence[str], generator: Generator
) -> Float[Tensor, " b 3 h w"]:
    """A picture for each prompt, as the recipe's measures ask for them."""
    return text_to_image_xl.generate(
        pipe, prompts, generator=generator, guidance_scale=GUIDANCE_SCALE
    )


def pictures_of(
    pipe: TextToImageXL, prompts: Sequence[str], *, seed: int = 0, **options: Any
) -> Float[Tensor, " b 3 h w"]:
    """One picture for each prompt, on the CPU; `options` are those of `text_to_image_xl.sample`."""
    options = {"guidance_scale": GUIDANCE_SCALE, **options}
    generator, found = Generator().manual_seed(seed), []
    for first in range(0, len(prompts), CHUNK):
        some = prompts[first : first + CHUNK]
        pictures = text_to_image_xl.generate(pipe, some, generator=generator, **options)
        found.append(pictures.float().cpu())
    return torch.cat(found)


def measure(pipe: TextToImageXL, count: int = 500) -> dict[str, float]:
    """What `tiny_sd.measure` measures, on the same prompts, and what `measure_told` does."""
    found = quality.measure(partial(draw, pipe), count)
    prompts = quality.test_captions(count)
    return found | measure_told(pipe, lone_objects(prompts)[: count // 5])


def lone_objects(prompts: Sequence[str]) -> list[str]:
    """Those prompts that name one object."""
    return [prompt for prompt in prompts if len(captions.read(prompt).objects) == 1]


def measure_told(pipe: TextToImageXL, prompts: Sequence[str]) -> dict[str, float]:
    """What becomes of the same prompts, from the same noise, when other sizes are told.

    Args:
        pipe: the pipeline.
        prompts: each names one object.

    Returns:
        "sharp_small" and "sharp_full": mean sharpness when the original was `SMALL_SIZE`, and when
        it was as large as the picture. "inside_0" and "inside_crop": mean share of the object
        within the frame, of those that are seen at all, with the crop corner (0, 0) and with
        `CROP_CORNER`. "square", "wide" and "tall": the share of pictures of those shapes that are
        `undistorted`.
    """
    plain = pictures_of(pipe, prompts)
    small = pictures_of(pipe, prompts, original_size=SMALL_SIZE)
    cropped = pictures_of(pipe, prompts, crops_coords_top_left=CROP_CORNER)
    found = {
        "sharp_small": sharpness(small).mean().item(),
        "sharp_full": sharpness(plain).mean().item(),
        "inside_0": _inside(plain, prompts),
        "inside_crop": _inside(cropped, prompts),
    }
    for name, (height, width) in {
        "square": views.SQUARE,
        "wide": views.WIDE,
        "tall": views.TALL,
    }.items():
        pictures = plain
        if name != "square":
            pictures = pictures_of(pipe, prompts, height=height, width=width)
        found[name] = fmean(undistorted(pictures, prompts))
    return found


def _inside(pictures: Tensor, prompts: Sequence[str]) -> float:
    objects = [captions.read(prompt).objects[0] for prompt in prompts]
    seen = [s for s in framing.shares_inside(pictures, objects) if s is not None]
    return fmean(seen) if seen else 0.0


def undistorted(pictures: Float[Tensor, " b 3 h w"], prompts: Sequence[str]) -> list[bool]:
    """Whether each picture shows as many objects as were asked for, in their shape and colour.

    Args:
        pictures: square, wide or tall; see `framing.on_plain_ground`.
        prompts: what was asked for.
    """
    verdicts = oracle.judge(framing.on_plain_ground(pictures), prompts)
    return [
        all(each[name] is not False for name in ("count", "shape", "colour")) for each in verdicts
    ]
