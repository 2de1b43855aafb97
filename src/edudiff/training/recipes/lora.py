"""Your own pictures into a Stable Diffusion: LoRA on its U-Net, everything else as it was.

Latents and what the text encoder says of the captions are computed once, before the first step; so
are, for prior preservation, pictures of what the base should not forget. The checkpoint and the
model are A and B alone: some hundred kilobytes for the shipped base, a few megabytes for the
full-size one.
"""

import dataclasses
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.optim.lr_scheduler import LambdaLR
from transformers.utils import logging

from edudiff.checkpoints import locate, registry
from edudiff.layers import lora
from edudiff.layers.attention import write_out
from edudiff.models import lora_files
from edudiff.pipelines import text_to_image
from edudiff.pipelines.text_to_image import TextToImage
from edudiff.training.job import Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_sd
from edudiff.training.recipes.lora_examples import (
    ALL_LINEAR,
    Examples,
    LoRASettings,
    errors_of,
    losses,
)
from edudiff.training.recipes.lora_pictures import Pictures

NUM_PROMPTS = 24
TIMES = 8


class Adapter(nn.Module):
    """What learns, and nothing else: the A and B that are in the U-Net, in one place.

    Args:
        unet: with LoRA.
    """

    def __init__(self, unet: nn.Module) -> None:
        super().__init__()
        named = lora.lora_parameters(unet)
        self.matrices = nn.ParameterDict({k.replace(".", "/"): v for k, v in named.items()})


def load_base(base: str) -> TextToImage:
    """The pipeline that is trained on, on the GPU if there is one; nothing of it learns."""
    logging.disable_progress_bar()
    folder = locate("stable-diffusion", base) if base in ("tiny", "full") else Path(base)
    pipe = text_to_image.load(folder)
    for network in (pipe.text_encoder, pipe.unet, pipe.vae):
        network.requires_grad_(False)
    if pipe.size <= tiny_sd.SIZE:
        write_out(pipe.unet)
    return pipe.to("cuda") if torch.cuda.is_available() else pipe


def is_shipped(base: str) -> bool:
    """Whether that is the base that comes with edudiff, whose pictures the oracle can read."""
    return base == "tiny" or Path(base).resolve() == registry.path("tiny-sd").resolve()


def fingerprint(unet: nn.Module) -> str:
    """SHA-256 of a U-Net's own weights, whether LoRA is beside them or not."""
    digest = hashlib.sha256()
    for name, value in unet.state_dict().items():
        if ".lora_A." not in name and ".lora_B." not in name:
            digest.update(name.replace(".base_layer.", ".").encode())
            digest.update(value.cpu().contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


@torch.no_grad()
def held_out_error(pipe: TextToImage, examples: Examples) -> float:
    """The mean error on the pictures held out, at eight timesteps each, always with the same noise.

    Every timestep counts the same.
    """
    generator, total = Generator().manual_seed(0), 0.0
    device = pipe.unet.conv_in.weight.device
    steps = (torch.arange(TIMES) + 0.5) / TIMES * examples.num_train_timesteps
    for row in examples.held_out:
        x0 = examples.latents[row].expand(TIMES, -1, -1, -1)
        batch = {
            "x0": x0,
            "context": examples.contexts[row].expand(TIMES, -1, -1),
            "t": steps.long(),
            "eps": torch.randn(x0.shape, generator=generator),
        }
        batch = {name: each.to(device) for name, each in batch.items()}
        total += errors_of(pipe, batch).mean().item()
    return total / len(examples.held_out)


@torch.no_grad()
def measure(
    pipe: TextToImage, examples: Examples, num_prompts: int | None = None
) -> dict[str, float]:
    """What has changed: each number without the LoRA ("…_before") and with it.

    Returns:
        "held_out": the mean error on pictures held out, if there are any; "old_right", for the
        shipped base: the share of fixed captions, none of them of these pictures, of which the
        picture shows everything. If it falls, old things are being forgotten.
    """
    found: dict[str, float] = {}
    for ending, weight in (("_before", 0.0), ("", 1.0)):
        lora.set_adapters(pipe.unet, {"default": weight})
        if examples.held_out:
            found[f"held_out{ending}"] = held_out_error(pipe, examples)
        if is_shipped(examples.asked.base):
            prompts = tiny_sd.test_captions(num_prompts or NUM_PROMPTS)
            verdicts = tiny_sd.judge(pipe, prompts)
            found[f"old_right{ending}"] = sum(v.all for v in verdicts) / len(verdicts)
    return found


@torch.no_grad()
def draw_samples(
    pipe: TextToImage, captions: Sequence[str], num_inference_steps: int = tiny_sd.NUM_STEPS
) -> Float[Tensor, "3 h w"]:
    """Up to eight captions of the pictures: the base's answers, and below them those with LoRA."""
    prompts, rows = list(dict.fromkeys(captions))[:8], []
    for weight in (0.0, 1.0):
        lora.set_adapters(pipe.unet, {"default": weight})
        pictures = text_to_image.generate(
            pipe,
            prompts,
            generator=Generator().manual_seed(0),
            guidance_scale=tiny_sd.GUIDANCE_SCALE,
            num_inference_steps=num_inference_steps,
        )
        rows.append(pictures.float().cpu())
    return rearrange(torch.stack(rows), "k b c h w -> c (k h) (b w)")


def export(
    pipe: TextToImage, asked: LoRASettings, base: str, quality: Mapping[str, float], folder: Path
) -> None:
    """Write the LoRA into the folder, with everything there is to know about it.

    Raises:
        RuntimeError: if the base's own weights are not what they were.
    """
    if fingerprint(pipe.unet) != base:
        raise RuntimeError("the base's weights were to stay as they are, but they have changed")
    about: dict[str, Any] = {
        "base_model": asked.base,
        "base_sha256": base,
        "licence": asked.licence or "not stated",
        "training": {
            name: value for name, value in dataclasses.asdict(asked).items() if name != "data"
        },
        "quality": dict(quality),
    }
    lora_files.save(pipe.unet, folder, about=about)


def prepare(asked: LoRASettings, pictures: Pictures | None) -> Job:
    """Take the base, look at the pictures, put the LoRA in, and make everything that trains it.

    Raises:
        ValueError: if there are no pictures, or what `Examples` and `lora.add_lora` raise.
    """
    if pictures is None:
        raise ValueError("data: expected a folder with pictures, as in --data FOLDER, got none")
    torch.manual_seed(asked.seed)
    pipe = load_base(asked.base)
    base, examples = fingerprint(pipe.unet), Examples(pipe, pictures, asked)
    whole = asked.targets == [ALL_LINEAR]
    targets = lora.all_linear(pipe.unet) if whole else asked.targets
    options: dict[str, Any] = {"lora_alpha": asked.lora_alpha, "rslora": asked.rslora}
    lora.add_lora(pipe.unet, targets, rank=asked.rank, **options)
    network, quality = Adapter(pipe.unet), {}
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=asked.rate, betas=(0.9, 0.99), weight_decay=0.01
    )

    def measured(weights: nn.Module) -> Mapping[str, float]:
        quality.update(measure(pipe, examples))
        return quality

    return Job(
        network,
        optimizer,
        examples.draw,
        lambda batch: losses(pipe, examples, batch),
        scheduler=LambdaLR(optimizer, trapezoid(asked.num_steps)),
        max_grad_norm=1.0,
        frozen=(pipe.text_encoder, pipe.vae, pipe.unet),
        divisible=(pipe.unet,),
        sample=lambda weights: draw_samples(pipe, pictures.captions),
        measure=measured,
        export=lambda weights, folder: export(pipe, asked, base, quality, folder),
    )


def make_recipe(asked: LoRASettings, pictures: Pictures | None) -> Recipe:
    """The recipe for these pictures; `asked` has the seed and the number of steps already."""
    return Recipe(
        "lora",
        num_steps=asked.num_steps,
        batch_size=asked.batch_size,
        prepare=lambda seed, num_steps: prepare(asked, pictures),
    )


DEFAULTS = LoRASettings("lora", num_steps=300, batch_size=16)
RECIPE = make_recipe(DEFAULTS, None)
"""What is done when nothing else is asked for; without pictures it refuses to begin."""
