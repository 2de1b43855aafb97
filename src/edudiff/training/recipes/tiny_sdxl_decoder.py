"""How the decoder inside the shipped Stable Diffusion XL came to be: one that draws any view.

Stable Diffusion's has only seen sharp squares, and draws sharp things whatever was encoded. Where a
wide picture's gradient ends in an even grey, which no square has, it paints a coloured stain.
Its encoder, which never saw anything else either, gives latents of very small originals away by
accident: they look like no sharp picture's. So here, too, only the decoder learns, on pictures of
all buckets, half of them enlarged. Latents mean what they meant, and the U-Net need not learn them
anew.

What it comes to blurs a little more than it has to wherever latents are not quite right, and a
denoiser's never are. So what is kept lies between its weights and those it began with, on a
straight line: most of the blur passes, and hardly an outline is lost.

Source:
    Wortsman et al. 2022 (WiSE-FT, arXiv:2109.01903) for weights between before and after.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import diffusers
import torch
from jaxtyping import Float
from torch import Generator, Tensor

from edudiff.checkpoints import registry
from edudiff.data import captions, scenes, views
from edudiff.data.scenes import Scene
from edudiff.data.views import View
from edudiff.evaluation.sharpness import sharpness
from edudiff.models import vae_bridge
from edudiff.models.vae import AutoencoderKL
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.recipes import tiny_sd_decoder, tiny_sd_vae, tiny_vae
from edudiff.training.recipes.xl_quality import undistorted

SHARES = {views.SQUARE: 0.5, views.WIDE: 0.25, views.TALL: 0.25}
"""How often a batch comes from each bucket."""

ENLARGED_SHARE, LEARNT = 0.5, 0.65
SMALL = 8
"""Pixels a side of those originals on which it is measured."""


def random_view(seed: int, size: tuple[int, int] = views.SQUARE) -> View:
    """A view of a bucket, sharp or enlarged; the smaller an original, the more often."""
    rng = random.Random(f"blur {seed}")
    look = replace(views.view(seed, size), original=views.LARGEST)
    if rng.random() >= ENLARGED_SHARE:
        return look
    room = (tiny_vae.SIZE - views.SMALLEST) // 2
    return replace(look, original=views.SMALLEST + 2 * int(rng.random() * rng.random() * room))


def draw(model: AutoencoderKL, batch_size: int, generator: Generator) -> Batch:
    """Pictures of training scenes, all of one bucket, and noise for their latents."""
    seeds = torch.randint(tiny_vae.FIRST_TEST_SEED, (batch_size,), generator=generator).tolist()
    chosen = torch.multinomial(torch.tensor([*SHARES.values()]), 1, generator=generator).item()
    size = [*SHARES][int(chosen)]
    pictures = views.draw_views(scenes.scenes(seeds), [random_view(seed, size) for seed in seeds])
    high, across = (side // model.downsampling_factor for side in size)
    shape = batch_size, model.latent_channels, high, across
    return {
        "pictures": pictures,
        "noise": torch.randn(shape, generator=generator),
        "share": tiny_sd_decoder.MOST_NOISE * torch.rand(batch_size, generator=generator),
    }


def measure(model: AutoencoderKL, count: int = 512) -> Mapping[str, float]:
    """What `tiny_sd_vae` measures on sharp squares, how much blur passes, and other buckets.

    Returns:
        Also "sharp_full" and "sharp_small": the mean sharpness of rebuilt pictures, drawn in full
        size and enlarged from `SMALL` pixels; "sharp_small_before": that of the latter before.
        "wide" and "tall": the share of lone objects that are undistorted in rebuilt pictures of
        those shapes.
    """
    found = dict(tiny_sd_vae.measure(model, count))
    truth = tiny_vae.test_scenes(count)
    for name, original in (("full", tiny_vae.SIZE), ("small", SMALL)):
        pictures, back = rebuilt(model, truth, View(original=original))
        found[f"sharp_{name}"] = sharpness(back).mean().item()
    found["sharp_small_before"] = sharpness(pictures).mean().item()
    lone = [scene for scene in truth if len(scene.objects) == 1]
    said = [captions.describe(scene, seed) for seed, scene in enumerate(lone)]
    for name, size in (("wide", views.WIDE), ("tall", views.TALL)):
        _, back = rebuilt(model, lone, View(*size))
        found[name] = fmean(undistorted(back, said))
    return found


@torch.no_grad()
def rebuilt(
    model: AutoencoderKL, scenes: Sequence[Scene], look: View
) -> tuple[Float[Tensor, " b 3 h w"], Float[Tensor, " b 3 h w"]]:
    """Pictures of scenes, all seen alike, and what the autoencoder makes of them; on the CPU."""
    pictures = views.draw_views(scenes, [look] * len(scenes))
    back = tiny_vae.reconstruct(model, pictures.to(next(model.parameters()).device))
    return pictures, back.cpu()


def pairs(model: AutoencoderKL) -> Float[Tensor, " b 3 h w"]:
    """Test pictures, two of three enlarged, each followed by its reconstruction."""
    looks = [View(), View(original=16), View(original=SMALL)] * 8
    pictures = views.draw_views(tiny_vae.test_scenes(24), looks)
    pictures = pictures.to(next(model.parameters()).device)
    return torch.stack([pictures, tiny_vae.reconstruct(model, pictures)], dim=1).flatten(0, 1)


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped Stable Diffusion's autoencoder, and show its decoder other views."""
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
