"""How the codebook of the shipped DALL·E came to be: 64 × 64 pixels to 8 × 8 numbers below 512.

Encoder and decoder begin as those of the shipped Stable Diffusion, and the codes as centres of its
latents. Then all three learn together: with the codes alone replaced, most pictures were no longer
read rightly, as four numbers of a latent are more than nine bits.
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
from edudiff.models import vq_bridge
from edudiff.models.vector_quantizer import VQModel
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_sd, tiny_sd_vae, tiny_vae
from edudiff.training.recipes.tiny_vae import SIZE

NUM_CODES = 512
LEARNING_RATE = 8e-4
CODES_WEIGHT = 0.5
NUM_SCENES, NUM_ROUNDS = 1024, 8


def make_model() -> VQModel:
    """The shipped autoencoder, around codes that are centres of its latents."""
    autoencoder = tiny_sd_vae.load_shipped().float()
    model = vq_bridge.from_autoencoder(autoencoder, NUM_CODES)
    latents = tiny_sd.latents_of(autoencoder, range(NUM_SCENES))
    rows = latents.movedim(1, -1).flatten(0, -2)
    model.quantize.embedding.weight.data = centres(rows, NUM_CODES, NUM_ROUNDS)
    return model.train()


@torch.no_grad()
def centres(rows: Float[Tensor, " n d"], number: int, rounds: int) -> Float[Tensor, " k d"]:
    """The means of so many groups of rows, each row belonging to the nearest mean.

    Args:
        rows: points, at least as many as groups; the first means are some of them.
        number: of groups.
        rounds: how often every row looks for its mean, and every mean moves to its rows.

    Source:
        Lloyd 1982, "Least squares quantization in PCM", known as k-means.
    """
    chosen = torch.randperm(len(rows), generator=Generator().manual_seed(0))[:number]
    means = rows[chosen].clone()
    for _ in range(rounds):
        nearest = torch.cat([torch.cdist(some, means).argmin(1) for some in rows.split(16_384)])
        sums = torch.zeros_like(means).index_add_(0, nearest, rows)
        counts = nearest.bincount(minlength=number)[:, None]
        means = torch.where(counts > 0, sums / counts.clamp(min=1), means)
    return means


@torch.no_grad()
def reconstruct(model: VQModel, pictures: Float[Tensor, " b 3 h w"]) -> Float[Tensor, " b 3 h w"]:
    """Pictures through their codes and back, in [-1, 1]."""
    return torch.cat([model(some).clamp(-1, 1) for some in pictures.split(64)])


@torch.no_grad()
def perplexity(model: VQModel, pictures: Float[Tensor, " b 3 h w"]) -> float:
    """How many codes are in use: exp of the entropy of how often each occurs."""
    indices = torch.cat([model.encode(some).indices for some in pictures.split(64)])
    shares = indices.flatten().bincount(minlength=model.num_codes) / indices.numel()
    return torch.special.entr(shares).sum().exp().item()


def measure(model: VQModel, count: int = 512) -> Mapping[str, float]:
    """What reconstructions keep: "psnr" and "kept" as in `tiny_vae`, and "perplexity" of codes."""
    truth = tiny_vae.test_scenes(count)
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
        "perplexity": perplexity(model, pictures.to(device)),
    }


def pairs(model: VQModel) -> Float[Tensor, " b 3 h w"]:
    """Test pictures, each followed by its reconstruction."""
    pictures = drawing.draw(tiny_vae.test_scenes(24), SIZE).to(next(model.parameters()).device)
    return torch.stack([pictures, reconstruct(model, pictures)], dim=1).flatten(0, 1)


def loss_terms(model: VQModel, batch: Batch) -> dict[str, Tensor]:
    """How far reconstructions are from pictures, and codes from latents."""
    quantized = model.encode(batch["pictures"])
    x_hat = model.decode(quantized.z).float()
    reconstruction = tiny_vae.reconstruction_loss(x_hat, batch["pictures"], tiny_vae.OBJECT_WEIGHT)
    loss = reconstruction + CODES_WEIGHT * quantized.loss
    return {"loss": loss, "reconstruction": reconstruction, "codes": quantized.loss}


def export(model: VQModel, folder: Path) -> None:
    """Write it as diffusers' `VQModel`, in half precision."""
    vq_bridge.to_diffusers(model, sample_size=SIZE).half().save_pretrained(folder)


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped autoencoder, a codebook, and everything that trains them together."""
    torch.manual_seed(seed)
    model = make_model()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0
    )

    def draw(batch_size: int, generator: Generator) -> Batch:
        return {"pictures": tiny_vae.random_pictures(batch_size, SIZE, generator)}

    return Job(
        model,
        optimizer,
        draw,
        lambda batch: loss_terms(model, batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps, fall=0.5)),
        ema_decay=0.998,
        max_grad_norm=1.0,
        sample=pairs,
        measure=measure,
        export=export,
    )


def load_shipped() -> VQModel:
    """The weights that lie in the package."""
    folder = registry.path("tiny-dalle") / "vqvae"
    return vq_bridge.from_diffusers(diffusers.VQModel.from_pretrained(folder)).float()


RECIPE = Recipe(
    "dalle-vq",
    num_steps=6000,
    batch_size=8,
    prepare=prepare,
    measure_shipped=lambda: measure(load_shipped()),
)
