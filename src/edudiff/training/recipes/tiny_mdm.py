"""How the shipped Matryoshka came to be: captions to pictures of 64, 32 and 16 pixels at once.

The text encoder is that of the shipped CLIP, which does not learn any more. There is no
autoencoder: the network works on pixels. Half of every batch exists at 16 pixels only, a quarter at
32 too, a quarter at all three.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LambdaLR
from transformers.utils import logging

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, scenes, tokens
from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.multiscale import pyramid
from edudiff.diffusion.multiscale_loss import joint_loss, keep_mixed, mixed_fractions
from edudiff.diffusion.schedule import NoiseSchedule, cosine_betas
from edudiff.evaluation import oracle
from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet
from edudiff.pipelines import matryoshka, matryoshka_folder
from edudiff.pipelines.matryoshka import Matryoshka
from edudiff.pipelines.words import ClipReader, up_to_first_end
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_clip
from edudiff.training.recipes.tiny_sd import FIRST_TUNING_SEED, encode_text, test_captions

SIZES = (64, 32, 16)
MIXED_RATIO = (1, 1, 2)
NUM_SCENES, CHUNK = 49_152, 64
LEARNING_RATE = 1e-3
DROPPED = 0.1
GUIDANCE_SCALE, NUM_STEPS = 3.0, 20
READABLE = 32
"""Below so many pixels a side the oracle is shown an enlargement."""


def make_model() -> NestedUNet:
    """The untrained networks, one inside the other."""
    inner = MatryoshkaUNet(
        block_out_channels=(56, 112), attention_layers=(0, 1), text_dim=128, scale=16
    )
    middle = NestedUNet(inner, block_out_channels=(32, 64), scale=32)
    return NestedUNet(middle, block_out_channels=(16, 32), scale=64)


def make_pipe(unet: NestedUNet) -> Matryoshka:
    """Everything that makes pictures from captions; all but the U-Net as it is shipped."""
    logging.disable_progress_bar()
    clip, tokenizer = tiny_clip.load_shipped()
    schedule = NoiseSchedule(cosine_betas())
    return Matryoshka(ClipReader(tokenizer, clip.text_model), unet, schedule, size=SIZES[0])


def judge(
    levels: Sequence[Float[Tensor, "b 3 _ _"]], prompts: Sequence[str]
) -> list[list[oracle.Verdict]]:
    """What the oracle says of each picture at each resolution."""
    shown = []
    for level in levels:
        side = max(level.shape[-1], READABLE)
        if side != level.shape[-1]:
            level = F.interpolate(level, size=side, mode="bicubic").clamp(-1, 1)
        shown.append(level)
    return [oracle.judge(level, prompts) for level in shown]


def apart(levels: Sequence[Float[Tensor, "b 3 _ _"]]) -> dict[str, float]:
    """How far each lower resolution is from the highest one averaged: root mean square, of 2.

    Nothing in the sampler makes them the same picture; the network has to.
    """
    ratios = [level.shape[-1] // levels[-1].shape[-1] for level in levels]
    pairs = list(zip(levels, pyramid(levels[0], ratios), strict=True))[1:]
    return {f"apart_{a.shape[-1]}": (a - b).square().mean().sqrt().item() for a, b in pairs}


def draw_pictures(
    pipe: Matryoshka, prompts: Sequence[str], seed: int = 0
) -> list[Float[Tensor, "b 3 _ _"]]:
    """A picture for each prompt, at each resolution."""
    generator, found = Generator().manual_seed(seed), []
    for first in range(0, len(prompts), CHUNK):
        some = prompts[first : first + CHUNK]
        options = {"guidance_scale": GUIDANCE_SCALE, "num_inference_steps": NUM_STEPS}
        levels = matryoshka.generate(pipe, some, generator=generator, **options)
        found.append([level.float().cpu() for level in levels])
    return [torch.cat(level) for level in zip(*found, strict=True)]


def measure(pipe: Matryoshka, count: int = 256) -> Mapping[str, float]:
    """How often pictures show what their captions say, and how much the resolutions agree.

    Returns:
        "all_64" and "all_32": everything a caption says; "colour_…" and "relation_…": of captions
        that say something of it, how often that alone holds; "apart_…": see `apart`. Of true
        pictures of 16 pixels, enlarged, the oracle reads 0.98 of colours and 0.97 of relations,
        but too few of the shapes to ask for everything.
    """
    prompts = test_captions(count)
    levels = draw_pictures(pipe, prompts)
    found: dict[str, float] = {}
    for size, verdicts in zip(SIZES, judge(levels, prompts), strict=True):
        if size >= READABLE:
            found[f"all_{size}"] = fmean(verdict.all for verdict in verdicts)
        for name in ("colour", "relation"):
            told = [verdict[name] for verdict in verdicts if verdict[name] is not None]
            found[f"{name}_{size}"] = fmean(map(bool, told))
    return found | apart(levels)


class Examples:
    """Captions of training scenes as token ids, made once; their pictures are drawn when needed.

    Args:
        pipe: its tokeniser, and how long its noise table is.
        seeds: of the scenes.
    """

    def __init__(self, pipe: Matryoshka, seeds: Sequence[int]) -> None:
        assert isinstance(pipe.reader, ClipReader)
        said = [captions.describe(scenes.scene(seed), seed) for seed in seeds]
        self.input_ids = tokens.tokenize(said, pipe.reader.tokenizer)
        self.no_text = tokens.unconditional(pipe.reader.tokenizer)
        self.seeds = torch.tensor(list(seeds))
        self.num_train_timesteps = pipe.schedule.num_train_timesteps

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """Which scenes, and their noise at each resolution; one in ten without its caption.

        Timesteps are spread evenly over the table and then shuffled: those of the pictures that
        exist at all resolutions must come from all of it.
        """
        rows = torch.randint(len(self.seeds), (batch_size,), generator=generator)
        within = torch.randperm(batch_size, generator=generator)
        within = within + torch.rand(batch_size, generator=generator)
        dropped = torch.rand(batch_size, 1, generator=generator) < DROPPED
        noise = {
            f"eps_{size}": torch.randn(batch_size, 3, size, size, generator=generator)
            for size in SIZES
        }
        return noise | {
            "seeds": self.seeds[rows],
            "input_ids": torch.where(dropped, self.no_text, self.input_ids[rows]),
            "t": (within / batch_size * self.num_train_timesteps).long(),
        }


def fetch(batch: Batch) -> Batch:
    """The same batch with the scenes' pictures."""
    pictures = drawing.draw(scenes.scenes(batch["seeds"].tolist()), SIZES[0])
    return {name: rows for name, rows in batch.items() if name != "seeds"} | {"x0": pictures}


def denoising_loss(pipe: Matryoshka, batch: Batch) -> dict[str, Tensor]:
    """The joint loss at all resolutions, for the captions of the batch."""
    assert isinstance(pipe.reader, ClipReader)
    t, ids, fractions = batch["t"], batch["input_ids"], mixed_fractions(MIXED_RATIO)
    states = encode_text(pipe.reader.text_encoder, ids)
    mask = up_to_first_end(ids, pipe.reader.tokenizer.eos_token_id)
    eps = keep_mixed([batch[f"eps_{size}"] for size in SIZES], fractions)
    x0s = keep_mixed(pyramid(batch["x0"], pipe.unet.ratios), fractions)
    schedules = pipe.schedules
    xts = [
        add_noise(x0, noise, t[: len(x0)], schedule)
        for x0, noise, schedule in zip(x0s, eps, schedules, strict=True)
    ]
    # With tokens this few the plain formula is twice as fast on a CPU as the fused one.
    with sdpa_kernel(SDPBackend.MATH):
        v_hats = pipe.unet(xts, t, states, mask)
    losses = joint_loss(v_hats, xts, eps, t, schedules, fractions=fractions)
    return {"loss": losses.mean()}


def prepare(seed: int, num_steps: int) -> Job:
    """Make the networks and everything that trains them."""
    torch.manual_seed(seed)
    seeds = range(min(NUM_SCENES, CHUNK * num_steps))
    return make_job(make_pipe(make_model()), seeds, num_steps, LEARNING_RATE)


def make_job(pipe: Matryoshka, seeds: Sequence[int], num_steps: int, rate: float) -> Job:
    """Everything that trains the networks of a pipeline on the scenes of these seeds."""
    examples = Examples(pipe, seeds)
    optimizer = torch.optim.AdamW(
        pipe.unet.parameters(), lr=rate, betas=(0.9, 0.99), weight_decay=0.01
    )
    assert isinstance(pipe.reader, ClipReader)
    return Job(
        pipe.unet,
        optimizer,
        examples.draw,
        lambda batch: denoising_loss(pipe, batch),
        fetch=fetch,
        scheduler=LambdaLR(optimizer, trapezoid(num_steps)),
        ema_decay=0.999,
        max_grad_norm=1.0,
        frozen=(pipe.reader.text_encoder,),
        sample=lambda weights: draw_samples(replace(pipe, unet=weights)),
        measure=lambda weights: measure(replace(pipe, unet=weights)),
        export=lambda weights, folder: matryoshka_folder.save(replace(pipe, unet=weights), folder),
    )


def draw_samples(pipe: Matryoshka) -> Float[Tensor, "b 3 _ _"]:
    """Pictures of 8 captions that are neither trained on nor tested on, at each resolution."""
    levels = draw_pictures(pipe, test_captions(8, first_seed=FIRST_TUNING_SEED))
    side = SIZES[0]
    return torch.cat([F.interpolate(level, size=side, mode="nearest") for level in levels])


def measure_shipped() -> Mapping[str, float]:
    """The shipped weights' quality, measured again."""
    return measure(matryoshka_folder.load(registry.path("tiny-mdm")))


RECIPE = Recipe(
    "matryoshka",
    num_steps=6000,
    batch_size=64,
    prepare=prepare,
    measure_shipped=measure_shipped,
)
