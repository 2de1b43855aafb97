"""How the shipped DALL·E came to be: captions and pictures as one text, guessed token by token.

The codebook is that of `tiny_dalle_vq` and does not learn any more. The codes of the training
scenes are looked up once, before the first step.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers.utils import logging

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, scenes, tokens
from edudiff.models.dalle import DALLE, next_token_losses
from edudiff.models.vector_quantizer import VQModel
from edudiff.pipelines import dalle, dalle_folder
from edudiff.pipelines.dalle import DalleToImage
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import quality, tiny_clip, tiny_dalle_vq, tiny_sd

SIZE = tiny_sd.SIZE
NUM_SCENES, CHUNK = tiny_sd.NUM_SCENES, tiny_sd.CHUNK
LEARNING_RATE = 1e-3
DROPPED = 0.1
TEMPERATURE, TOP_K, GUIDANCE_SCALE = 0.8, 64, 2.0


def make_pipe(vqvae: VQModel) -> DalleToImage:
    """An untrained transformer, 192 wide with five blocks, around the codebook."""
    logging.disable_progress_bar()
    _, tokenizer = tiny_clip.load_shipped()
    transformer = DALLE(
        text_vocab_size=len(tokenizer),
        num_codes=vqvae.num_codes,
        text_length=tokenizer.model_max_length,
        image_length=(SIZE // vqvae.downsampling_factor) ** 2,
        width=192,
        num_layers=5,
        num_heads=4,
    )
    return DalleToImage(tokenizer, transformer, vqvae.requires_grad_(False).eval())


@torch.no_grad()
def codes_of(model: VQModel, seeds: Sequence[int]) -> Int[Tensor, " b n"]:
    """The codes of training scenes, row by row."""
    found = []
    for first in range(0, len(seeds), CHUNK):
        pictures = drawing.draw(scenes.scenes(seeds[first : first + CHUNK]), SIZE)
        found.append(model.encode(pictures).indices.flatten(1))
    return torch.cat(found)


def is_word(input_ids: Int[Tensor, " b m"], eos_token_id: int) -> Int[Tensor, " b m"]:
    """1 for the tokens of a text up to its first end, 0 for the padding after it."""
    ends = (input_ids == eos_token_id).long()
    return (ends.cumsum(dim=1) - ends == 0).long()


def draw(
    pipe: DalleToImage, prompts: Sequence[str], generator: Generator
) -> Float[Tensor, " b 3 h w"]:
    """A picture for each prompt, as the recipe's measures ask for them."""
    return dalle.generate(
        pipe,
        prompts,
        generator=generator,
        temperature=TEMPERATURE,
        top_k=TOP_K,
        guidance_scale=GUIDANCE_SCALE,
    )


def measure(pipe: DalleToImage, count: int = 500) -> Mapping[str, float]:
    """How often a picture shows all its caption says; see `quality.measure`."""
    return quality.measure(lambda prompts, generator: draw(pipe, prompts, generator), count)


def draw_samples(pipe: DalleToImage) -> Float[Tensor, " b 3 h w"]:
    """Pictures of 24 captions that are neither trained on nor tested on."""
    prompts = tiny_sd.test_captions(24, first_seed=tiny_sd.FIRST_TUNING_SEED)
    return draw(pipe, prompts, Generator().manual_seed(0))


class Examples:
    """Codes of training scenes and the token ids of their captions, made once.

    Args:
        pipe: its codebook and its tokeniser.
        seeds: of the scenes.
    """

    def __init__(self, pipe: DalleToImage, seeds: Sequence[int]) -> None:
        said = [captions.describe(scenes.scene(seed), seed) for seed in seeds]
        self.codes = codes_of(pipe.vqvae, seeds)
        self.input_ids = tokens.tokenize(said, pipe.tokenizer)
        self.no_text = tokens.unconditional(pipe.tokenizer)
        self.eos_token_id = pipe.tokenizer.eos_token_id

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """Some of them, one in ten without its caption."""
        rows = torch.randint(len(self.codes), (batch_size,), generator=generator)
        dropped = torch.rand(batch_size, 1, generator=generator) < DROPPED
        input_ids = torch.where(dropped, self.no_text, self.input_ids[rows])
        return {
            "input_ids": input_ids,
            "is_word": is_word(input_ids, self.eos_token_id),
            "codes": self.codes[rows],
        }


def make_job(pipe: DalleToImage, seeds: Sequence[int], num_steps: int, rate: float) -> Job:
    """Everything that trains the transformer of a pipeline on the scenes of these seeds."""
    examples = Examples(pipe, seeds)
    optimizer = torch.optim.AdamW(
        pipe.transformer.parameters(), lr=rate, betas=(0.9, 0.95), weight_decay=0.05
    )
    return Job(
        pipe.transformer,
        optimizer,
        examples.draw,
        lambda batch: next_token_losses(pipe.transformer, **batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps)),
        ema_decay=0.999,
        max_grad_norm=1.0,
        frozen=(pipe.vqvae,),
        sample=lambda weights: draw_samples(replace(pipe, transformer=weights)),
        measure=lambda weights: measure(replace(pipe, transformer=weights)),
        export=lambda weights, out: dalle_folder.save(replace(pipe, transformer=weights), out),
    )


def prepare(seed: int, num_steps: int) -> Job:
    """Make the network, the codes it learns from, and everything that trains it."""
    torch.manual_seed(seed)
    seeds = range(min(NUM_SCENES, CHUNK * num_steps))
    return make_job(make_pipe(tiny_dalle_vq.load_shipped()), seeds, num_steps, LEARNING_RATE)


def measure_shipped() -> Mapping[str, float]:
    """The shipped weights' quality, measured again."""
    return measure(dalle_folder.load(registry.path("tiny-dalle")))


RECIPE = Recipe(
    "dalle", num_steps=2700, batch_size=64, prepare=prepare, measure_shipped=measure_shipped
)
