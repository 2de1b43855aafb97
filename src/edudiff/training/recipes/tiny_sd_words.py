"""The text encoder joins in: it and the U-Net of the shipped Stable Diffusion go on together.

CLIP tells captions apart by what they name, and hardly needs to hear where things are. So the text
encoder now learns what the U-Net must be told, from the loss of the U-Net alone. Stable Diffusion
kept CLIP's as it was; latent diffusion, which it grew out of, had trained one of its own.

In the first half of the training captions that say where an object is are drawn more often than
they occur, in the second those with two objects; late timesteps always more often than early ones:
how a picture is laid out is decided while hardly anything of it can be seen.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Int
from torch import Generator, Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from edudiff.checkpoints import registry
from edudiff.data import captions
from edudiff.layers.attention import write_out
from edudiff.models.clip_towers import TextTransformer
from edudiff.pipelines.saving import save
from edudiff.pipelines.text_to_image import TextToImage, load
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_sd

LEARNING_RATE = 4e-4
CHOSEN = 0.25
"""The share of each batch that is taken from such captions only; the rest is drawn from all."""

LATENESS = 0.6
"""Timesteps are spread like u to this power of their number, u evenly: below 1, late ones win."""


class Examples(tiny_sd.Examples):
    """Latents and captions of training scenes, and which of them are the harder ones.

    Attributes:
        saying_where: places of the captions with one object that say where it is.
        two: places of those with two objects.
    """

    def __init__(self, pipe: TextToImage, seeds: Sequence[int]) -> None:
        super().__init__(pipe, seeds)
        said = pipe.tokenizer.batch_decode(self.input_ids, skip_special_tokens=True)
        claims = [captions.read(caption) for caption in said]
        self.saying_where = torch.tensor([k for k, claim in enumerate(claims) if claim.place])
        self.two = torch.tensor([k for k, claim in enumerate(claims) if len(claim.objects) == 2])

    def draw_choosing(
        self, harder: Int[Tensor, " n"], batch_size: int, generator: Generator
    ) -> Batch:
        """As `draw`, with `CHOSEN` of the batch from the harder ones, and with late timesteps."""
        batch = self.draw(batch_size, generator)
        count = int(CHOSEN * batch_size) if len(harder) else 0
        rows = harder[torch.randint(len(harder) or 1, (count,), generator=generator)]
        # Timesteps stand in order, so every few places one is taken.
        places = ((torch.arange(count) + 0.5) * batch_size / max(1, count)).long()
        x0, ids, every = (batch[key].clone() for key in ("x0", "input_ids", "rows"))
        x0[places], ids[places], every[places] = self.latents[rows], self.input_ids[rows], rows
        last = self.num_train_timesteps
        evenly = (batch["t"] + torch.rand(batch_size, generator=generator)) / last
        t = (evenly**LATENESS * last).long().clamp(max=last - 1)
        return {**batch, "x0": x0, "input_ids": ids, "rows": every, "t": t}


def read(text_encoder: TextTransformer, input_ids: Tensor) -> Tensor:
    """What the text encoder says of each token, so that it can learn from it."""
    return text_encoder(input_ids).last_hidden_state


def losses(
    pipe: TextToImage, batch: Batch, read: Callable[..., Tensor] = read
) -> dict[str, Tensor]:
    """The loss, and what it would be if timesteps were spread evenly, to compare with `tiny_sd`."""
    errors = tiny_sd.denoising_errors(pipe, batch, read)
    share = (batch["t"] + 0.5) / pipe.schedule.num_train_timesteps
    even = LATENESS * share ** (1 - 1 / LATENESS)  # how much rarer such timesteps are made
    return {"loss": errors.mean(), "even": (even * errors).mean()}


def make_job(
    pipe: TextToImage,
    learning: nn.ModuleDict,
    draw: Callable[[int, int, Generator], Batch],
    losses: Callable[[Batch], dict[str, Tensor]],
    num_steps: int,
) -> Job:
    """Everything that trains a pipeline's U-Net and text encoder together.

    Args:
        pipe: whose autoencoder stays as it is.
        learning: "unet" and "text_encoder", and whatever else learns beside them.
        draw: (steps done, batch size, generator) → a batch.
        losses: of a batch; "loss" is descended.
        num_steps: steps in all.
    """
    optimizer = torch.optim.AdamW(
        learning.float().parameters(),
        lr=LEARNING_RATE,
        betas=(0.9, 0.99),
        weight_decay=0.01,
        fused=True,
    )
    scheduler = LambdaLR(optimizer, trapezoid(num_steps))

    def whole(weights: Any) -> TextToImage:
        return replace(pipe, unet=weights["unet"], text_encoder=weights["text_encoder"])

    return Job(
        learning,
        optimizer,
        lambda batch_size, generator: draw(scheduler.last_epoch, batch_size, generator),
        losses,
        scheduler=scheduler,
        ema_decay=0.999,
        max_grad_norm=1.0,
        frozen=(pipe.vae,),
        sample=lambda weights: tiny_sd.draw_samples(whole(weights)),
        measure=lambda weights: tiny_sd.measure(whole(weights)),
        export=lambda weights, folder: save(whole(weights), folder),
    )


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped U-Net and text encoder, and what trains both on scenes not seen yet."""
    torch.manual_seed(seed)
    pipe = load(registry.path("tiny-sd"))
    write_out(pipe.unet)
    first = tiny_sd.NUM_SCENES * (3 + seed)
    seeds = range(first, first + min(tiny_sd.NUM_SCENES, tiny_sd.CHUNK * num_steps))
    examples = Examples(pipe, seeds)
    learning = nn.ModuleDict({"unet": pipe.unet, "text_encoder": pipe.text_encoder})

    def draw(step: int, batch_size: int, generator: Generator) -> Batch:
        harder = examples.saying_where if step < num_steps // 2 else examples.two
        return examples.draw_choosing(harder, batch_size, generator)

    return make_job(pipe, learning, draw, lambda batch: losses(pipe, batch), num_steps)


RECIPE = Recipe("stable-diffusion-words", num_steps=6500, batch_size=64, prepare=prepare)
