"""How the shipped Stable Diffusion came to be: captions to pictures of 64 × 64, through latents.

The text encoder is that of the shipped CLIP, the autoencoder that of `tiny_sd_vae`; neither learns
any more. The latents of the training scenes are computed once, before the first step.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LambdaLR
from transformers.utils import logging

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, scenes, tokens
from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.prediction import training_target
from edudiff.diffusion.schedule import NoiseSchedule, scaled_linear_betas
from edudiff.evaluation import oracle
from edudiff.models.clip_towers import TextTransformer
from edudiff.models.unet import UNet
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines import text_to_image
from edudiff.pipelines.saving import save
from edudiff.pipelines.text_to_image import TextToImage
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import quality, tiny_clip, tiny_sd_vae
from edudiff.training.recipes.quality import FIRST_TUNING_SEED, test_captions

SIZE = 64
NUM_SCENES, CHUNK = 49_152, 64
LEARNING_RATE = 1e-3
DROPPED = 0.1
GUIDANCE_SCALE, NUM_STEPS = 2.0, 20


def make_model() -> UNet:
    """The untrained network."""
    return UNet(
        in_channels=4,
        out_channels=4,
        block_out_channels=(64, 128),
        attention_levels=(True, True),
        context_dim=128,
        num_heads=4,
    )


def make_pipe(unet: UNet) -> TextToImage:
    """Everything that makes pictures from captions; all but the U-Net as it is shipped."""
    logging.disable_progress_bar()
    clip, tokenizer = tiny_clip.load_shipped()
    return TextToImage(
        tokenizer=tokenizer,
        text_encoder=clip.text_model,
        unet=unet,
        vae=tiny_sd_vae.load_shipped(),
        schedule=NoiseSchedule(scaled_linear_betas()),
        prediction_type="v_prediction",
        spacing="trailing",
    )


@torch.no_grad()
def latents_of(model: AutoencoderKL, seeds: Sequence[int]) -> Float[Tensor, " b c h w"]:
    """The most likely latents of training scenes.

    A scene's latents depend in the last bits on those it is encoded with: always the same.
    """
    found = []
    for first in range(0, len(seeds), CHUNK):
        pictures = drawing.draw(scenes.scenes(seeds[first : first + CHUNK]), SIZE)
        found.append(model.encode(pictures).mean)
    return torch.cat(found)


def draw(
    pipe: TextToImage,
    prompts: Sequence[str],
    generator: Generator,
    *,
    guidance_scale: float = GUIDANCE_SCALE,
    num_inference_steps: int = NUM_STEPS,
) -> Float[Tensor, " b 3 h w"]:
    """A picture for each prompt, as the recipe's measures ask for them."""
    return text_to_image.generate(
        pipe,
        prompts,
        generator=generator,
        guidance_scale=guidance_scale,
        num_inference_steps=num_inference_steps,
    )


def judge(
    pipe: TextToImage, prompts: Sequence[str], *, seed: int = 0, **options: Any
) -> list[oracle.Verdict]:
    """What the oracle says of one picture for each prompt; `options` are those of `draw`."""
    return quality.judge(partial(draw, pipe, **options), prompts, seed=seed)


def measure(pipe: TextToImage, count: int = 500) -> Mapping[str, float]:
    """How often a picture shows all its caption says; see `quality.measure`."""
    return quality.measure(partial(draw, pipe), count)


@torch.no_grad()
def encode_text(text_encoder: TextTransformer, input_ids: Tensor) -> Tensor:
    """What the text encoder says of each token."""
    return text_encoder(input_ids).last_hidden_state


class Examples:
    """Latents of training scenes and the token ids of their captions, made once.

    Args:
        pipe: its autoencoder and its tokeniser.
        seeds: of the scenes.
    """

    def __init__(self, pipe: TextToImage, seeds: Sequence[int]) -> None:
        said = [captions.describe(scenes.scene(seed), seed) for seed in seeds]
        self.latents = latents_of(pipe.vae, seeds)
        self.input_ids = tokens.tokenize(said, pipe.tokenizer)
        self.no_text = tokens.unconditional(pipe.tokenizer)
        self.num_train_timesteps = pipe.schedule.num_train_timesteps

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """Some of them, at timesteps spread evenly over the table, one in ten without its caption.

        A timestep in each equal part of the table makes gradients less noisy than timesteps drawn
        alone; without words the network is asked when it is guided.
        """
        rows = torch.randint(len(self.latents), (batch_size,), generator=generator)
        within = torch.arange(batch_size) + torch.rand(batch_size, generator=generator)
        dropped = torch.rand(batch_size, 1, generator=generator) < DROPPED
        return {
            "rows": rows,
            "x0": self.latents[rows],
            "input_ids": torch.where(dropped, self.no_text, self.input_ids[rows]),
            "t": (within / batch_size * self.num_train_timesteps).long(),
            "eps": torch.randn(batch_size, *self.latents.shape[1:], generator=generator),
        }


def denoising_errors(
    pipe: TextToImage, batch: Batch, read: Callable[..., Tensor] = encode_text
) -> Float[Tensor, " b"]:
    """Mean squared error of v̂ at each of the noisy latents, for the captions of the batch.

    Args:
        pipe: its U-Net and text encoder are asked.
        batch: as `Examples.draw` makes it.
        read: (text encoder, token ids) → its states.
    """
    x0, t, eps = batch["x0"], batch["t"], batch["eps"]
    xt = add_noise(x0, eps, t, pipe.schedule)
    target = training_target(x0, eps, t, pipe.schedule, pipe.prediction_type)
    # With tokens this few the plain formula is twice as fast on a CPU as the fused one.
    with sdpa_kernel(SDPBackend.MATH):
        v_hat = pipe.unet(xt, t, read(pipe.text_encoder, batch["input_ids"]))
    return (v_hat.float() - target).square().mean(dim=(1, 2, 3))


def denoising_loss(pipe: TextToImage, batch: Batch) -> dict[str, Tensor]:
    """The mean of `denoising_errors` over the batch."""
    return {"loss": denoising_errors(pipe, batch).mean()}


def draw_samples(pipe: TextToImage) -> Float[Tensor, " b 3 h w"]:
    """Pictures of 24 captions that are neither trained on nor tested on."""
    prompts = test_captions(24, first_seed=FIRST_TUNING_SEED)
    return draw(pipe, prompts, Generator().manual_seed(0))


def prepare(seed: int, num_steps: int) -> Job:
    """Make the network, the latents it learns from, and everything that trains it."""
    torch.manual_seed(seed)
    seeds = range(min(NUM_SCENES, CHUNK * num_steps))
    return make_job(make_pipe(make_model()), seeds, num_steps, LEARNING_RATE)


def make_job(pipe: TextToImage, seeds: Sequence[int], num_steps: int, rate: float) -> Job:
    """Everything that trains the U-Net of a pipeline on the scenes of these seeds."""
    examples = Examples(pipe, seeds)
    optimizer = torch.optim.AdamW(
        pipe.unet.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01
    )
    return Job(
        pipe.unet,
        optimizer,
        examples.draw,
        lambda batch: denoising_loss(pipe, batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps)),
        ema_decay=0.999,
        max_grad_norm=1.0,
        frozen=(pipe.text_encoder, pipe.vae),
        sample=lambda weights: draw_samples(replace(pipe, unet=weights)),
        measure=lambda weights: measure(replace(pipe, unet=weights)),
        export=lambda weights, folder: save(replace(pipe, unet=weights), folder),
    )


def measure_shipped() -> Mapping[str, float]:
    """The shipped weights' quality, measured again."""
    return measure(text_to_image.load(registry.path("tiny-sd")))


RECIPE = Recipe(
    "stable-diffusion",
    num_steps=8500,
    batch_size=64,
    prepare=prepare,
    measure_shipped=measure_shipped,
)
