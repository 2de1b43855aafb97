"""Everything in the book that draws a picture when it is told what, in one form.

To compare models one asks all of them the same, in the same way: each with the settings its own
recipe measures it with.
"""

import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LambdaLR

from edudiff import checks
from edudiff.checkpoints import registry
from edudiff.data import drawing, new_shapes
from edudiff.display.encode import to_image
from edudiff.layers import lora as layers
from edudiff.pipelines import (
    dalle_folder,
    flow_folder,
    matryoshka,
    matryoshka_folder,
    text_to_image,
    text_to_image_xl,
)
from edudiff.pipelines.refine import generate_refined
from edudiff.pipelines.text_to_image import TextToImage
from edudiff.pipelines.words import ClipReader
from edudiff.training import loop
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import (
    lora,
    lora_pictures,
    tiny_dalle,
    tiny_dit,
    tiny_mdm,
    tiny_sd,
    xl_quality,
)
from edudiff.training.recipes.lora_examples import Examples, LoRASettings, errors_of
from edudiff.training.recipes.lora_pictures import Pictures
from edudiff.training.recipes.quality import Draw

LESSONS, LORA_STEPS, BATCH_SIZE = 20, 120, 8
CHUNK = 32


@dataclass(frozen=True)
class Contestant:
    """Something that draws.

    Attributes:
        draw: (prompts, generator) → a picture of 64 × 64 in [-1, 1] for each prompt.
        parameters: of all networks that take part.
        kind: "model", or "setting" of one.
    """

    draw: Draw
    parameters: int
    kind: str = "model"


def count_parameters(*networks: nn.Module | None) -> int:
    """All parameters, those that two networks share once; None is no network."""
    every = {id(p): p for network in networks if network for p in network.parameters()}
    return sum(each.numel() for each in every.values())


def _stable_diffusion(
    guidance_scale: float = tiny_sd.GUIDANCE_SCALE,
    num_inference_steps: int = tiny_sd.NUM_STEPS,
    kind: str = "model",
) -> Contestant:
    pipe = text_to_image.load(registry.path("tiny-sd"))
    draw = partial(
        tiny_sd.draw,
        pipe,
        guidance_scale=guidance_scale,
        num_inference_steps=num_inference_steps,
    )
    return Contestant(draw, count_parameters(pipe.text_encoder, pipe.unet, pipe.vae), kind)


def _sdxl() -> Contestant:
    pipe = text_to_image_xl.load(registry.path("tiny-sdxl"))
    size = count_parameters(pipe.text_encoder, pipe.text_encoder_2, pipe.unet, pipe.vae)
    return Contestant(partial(xl_quality.draw, pipe), size)


def _refined() -> Contestant:
    base, refiner = (
        text_to_image_xl.load(registry.path(name)) for name in ("tiny-sdxl", "tiny-sdxl-refiner")
    )
    scale = xl_quality.GUIDANCE_SCALE

    def draw(prompts: Sequence[str], generator: Generator) -> Tensor:
        return generate_refined(base, refiner, prompts, generator=generator, guidance_scale=scale)

    size = count_parameters(
        base.text_encoder,
        base.text_encoder_2,
        base.unet,
        base.vae,
        refiner.text_encoder_2,
        refiner.unet,
    )
    return Contestant(draw, size, "setting")


def _dit() -> Contestant:
    pipe = flow_folder.load(registry.path("tiny-dit"))
    size = count_parameters(pipe.text_encoder, pipe.text_encoder_2, pipe.transformer, pipe.vae)
    return Contestant(partial(tiny_dit.draw, pipe), size)


def _dalle() -> Contestant:
    pipe = dalle_folder.load(registry.path("tiny-dalle"))
    size = count_parameters(pipe.transformer, pipe.vqvae)
    return Contestant(partial(tiny_dalle.draw, pipe), size)


def _matryoshka() -> Contestant:
    pipe = matryoshka_folder.load(registry.path("tiny-mdm"))
    assert isinstance(pipe.reader, ClipReader)
    options = {
        "guidance_scale": tiny_mdm.GUIDANCE_SCALE,
        "num_inference_steps": tiny_mdm.NUM_STEPS,
    }

    def draw(prompts: Sequence[str], generator: Generator) -> Tensor:
        return matryoshka.generate(pipe, prompts, generator=generator, **options)[0]

    return Contestant(draw, count_parameters(pipe.reader.text_encoder, pipe.unet))


def teach_diamonds(num_steps: int = LORA_STEPS, seed: int = 0) -> TextToImage:
    """The shipped Stable Diffusion with a LoRA that has just learnt a new shape, as in chapter 16.

    Args:
        num_steps: training steps with eight pictures each.
        seed: of the LoRA's first weights and of every batch.

    Raises:
        ValueError: for fewer than one step.
    """
    settings = LoRASettings("lora", num_steps, BATCH_SIZE, seed, snr_gamma=0.0)
    pipe = lora.load_base("tiny")
    with tempfile.TemporaryDirectory() as folder:
        examples = Examples(pipe, _lessons(Path(folder)), settings)
    torch.manual_seed(seed)
    layers.add_lora(pipe.unet, layers.all_linear(pipe.unet), rank=settings.rank)
    network = lora.Adapter(pipe.unet)
    optimizer = torch.optim.AdamW(network.parameters(), lr=settings.rate, betas=(0.9, 0.99))
    scheduler = LambdaLR(optimizer, trapezoid(num_steps))

    def loss_fn(generator: Generator) -> Tensor:
        return errors_of(pipe, examples.draw(BATCH_SIZE, generator)).mean()

    step = loop.descend(loss_fn, network, optimizer, max_grad_norm=1.0)
    generator = Generator().manual_seed(seed)
    for _ in loop.train(step, num_steps=num_steps, generator=generator):
        scheduler.step()
    return pipe


def _lessons(folder: Path) -> Pictures:
    """Twenty diamonds in six colours, as files with captions."""
    colours = tuple(drawing.PALETTE)[:6]
    learnt = [new_shapes.lesson(k, "diamond", colours=colours) for k in range(LESSONS)]
    lines = []
    for k, picture in enumerate(drawing.draw(learnt, tiny_sd.SIZE)):
        to_image(picture).save(folder / f"{k}.png")
        lines.append(json.dumps({"file_name": f"{k}.png", "text": new_shapes.say(learnt[k])}))
    (folder / "metadata.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return lora_pictures.open_pictures(folder)


def _lora() -> Contestant:
    pipe = teach_diamonds()
    size = count_parameters(pipe.text_encoder, pipe.unet, pipe.vae)
    return Contestant(partial(tiny_sd.draw, pipe), size)


CONTESTANTS: dict[str, Callable[[], Contestant]] = {
    "tiny-sd": _stable_diffusion,
    "tiny-sd, no guidance": partial(_stable_diffusion, guidance_scale=1.0, kind="setting"),
    "tiny-sd, 3 steps": partial(_stable_diffusion, num_inference_steps=3, kind="setting"),
    "tiny-sd with a LoRA": _lora,
    "tiny-sdxl": _sdxl,
    "tiny-sdxl with its refiner": _refined,
    "tiny-dit": _dit,
    "tiny-dalle": _dalle,
    "tiny-mdm": _matryoshka,
}
"""In the order of the book's chapters. A name begins with that of its weights."""

WEIGHTS = ("tiny-sd", "tiny-sdxl", "tiny-dit", "tiny-dalle", "tiny-mdm")


def weights_of(name: str) -> str:
    """The name of the weights that a contestant draws with."""
    return name.replace(",", " ").split()[0]


def enter(name: str) -> Contestant:
    """Load a model and make it ready to draw.

    Raises:
        ValueError: for an unknown name, or if its weights are not there.
    """
    return checks.choose("contestant", name, CONTESTANTS)()


def shipped() -> list[str]:
    """Those of the book's models that draw from words and whose weights come with the package."""
    return [name for name in WEIGHTS if name in registry.read_table()]


@torch.no_grad()
def draw(
    contestant: Contestant, prompts: Sequence[str], seed: int = 0
) -> Float[Tensor, " b 3 h w"]:
    """A picture for each prompt on the CPU, some at a time."""
    generator, found = Generator().manual_seed(seed), []
    with sdpa_kernel(SDPBackend.MATH):
        for first in range(0, len(prompts), CHUNK):
            pictures = contestant.draw(prompts[first : first + CHUNK], generator)
            found.append(pictures.float().cpu())
    return torch.cat(found)
