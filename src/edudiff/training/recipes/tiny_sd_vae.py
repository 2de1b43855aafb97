"""How the autoencoder inside the shipped Stable Diffusion came to be: latents that forgive.

The shipped autoencoder rebuilds pictures well, but only from latents that are right to within a
twentieth of their spread: a little further off and a red star is half yellow. A denoiser is never
that exact. So the same network goes on learning, now with noise on its latents: codes move apart
until a small error changes nothing that can be seen.
"""

from collections.abc import Mapping
from pathlib import Path

import diffusers
import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.optim.lr_scheduler import LambdaLR

from edudiff.checkpoints import registry
from edudiff.data import drawing
from edudiff.evaluation import oracle
from edudiff.models import vae_bridge
from edudiff.models.vae import AutoencoderKL
from edudiff.models.vae_units import standardised
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_vae
from edudiff.training.recipes.tiny_vae import SIZE

LEARNING_RATE = 8e-4
MOST_NOISE = 0.4
TEST_NOISE = 0.2


def make_model() -> AutoencoderKL:
    """The shipped autoencoder, to go on from."""
    return tiny_vae.load_shipped().float()


def disturbed(
    latents: Float[Tensor, " b c h w"],
    noise: Float[Tensor, " b c h w"],
    share: Float[Tensor, " b"] | float,
) -> Float[Tensor, " b c h w"]:
    """Latents with noise on them, in shares of each channel's own spread.

    So it does not help the encoder to make all latents larger.
    """
    spread = latents.std(dim=(0, 2, 3), keepdim=True)
    amount = torch.as_tensor(share, dtype=latents.dtype, device=latents.device)
    return latents + amount.reshape(-1, 1, 1, 1) * spread * noise


def pictures_and_noise(
    model: AutoencoderKL, batch_size: int, most_noise: float, generator: Generator
) -> Batch:
    """Pictures of training scenes, noise for their latents, and how much of it to put on each."""
    side = SIZE // model.downsampling_factor
    shape = batch_size, model.latent_channels, side, side
    return {
        "pictures": tiny_vae.random_pictures(batch_size, SIZE, generator),
        "noise": torch.randn(shape, generator=generator),
        "share": most_noise * torch.rand(batch_size, generator=generator),
    }


@torch.no_grad()
def kept(model: AutoencoderKL, share: float, count: int = 512) -> float:
    """The share of scenes read rightly after their latents were disturbed by so much."""
    truth = tiny_vae.test_scenes(count)
    pictures = drawing.draw(truth, SIZE).to(next(model.parameters()).device)
    latents = torch.cat([model.encode(some).mean for some in pictures.split(64)])
    noise = torch.randn(latents.shape, generator=Generator().manual_seed(0))
    moved = disturbed(latents, noise.to(latents.device), share)
    back = torch.cat([model.decode(some).clamp(-1, 1) for some in moved.split(64)])
    seen = zip(oracle.look(back.cpu()), truth, strict=True)
    return sum(oracle.agrees(sight, scene) for sight, scene in seen) / count


def measure(model: AutoencoderKL, count: int = 512) -> Mapping[str, float]:
    """What reconstructions keep: "psnr" and "kept" as in `tiny_vae`, and "kept_disturbed".

    The last is the share of pictures read rightly when latents are moved by `TEST_NOISE` of their
    spread.
    """
    return {
        **tiny_vae.measure(model, count),
        "kept_disturbed": kept(model, TEST_NOISE, count),
    }


def loss_terms(model: AutoencoderKL, batch: Batch) -> dict[str, Tensor]:
    """As in `tiny_vae`, with the latents disturbed on their way to the decoder."""
    posterior = model.encode(batch["pictures"])
    latents = disturbed(posterior.mean, batch["noise"], batch["share"])
    x_hat = model.decode(latents).float()
    reconstruction = tiny_vae.reconstruction_loss(x_hat, batch["pictures"], tiny_vae.OBJECT_WEIGHT)
    kl = posterior.kl().mean() / batch["noise"][0].numel()
    loss = reconstruction + tiny_vae.KL_WEIGHT * kl
    return {"loss": loss, "reconstruction": reconstruction, "kl": kl}


def export(model: AutoencoderKL, folder: Path) -> None:
    """Write it as diffusers' `AutoencoderKL`, in half precision, its latents standardised."""
    pictures = tiny_vae.random_pictures(1024, SIZE, Generator().manual_seed(0))
    pictures = pictures.to(next(model.parameters()).device)
    with torch.no_grad():
        latents = torch.cat([model.encode(some).mean for some in pictures.split(64)])
    even = standardised(model, latents)
    vae_bridge.to_diffusers(even, sample_size=SIZE).half().save_pretrained(folder)


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped autoencoder and make everything that trains it further."""
    torch.manual_seed(seed)
    model = make_model()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0
    )

    def draw(batch_size: int, generator: Generator) -> Batch:
        return pictures_and_noise(model, batch_size, MOST_NOISE, generator)

    return Job(
        model,
        optimizer,
        draw,
        lambda batch: loss_terms(model, batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps, fall=0.5)),
        ema_decay=0.998,
        max_grad_norm=1.0,
        sample=tiny_vae.pairs,
        measure=measure,
        export=export,
    )


def load_shipped() -> AutoencoderKL:
    """The weights that lie in the package."""
    folder = registry.path("tiny-sd") / "vae"
    return vae_bridge.from_diffusers(diffusers.AutoencoderKL.from_pretrained(folder))


RECIPE = Recipe(
    "stable-diffusion-vae",
    num_steps=5000,
    batch_size=8,
    prepare=prepare,
    measure_shipped=lambda: measure(load_shipped()),
)
