"""How the shipped autoencoder came to be: 64 × 64 pixels to 8 × 8 latents of four numbers."""

from collections.abc import Mapping
from pathlib import Path

import diffusers
import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import max_pool2d

from edudiff.checkpoints import registry
from edudiff.data import drawing, scenes
from edudiff.evaluation import oracle
from edudiff.models.vae import AutoencoderKL
from edudiff.models.vae_bridge import from_diffusers, to_diffusers
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import two_cycles

SIZE = 64
KL_WEIGHT = 1e-4
EDGE_WEIGHT = 0.05
OBJECT_WEIGHT = 5.0
LEARNING_RATE, REFINING_RATE = 2e-3, 5e-4
FIRST_TEST_SEED = scenes.FIRST_TEST_SEED


def make_model() -> AutoencoderKL:
    """The untrained network."""
    return AutoencoderKL(block_out_channels=(16, 32, 64, 64), norm_num_groups=2)


def object_weights(x: Float[Tensor, " b 3 h w"], weight: float) -> Float[Tensor, " b 1 h w"]:
    """1 for background, `weight` for coloured pixels and those beside them.

    Backgrounds are grey, so whatever has a colour belongs to an object.
    """
    coloured = (x.amax(1, keepdim=True) - x.amin(1, keepdim=True) > 0.1).to(x.dtype)
    return 1 + (weight - 1) * max_pool2d(coloured, 3, stride=1, padding=1)


def reconstruction_loss(
    x_hat: Float[Tensor, " b 3 h w"], x: Float[Tensor, " b 3 h w"], weight: float = 1.0
) -> Float[Tensor, ""]:
    """Mean squared and mean absolute error of the pixels, and of differences between neighbours.

    The squared error learns colours first, because a wrong colour is a large error; the absolute
    one removes the many small errors that are left; the differences ask for sharp outlines.

    Args:
        x_hat: reconstructions.
        x: pictures in [-1, 1].
        weight: how much more the pixels of objects count; see `object_weights`.
    """
    error = x_hat - x
    along, down = error[..., 1:] - error[..., :-1], error[..., 1:, :] - error[..., :-1, :]
    edges = along.abs().mean() + down.abs().mean()
    pixels = object_weights(x, weight) * (error.square() + error.abs())
    return pixels.mean() + EDGE_WEIGHT * edges


def loss_terms(model: AutoencoderKL, batch: Batch, weight: float) -> dict[str, Tensor]:
    """The loss of a variational autoencoder, and its two parts.

    Args:
        model: what learns.
        batch: see `with_noise`.
        weight: how much more the pixels of objects count.
    """
    posterior = model.encode(batch["pictures"])
    x_hat = model.decode(posterior.sample(batch["noise"])).float()
    reconstruction = reconstruction_loss(x_hat, batch["pictures"], weight)
    kl = posterior.kl().mean() / batch["noise"][0].numel()
    loss = reconstruction + KL_WEIGHT * kl
    return {"loss": loss, "reconstruction": reconstruction, "kl": kl}


def with_noise(
    model: AutoencoderKL, pictures: Float[Tensor, " b 3 size size"], generator: Generator
) -> Batch:
    """Pictures, and the noise by which their latents are drawn."""
    side = SIZE // model.downsampling_factor
    noise = torch.randn(len(pictures), model.latent_channels, side, side, generator=generator)
    return {"pictures": pictures, "noise": noise}


def random_pictures(count: int, size: int, generator: Generator) -> Float[Tensor, " b 3 size size"]:
    """Pictures of training scenes, other ones every time."""
    seeds = torch.randint(FIRST_TEST_SEED, (count,), generator=generator).tolist()
    return drawing.draw(scenes.scenes(seeds), size)


def test_scenes(count: int) -> list[scenes.Scene]:
    """The first so many scenes that no training sees."""
    return scenes.scenes(range(FIRST_TEST_SEED, FIRST_TEST_SEED + count))


@torch.no_grad()
def reconstruct(
    model: AutoencoderKL, pictures: Float[Tensor, " b 3 h w"]
) -> Float[Tensor, " b 3 h w"]:
    """Pictures through the most likely latents and back, in [-1, 1]."""
    return torch.cat([model(some).clamp(-1, 1) for some in pictures.split(64)])


def pairs(model: AutoencoderKL) -> Float[Tensor, " b 3 h w"]:
    """Test pictures, each followed by its reconstruction."""
    pictures = drawing.draw(test_scenes(24), SIZE).to(next(model.parameters()).device)
    return torch.stack([pictures, reconstruct(model, pictures)], dim=1).flatten(0, 1)


@torch.no_grad()
def scaling_factor(model: AutoencoderKL) -> float:
    """1 / the standard deviation of latents, which gives diffusion latents of unit variance."""
    pictures = drawing.draw(scenes.scenes(range(512)), SIZE)
    device = next(model.parameters()).device
    latents = [model.encode(some.to(device)).mean for some in pictures.split(64)]
    return 1 / torch.cat(latents).std().item()


def measure(model: AutoencoderKL, count: int = 512) -> Mapping[str, float]:
    """What reconstructions keep, on scenes that training never saw.

    Returns:
        "psnr": mean over pictures, in dB; "kept": the share of pictures read rightly by the
        oracle among those it read rightly before.
    """
    truth = test_scenes(count)
    pictures = drawing.draw(truth, SIZE)
    device = next(model.parameters()).device
    back = reconstruct(model, pictures.to(device)).cpu()
    squared = ((back - pictures) / 2).square().mean(dim=(1, 2, 3))
    right = [
        [oracle.agrees(sight, scene) for sight, scene in zip(oracle.look(x), truth, strict=True)]
        for x in (pictures, back)
    ]
    return {
        "psnr": (-10 * squared.log10()).mean().item(),
        "kept": sum(map(all, zip(*right, strict=True))) / sum(right[0]),
    }


def export(model: AutoencoderKL, folder: Path) -> None:
    """Write the model as diffusers' `AutoencoderKL`, in half precision."""
    model.scaling_factor = scaling_factor(model)
    to_diffusers(model, sample_size=SIZE).half().save_pretrained(folder)


def prepare(seed: int, num_steps: int) -> Job:
    """Make the network and everything that trains it.

    In the first of two cycles all pixels count alike; in the second those of objects count more,
    since small shapes are learnt last.
    """
    torch.manual_seed(seed)
    model = make_model()
    optimizer = torch.optim.AdamW(model.parameters(), betas=(0.9, 0.99), weight_decay=0.0)
    half = max(1, num_steps // 2)
    scheduler = two_cycles(
        optimizer, LEARNING_RATE, REFINING_RATE, switch=half, num_steps=max(2, num_steps)
    )

    def draw(batch_size: int, generator: Generator) -> Batch:
        return with_noise(model, random_pictures(batch_size, SIZE, generator), generator)

    def losses(batch: Batch) -> dict[str, Tensor]:
        return loss_terms(model, batch, OBJECT_WEIGHT if scheduler.last_epoch >= half else 1.0)

    return Job(
        model,
        optimizer,
        draw,
        losses,
        scheduler=scheduler,
        ema_decay=0.999,
        max_grad_norm=1.0,
        sample=pairs,
        measure=measure,
        export=export,
    )


def load_shipped() -> AutoencoderKL:
    """The weights that lie in the package."""
    return from_diffusers(diffusers.AutoencoderKL.from_pretrained(registry.path("tiny-vae")))


RECIPE = Recipe(
    "vae",
    num_steps=28_000,
    batch_size=8,
    prepare=prepare,
    measure_shipped=lambda: measure(load_shipped()),
)
