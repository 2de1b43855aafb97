"""How the shipped ControlNet came to be: edge maps of scenes steer the shipped Stable Diffusion.

The text encoder, the autoencoder and the U-Net are those of the shipped pipeline and do not learn;
the ControlNet begins as a copy of the U-Net's way down and its middle.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Generator, Tensor
from torch.optim.lr_scheduler import LambdaLR
from transformers.utils import logging

from edudiff.checkpoints import registry
from edudiff.data import drawing, scenes
from edudiff.data.edges import edges
from edudiff.evaluation import oracle
from edudiff.evaluation.edges import edge_agreement
from edudiff.models import controlnet_bridge
from edudiff.models.controlnet import ControlNet
from edudiff.pipelines import control, text_to_image
from edudiff.pipelines.starts import encode
from edudiff.pipelines.text_to_image import TextToImage
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import quality, tiny_sd
from edudiff.training.recipes.quality import FIRST_TEST_SEED, FIRST_TUNING_SEED
from edudiff.training.recipes.tiny_sd import CHUNK, SIZE

NUM_SCENES = 24_576
LEARNING_RATE = 1e-3
DROPPED = 0.5
GUIDANCE_SCALE, NUM_STEPS = tiny_sd.GUIDANCE_SCALE, tiny_sd.NUM_STEPS


def make_pipe() -> TextToImage:
    """The shipped pipeline, of which nothing learns."""
    logging.disable_progress_bar()
    pipe = text_to_image.load(registry.path("tiny-sd"))
    for network in (pipe.text_encoder, pipe.unet, pipe.vae):
        network.requires_grad_(False)
    return pipe


def make_model(pipe: TextToImage) -> ControlNet:
    """The untrained ControlNet for edge maps."""
    return ControlNet.from_unet(pipe.unet, conditioning_channels=1)


def edge_maps(seeds: Sequence[int]) -> Float[Tensor, " b 1 h w"]:
    """The edges of the scenes of these seeds."""
    return edges(drawing.draw(scenes.scenes(seeds), SIZE))


class Examples(tiny_sd.Examples):
    """Latents, captions and edge maps of training scenes, made once.

    Args:
        pipe: its autoencoder and its tokeniser.
        seeds: of the scenes.
    """

    def __init__(self, pipe: TextToImage, seeds: Sequence[int]) -> None:
        super().__init__(pipe, seeds)
        chunks = [seeds[first : first + CHUNK] for first in range(0, len(seeds), CHUNK)]
        self.edges = torch.cat([edge_maps(chunk).to(torch.uint8) for chunk in chunks])

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """Some of them, at timesteps spread evenly over the table, half without their captions.

        Without words the ControlNet must see for itself what the lines mean.

        Source:
            Zhang et al. 2023 (arXiv:2302.05543), section 3.3.
        """
        rows = torch.randint(len(self.latents), (batch_size,), generator=generator)
        within = torch.arange(batch_size) + torch.rand(batch_size, generator=generator)
        dropped = torch.rand(batch_size, 1, generator=generator) < DROPPED
        return {
            "x0": self.latents[rows],
            "control": self.edges[rows].float(),
            "input_ids": torch.where(dropped, self.no_text, self.input_ids[rows]),
            "t": (within / batch_size * self.num_train_timesteps).long(),
            "eps": torch.randn(batch_size, *self.latents.shape[1:], generator=generator),
        }


def denoising_loss(pipe: TextToImage, controlnet: ControlNet, batch: Batch) -> dict[str, Tensor]:
    """Mean squared error of the steered U-Net's v̂, for the captions of the batch."""
    with control.steered(pipe, controlnet, batch["control"]):
        return tiny_sd.denoising_loss(pipe, batch)


def draw_pictures(
    pipe: TextToImage,
    controlnet: ControlNet | None,
    prompts: Sequence[str],
    maps: Float[Tensor, " b 1 h w"],
    seed: int = 0,
) -> Float[Tensor, " b 3 h w"]:
    """A picture for each prompt, steered by its map unless there is no ControlNet."""
    generator, found = Generator().manual_seed(seed), []
    options = {"guidance_scale": GUIDANCE_SCALE, "num_inference_steps": NUM_STEPS}
    for first in range(0, len(prompts), CHUNK):
        some, their_maps = prompts[first : first + CHUNK], maps[first : first + CHUNK]
        if controlnet is None:
            made = text_to_image.generate(pipe, some, generator=generator, **options)
        else:
            made = control.generate(
                pipe, controlnet, some, their_maps, generator=generator, **options
            )
        found.append(made.float().cpu())
    return torch.cat(found)


def measure(pipe: TextToImage, controlnet: ControlNet, count: int = 500) -> Mapping[str, float]:
    """How well pictures keep to the edges of scenes that training never saw, and to the captions.

    Returns:
        "control" and "without": the mean `edge_agreement` of the pictures' edges with those asked
        for, with the ControlNet and without; "rebuilt": that of the scenes' own pictures as the
        autoencoder rebuilds them, beyond which no latents lead. "one" and "two": the shares of
        captions that come out right with the ControlNet, see `quality.shares`; "one_without" and
        "two_without": the same without it.
    """
    seeds, prompts = range(FIRST_TEST_SEED, FIRST_TEST_SEED + count), tiny_sd.test_captions(count)
    true = drawing.draw(scenes.scenes(seeds), SIZE)
    maps = edges(true)
    parts = true.to(pipe.unet.conv_in.weight.device).split(CHUNK)
    rebuilt = [text_to_image.decode(pipe, encode(pipe, some)).cpu() for some in parts]
    pictures = {
        "control": draw_pictures(pipe, controlnet, prompts, maps),
        "without": draw_pictures(pipe, None, prompts, maps),
        "rebuilt": torch.cat(rebuilt),
    }
    found = {
        name: edge_agreement(edges(each), maps).mean().item() for name, each in pictures.items()
    }
    for name, ending in (("control", ""), ("without", "_without")):
        shares = quality.shares(prompts, oracle.judge(pictures[name], prompts))
        found |= {f"{kind}{ending}": share for kind, share in shares.items()}
    return found


def draw_samples(pipe: TextToImage, controlnet: ControlNet) -> Float[Tensor, " 3 h w"]:
    """Eight edge maps, what is drawn with them, and what without, neither trained nor tested on."""
    prompts = tiny_sd.test_captions(8, first_seed=FIRST_TUNING_SEED)
    maps = edge_maps(range(FIRST_TUNING_SEED, FIRST_TUNING_SEED + 8))
    rows = [
        2 * maps.expand(-1, 3, -1, -1) - 1,
        draw_pictures(pipe, controlnet, prompts, maps),
        draw_pictures(pipe, None, prompts, maps),
    ]
    return rearrange(rows, "k b c h w -> c (k h) (b w)")


def save(controlnet: ControlNet, folder: Path) -> None:
    """Write it as diffusers' `ControlNetModel`, in half precision."""
    controlnet_bridge.to_diffusers(controlnet).half().save_pretrained(folder)


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped pipeline, make the ControlNet, and everything that trains it."""
    torch.manual_seed(seed)
    pipe = make_pipe()
    controlnet = make_model(pipe)
    examples = Examples(pipe, range(min(NUM_SCENES, CHUNK * num_steps)))
    optimizer = torch.optim.AdamW(
        controlnet.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01
    )
    return Job(
        controlnet,
        optimizer,
        examples.draw,
        lambda batch: denoising_loss(pipe, controlnet, batch),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps)),
        ema_decay=0.998,
        max_grad_norm=1.0,
        frozen=(pipe.text_encoder, pipe.vae, pipe.unet),
        sample=lambda weights: draw_samples(pipe, weights),
        measure=lambda weights: measure(pipe, weights),
        export=save,
    )


def measure_shipped() -> Mapping[str, float]:
    """The shipped weights' quality, measured again."""
    return measure(make_pipe(), control.load(registry.path("tiny-controlnet")))


RECIPE = Recipe(
    "controlnet",
    num_steps=2000,
    batch_size=64,
    prepare=prepare,
    measure_shipped=measure_shipped,
)
