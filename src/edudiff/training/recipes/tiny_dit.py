"""How the shipped diffusion transformer came to be: captions to pictures, along straight lines.

It learns from the same latents and captions as the U-Net of `tiny_sd` and is about as large; what
differs is the network and the path from noise to data. Both text encoders are that of the shipped
CLIP, which has one only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.functional import mse_loss
from torch.optim.lr_scheduler import LambdaLR
from transformers.utils import logging

from edudiff.checkpoints import registry
from edudiff.data import captions, scenes, tokens
from edudiff.diffusion.flow import flow_velocity, straight_path
from edudiff.diffusion.logit_normal import logit_normal_times
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.mmdit import MMDiT
from edudiff.pipelines import flow_folder, flow_to_image
from edudiff.pipelines.flow_to_image import CLOCK, FlowToImage
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import quality, tiny_clip, tiny_sd, tiny_sd_vae

NUM_SCENES, CHUNK = tiny_sd.NUM_SCENES, tiny_sd.CHUNK
LEARNING_RATE = 1e-3
DROPPED = 0.1
GUIDANCE_SCALE, NUM_STEPS = 3.0, 20


def make_model() -> MMDiT:
    """The untrained network: a token for each of 8 × 8 latents, five blocks, 160 wide."""
    return MMDiT(num_layers=5, num_heads=4, head_dim=40, context_dim=256, pooled_dim=256)


def make_pipe(transformer: MMDiT) -> FlowToImage:
    """Everything that makes pictures from captions; all but the transformer as it is shipped."""
    logging.disable_progress_bar()
    clip, tokenizer = tiny_clip.load_shipped()
    text = TextWithProjection(clip.text_model, clip.projection_dim)
    text.text_projection.load_state_dict(clip.text_projection.state_dict())
    text.requires_grad_(False)
    return FlowToImage(tokenizer, text, text, transformer, tiny_sd_vae.load_shipped())


def draw(
    pipe: FlowToImage, prompts: Sequence[str], generator: Generator
) -> Float[Tensor, " b 3 h w"]:
    """A picture for each prompt, as the recipe's measures ask for them."""
    return flow_to_image.generate(
        pipe,
        prompts,
        generator=generator,
        guidance_scale=GUIDANCE_SCALE,
        num_inference_steps=NUM_STEPS,
    )


def measure(pipe: FlowToImage, count: int = 500) -> Mapping[str, float]:
    """How often a picture shows all its caption says; see `quality.measure`."""
    return quality.measure(lambda prompts, generator: draw(pipe, prompts, generator), count)


def draw_samples(pipe: FlowToImage) -> Float[Tensor, " b 3 h w"]:
    """Pictures of 24 captions that are neither trained on nor tested on."""
    prompts = tiny_sd.test_captions(24, first_seed=tiny_sd.FIRST_TUNING_SEED)
    return draw(pipe, prompts, Generator().manual_seed(0))


class Examples:
    """Latents of training scenes and the token ids of their captions, made once.

    Args:
        pipe: its autoencoder and its tokeniser.
        seeds: of the scenes.
    """

    def __init__(self, pipe: FlowToImage, seeds: Sequence[int]) -> None:
        said = [captions.describe(scenes.scene(seed), seed) for seed in seeds]
        self.latents = tiny_sd.latents_of(pipe.vae, seeds)
        self.input_ids = tokens.tokenize(said, pipe.tokenizer)
        self.no_text = tokens.unconditional(pipe.tokenizer)

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """Some of them, one in ten without its caption, each at a time of its own.

        There is a time in each of as many equally likely parts of [0, 1] as there are examples;
        gradients are less noisy then than with times drawn alone.
        """
        rows = torch.randint(len(self.latents), (batch_size,), generator=generator)
        within = torch.arange(batch_size) + torch.rand(batch_size, generator=generator)
        dropped = torch.rand(batch_size, 1, generator=generator) < DROPPED
        return {
            "x0": self.latents[rows],
            "input_ids": torch.where(dropped, self.no_text, self.input_ids[rows]),
            "s": logit_normal_times(within / batch_size),
            "eps": torch.randn(batch_size, *self.latents.shape[1:], generator=generator),
        }


def flow_loss(pipe: FlowToImage, batch: Batch) -> dict[str, Tensor]:
    """Mean squared error of the velocity along the lines of a batch."""
    x0, s, eps = batch["x0"], batch["s"], batch["eps"]
    with torch.no_grad():
        told = flow_to_image.read(pipe, batch["input_ids"])
    u_hat = pipe.transformer(straight_path(x0, eps, s), CLOCK * s, *told)
    return {"loss": mse_loss(u_hat.float(), flow_velocity(x0, eps))}


def make_job(pipe: FlowToImage, seeds: Sequence[int], num_steps: int, rate: float) -> Job:
    """Everything that trains the transformer of a pipeline on the scenes of these seeds."""
    examples = Examples(pipe, seeds)
    optimizer = torch.optim.AdamW(
        pipe.transformer.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01
    )
    return Job(
        pipe.transformer,
        optimizer,
        examples.draw,
        lambda batch: flow_loss(pipe, batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps)),
        ema_decay=0.999,
        max_grad_norm=1.0,
        frozen=(pipe.text_encoder, pipe.vae),
        sample=lambda weights: draw_samples(replace(pipe, transformer=weights)),
        measure=lambda weights: measure(replace(pipe, transformer=weights)),
        export=lambda weights, out: flow_folder.save(replace(pipe, transformer=weights), out),
    )


def prepare(seed: int, num_steps: int) -> Job:
    """Make the network, the latents it learns from, and everything that trains it."""
    torch.manual_seed(seed)
    seeds = range(min(NUM_SCENES, CHUNK * num_steps))
    return make_job(make_pipe(make_model()), seeds, num_steps, LEARNING_RATE)


def measure_shipped() -> Mapping[str, float]:
    """The shipped weights' quality, measured again."""
    return measure(flow_folder.load(registry.path("tiny-dit")))


RECIPE = Recipe(
    "dit", num_steps=3500, batch_size=64, prepare=prepare, measure_shipped=measure_shipped
)
