"""The last touch for the shipped Stable Diffusion: its decoder alone goes on learning.

The encoder stays as it is, so latents mean what they meant and the U-Net need not learn anything
anew. The decoder still sees latents with noise on them, as a denoiser's are never exact.
"""

import copy
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Generator, Tensor
from torch.optim.lr_scheduler import LambdaLR

from edudiff.models import vae_bridge
from edudiff.models.vae import AutoencoderKL
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_sd_vae, tiny_vae

LEARNING_RATE = 6e-4
MOST_NOISE = 0.25


def loss_terms(
    model: AutoencoderKL, decoder: torch.nn.ModuleList, batch: Batch
) -> dict[str, Tensor]:
    """How far pictures are from those that their disturbed latents came from."""
    with torch.no_grad():
        latents = model.encode(batch["pictures"]).mean
        latents = tiny_sd_vae.disturbed(latents, batch["noise"], batch["share"])
    for layer in decoder:
        latents = layer(latents)
    x_hat, weight = latents.float(), tiny_vae.OBJECT_WEIGHT
    return {"loss": tiny_vae.reconstruction_loss(x_hat, batch["pictures"], weight)}


def save(model: AutoencoderKL, folder: Path) -> None:
    """Write it as diffusers' `AutoencoderKL`, in half precision."""
    reference = vae_bridge.to_diffusers(model, sample_size=tiny_vae.SIZE)
    reference.half().save_pretrained(folder)


def draw(model: AutoencoderKL, batch_size: int, generator: Generator) -> Batch:
    """Pictures of training scenes, and noise for their latents."""
    return tiny_sd_vae.pictures_and_noise(model, batch_size, MOST_NOISE, generator)


def make_job(
    draw: Callable[[AutoencoderKL, int, Generator], Batch],
    sample: Callable[[AutoencoderKL], Tensor],
    measure: Callable[[AutoencoderKL], Mapping[str, float]],
    num_steps: int,
    *,
    learnt: float = 1.0,
) -> Job:
    """Everything that trains the decoder of the autoencoder inside the shipped Stable Diffusion.

    Args:
        draw: (model, batch size, generator) → pictures, and noise for their latents.
        sample: pictures of what it can do.
        measure: how well it does it.
        num_steps: steps in all.
        learnt: how far the weights that are kept lie on the straight way from those it began with,
            0, to those it has come to, 1.
    """
    model = tiny_sd_vae.load_shipped().float()
    learning = torch.nn.ModuleList([model.post_quant_conv, model.decoder])
    begun = {name: weight.clone() for name, weight in learning.state_dict().items()}
    optimizer = torch.optim.AdamW(
        learning.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0
    )

    def whole(decoder: torch.nn.ModuleList) -> AutoencoderKL:
        kept = copy.deepcopy(decoder)
        kept.load_state_dict(
            {
                name: begun[name].to(weight).lerp(weight, learnt)
                for name, weight in decoder.state_dict().items()
            }
        )
        model.post_quant_conv, model.decoder = kept  # type: ignore[assignment]
        return model

    return Job(
        learning,
        optimizer,
        lambda batch_size, generator: draw(model, batch_size, generator),
        lambda batch: loss_terms(model, learning, batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps, fall=0.6)),
        ema_decay=0.998,
        max_grad_norm=1.0,
        frozen=(model.encoder, model.quant_conv),
        sample=lambda weights: sample(whole(weights)),
        measure=lambda weights: measure(whole(weights)),
        export=lambda weights, folder: save(whole(weights), folder),
    )


def prepare(seed: int, num_steps: int) -> Job:
    """Take the autoencoder inside the shipped Stable Diffusion, and train its decoder further."""
    torch.manual_seed(seed)
    return make_job(draw, tiny_vae.pairs, tiny_sd_vae.measure, num_steps)


RECIPE = Recipe("stable-diffusion-decoder", num_steps=5000, batch_size=8, prepare=prepare)
