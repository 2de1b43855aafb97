"""How the decoder inside the shipped Stable Diffusion XL came to be: one that lets blur through.

Stable Diffusion's has only seen sharp scenes, and draws a sharp one whatever was encoded. Its
encoder, which never saw anything else either, gives latents of very small originals away by
accident: they look like no sharp picture's. So here, too, only the decoder learns, on pictures half
of which are enlarged. Latents mean what they meant, and the U-Net need not learn them anew.

What it comes to blurs a little more than it has to wherever latents are not quite right, and a
denoiser's never are. So what is kept lies between its weights and those it began with, on a
straight line: most of the blur passes, and hardly an outline is lost.

Source:
    Wortsman et al. 2022 (WiSE-FT, arXiv:2109.01903) for weights between before and after.
"""

import random
from collections.abc import Mapping

import diffusers
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from edudiff.checkpoints import registry
from edudiff.data import scenes, views
from edudiff.data.views import View
from edudiff.evaluation.sharpness import sharpness
from edudiff.models import vae_bridge
from edudiff.models.vae import AutoencoderKL
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.recipes import tiny_sd_decoder, tiny_sd_vae, tiny_vae

ENLARGED_SHARE, LEARNT = 0.5, 0.65
SMALL = 8
"""Pixels a side of those originals on which it is measured."""


def random_view(seed: int) -> View:
    """A whole square picture, sharp or enlarged; the smaller an original, the more often."""
    rng = random.Random(f"blur {seed}")
    if rng.random() >= ENLARGED_SHARE:
        return View()
    room = (tiny_vae.SIZE - views.SMALLEST) // 2
    return View(original=views.SMALLEST + 2 * int(rng.random() * rng.random() * room))


def draw(model: AutoencoderKL, batch_size: int, generator: Generator) -> Batch:
    """Pictures of training scenes, some of them enlarged, and noise for their latents."""
    seeds = torch.randint(tiny_vae.FIRST_TEST_SEED, (batch_size,), generator=generator).tolist()
    looks = [random_view(seed) for seed in seeds]
    noise = tiny_sd_decoder.draw(model, batch_size, generator)
    return {**noise, "pictures": views.draw_views(scenes.scenes(seeds), looks)}


def measure(model: AutoencoderKL, count: int = 512) -> Mapping[str, float]:
    """What `tiny_sd_vae` measures on sharp pictures, and how much blur passes.

    Returns:
        Also "sharp_full" and "sharp_small": the mean sharpness of rebuilt pictures, drawn in full
        size and enlarged from `SMALL` pixels; "sharp_small_before": that of the latter before.
    """
    found = dict(tiny_sd_vae.measure(model, count))
    truth = tiny_vae.test_scenes(count)
    for name, original in (("full", tiny_vae.SIZE), ("small", SMALL)):
        pictures = views.draw_views(truth, [View(original=original)] * count)
        back = tiny_vae.reconstruct(model, pictures.to(next(model.parameters()).device)).cpu()
        found[f"sharp_{name}"] = sharpness(back).mean().item()
    found["sharp_small_before"] = sharpness(pictures).mean().item()
    return found


def pairs(model: AutoencoderKL) -> Float[Tensor, " b 3 h w"]:
    """Test pictures, two of three enlarged, each followed by its reconstruction."""
    looks = [View(), View(original=16), View(original=SMALL)] * 8
    pictures = views.draw_views(tiny_vae.test_scenes(24), looks)
    pictures = pictures.to(next(model.parameters()).device)
    return torch.stack([pictures, tiny_vae.reconstruct(model, pictures)], dim=1).flatten(0, 1)


def prepare(seed: int, num_steps: int) -> Job:
    """Take the autoencoder inside the shipped Stable Diffusion, and teach its decoder blur."""
    torch.manual_seed(seed)
    return tiny_sd_decoder.make_job(draw, pairs, measure, num_steps, learnt=LEARNT)


def load_shipped() -> AutoencoderKL:
    """The shipped weights."""
    model = diffusers.AutoencoderKL.from_pretrained(registry.path("tiny-sdxl") / "vae")
    return vae_bridge.from_diffusers(model)


def measure_shipped() -> Mapping[str, float]:
    """The shipped weights' quality, measured again."""
    return measure(load_shipped())


RECIPE = Recipe(
    "sdxl-decoder",
    num_steps=7000,
    batch_size=8,
    prepare=prepare,
    measure_shipped=measure_shipped,
)
