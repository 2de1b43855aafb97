"""How the shipped refiner came to be: tiny-sdxl once more, for the last fifth of the noise alone.

It has one transformer block everywhere, starts from tiny-sdxl's weights, and hears the second text
encoder only, which learns no more. In place of the picture's size it is told a score: pictures
that were drawn small or cut off have a low one, so that asking for a high one asks for sharp ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from edudiff.checkpoints import registry
from edudiff.data import captions, scenes, tokens, views
from edudiff.evaluation import oracle
from edudiff.evaluation.intervals import mean_interval
from edudiff.evaluation.outlines import clear_outlines
from edudiff.evaluation.sharpness import sharpness
from edudiff.models.unet_transplant import transplant_unet
from edudiff.pipelines import text_to_image_xl
from edudiff.pipelines.prompts_xl import read
from edudiff.pipelines.refine import generate_refined
from edudiff.pipelines.saving_xl import save
from edudiff.pipelines.text_to_image_xl import TextToImageXL
from edudiff.training.job import Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_sd, tiny_sdxl, xl_quality
from edudiff.training.recipes.xl_examples import CHUNK, SHARES, Examples

FIRST_SEED = 2**29
"""Scenes from here on: others than those tiny-sdxl has learnt from."""

LAST_TIMESTEP = 250
"""It learns timesteps below this one, a little more than the `SPLIT` leaves to it."""

SPLIT = 0.8
NUM_SCENES = 32_768
LEARNING_RATE = 4e-4


def make_pipe(base: TextToImageXL) -> TextToImageXL:
    """A refiner that begins where the base stands. Random numbers are drawn for what is new."""
    second = base.text_encoder_2
    unet = tiny_sdxl.make_unet(second.text_model.width, num_layers=1, num_time_ids=5)
    seeds = range(FIRST_SEED, FIRST_SEED + 256)
    said = [captions.describe(scenes.scene(seed), seed) for seed in seeds]
    nothing = tokens.unconditional(base.tokenizer_2)
    ids = torch.cat([tokens.tokenize(said, base.tokenizer_2), nothing])
    with torch.no_grad():
        before = read(base.text_encoder, second, [ids, ids]).context
        now = read(None, second, [ids]).context
    transplant_unet(base.unet, unet, before.flatten(0, 1), now.flatten(0, 1))
    return replace(base, tokenizer=None, text_encoder=None, unet=unet, scored=True)


def prepare(seed: int, num_steps: int) -> Job:
    """Make the network, the latents it learns from, and everything that trains it."""
    torch.manual_seed(seed)
    base = text_to_image_xl.load(registry.path("tiny-sdxl"))
    return make_job(base, make_pipe(base), training_seeds(0, num_steps), num_steps, LEARNING_RATE)


def training_seeds(part: int, num_steps: int) -> range:
    """The scenes of one training of several, fewer for a short one."""
    first = FIRST_SEED + NUM_SCENES * part
    return range(first, first + min(NUM_SCENES, CHUNK * num_steps))


def make_job(
    base: TextToImageXL,
    pipe: TextToImageXL,
    seeds: range,
    num_steps: int,
    rate: float,
    *,
    shares: Mapping[tuple[int, int], float] = SHARES,
) -> Job:
    """Everything that trains a refiner's U-Net; the base is needed to compare with."""
    pipe.text_encoder_2.requires_grad_(False)
    examples = Examples(pipe, seeds, below=LAST_TIMESTEP, shares=shares)
    optimizer = torch.optim.AdamW(
        pipe.unet.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )

    def export(weights: Any, folder: Path) -> None:
        save(replace(pipe, unet=weights), folder)

    return Job(
        pipe.unet.train(),
        optimizer,
        examples.draw,
        lambda batch: tiny_sdxl.denoising_loss(pipe, batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps)),
        ema_decay=0.999,
        max_grad_norm=1.0,
        frozen=(pipe.text_encoder_2, pipe.vae, base.unet, *_first_encoder(base)),
        sample=lambda weights: draw_samples(base, replace(pipe, unet=weights)),
        measure=lambda weights: measure(base, replace(pipe, unet=weights)),
        export=export,
    )


def _first_encoder(base: TextToImageXL) -> list[nn.Module]:
    return [] if base.text_encoder is None else [base.text_encoder]


def draw_samples(base: TextToImageXL, refiner: TextToImageXL) -> Float[Tensor, " b 3 h w"]:
    """Twelve pictures by the base alone, then the same ones refined."""
    prompts = tiny_sd.test_captions(12, first_seed=tiny_sd.FIRST_TUNING_SEED)
    refined = refined_pictures(base, refiner, prompts)
    return torch.cat([xl_quality.pictures_of(base, prompts), refined])


def refined_pictures(
    base: TextToImageXL, refiner: TextToImageXL, prompts: Sequence[str]
) -> Float[Tensor, " b 3 h w"]:
    """What `xl_quality.pictures_of` draws, from the same noise, with the last part refined."""
    generator, found = Generator().manual_seed(0), []
    options = {"split": SPLIT, "guidance_scale": xl_quality.GUIDANCE_SCALE}
    for first in range(0, len(prompts), CHUNK):
        some = prompts[first : first + CHUNK]
        found.append(generate_refined(base, refiner, some, generator=generator, **options))
    return torch.cat(found).float().cpu()


def measure(base: TextToImageXL, refiner: TextToImageXL, count: int = 500) -> dict[str, float]:
    """How well the refiner does the last part of the way, and what becomes of the pictures.

    Returns:
        "loss_base" and "loss_refined": the mean squared error of v̂ on pictures that none of the
        two has seen, over the timesteps that are the refiner's. "all", "shape", "outlines" and
        "sharp", each with "_base" and "_refined": in how many pictures all the caption says is
        seen, in how many all its shapes are, what share of the things in them has a clear outline,
        and their mean sharpness; the same prompts, the same noise. "outlines_more": by how much the
        refined ones have more of those, and "outlines_more_low" the lower end of its interval at
        95 %.
    """
    found = {
        "loss_base": late_loss(base, count),
        "loss_refined": late_loss(refiner, count),
    }
    prompts = tiny_sd.test_captions(count)
    pictures = {
        "base": xl_quality.pictures_of(base, prompts),
        "refined": refined_pictures(base, refiner, prompts),
    }
    clear = {name: clear_outlines(some) for name, some in pictures.items()}
    for name, some in pictures.items():
        verdicts = oracle.judge(some, prompts)
        found[f"all_{name}"] = sum(v.all for v in verdicts) / count
        found[f"shape_{name}"] = sum(bool(v["shape"]) for v in verdicts) / count
        found[f"outlines_{name}"] = fmean(clear[name])
        found[f"sharp_{name}"] = sharpness(some).mean().item()
    pairs = zip(clear["base"], clear["refined"], strict=True)
    more = mean_interval([now - before for before, now in pairs])
    return found | {"outlines_more": more.mean, "outlines_more_low": more.low}


@torch.no_grad()
def late_loss(pipe: TextToImageXL, count: int) -> float:
    """The loss on scenes that no training sees, over the timesteps after the `SPLIT`."""
    below = round((1 - SPLIT) * pipe.schedule.num_train_timesteps)
    seeds = range(tiny_sd.FIRST_TUNING_SEED, tiny_sd.FIRST_TUNING_SEED + count)
    examples = Examples(pipe, seeds, below=below, shares={views.SQUARE: 1.0})
    batch = examples.draw(count, Generator().manual_seed(0))
    device = pipe.unet.conv_in.weight.device
    batch = {name: each.to(device) for name, each in batch.items()}
    return tiny_sdxl.denoising_loss(pipe, batch)["loss"].item()


def measure_shipped() -> Mapping[str, float]:
    """The shipped weights' quality, measured again."""
    base, refiner = (
        text_to_image_xl.load(registry.path(name)) for name in ("tiny-sdxl", "tiny-sdxl-refiner")
    )
    return measure(base, refiner)


RECIPE = Recipe(
    "sdxl-refiner", num_steps=2000, batch_size=64, prepare=prepare, measure_shipped=measure_shipped
)
