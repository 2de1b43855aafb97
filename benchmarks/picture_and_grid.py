"""How large should pictures, latents and objects be, how many shapes? Short paired trainings.

    python benchmarks/picture_and_grid.py

Each contestant trains an autoencoder and then a denoiser of its latents, from nothing, with as many
multiplications in each of the two as every other. So a contestant with fewer pixels, or with fewer
latents, takes more steps. The first has the world and the sizes of the shipped Stable Diffusion;
each of the others changes one thing. Loss, learning rates, the U-Net and the text encoder, that of
the shipped Stable Diffusion, which does not learn, are the same for all; so are scenes and seeds.

Three shares are printed of each: of test pictures that the oracle reads as rightly after the
autoencoder as before, and of test prompts with one object whose drawn picture shows the colour,
and the shape. What a shape is worth depends on how many there are, so chance stands beside.
About an hour of one core. Results are added line by line to the file that chapter 07 reads, and
what is in it already is not done again, so an interrupted run goes on where it was.
"""

import argparse
import dataclasses
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean
from typing import Any, TypeVar, cast

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.flop_counter import FlopCounterMode

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, scenes, tokens
from edudiff.data.scenes import SMALL_WORLD, Scene, World
from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.prediction import training_target
from edudiff.evaluation import comparison, oracle
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines import text_to_image
from edudiff.pipelines.text_to_image import TextToImage
from edudiff.training import log
from edudiff.training.ema import EMA
from edudiff.training.loop import descend
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_sd, tiny_vae

Network = TypeVar("Network", bound=nn.Module)

RESULTS = comparison.FILE.with_name("picture_and_grid.jsonl")
FEW_SHAPES = ("circle", "square", "triangle", "star")
AUTOENCODER_STEPS, DENOISER_STEPS = 1200, 1000
"""Of the first contestant; the others take as many as cost the same."""

AUTOENCODER_BATCH, DENOISER_BATCH = 8, 32
NUM_SCENES, NUM_TESTS = 6144, 192
AUTOENCODER_RATE, DENOISER_RATE = 2e-3, 1e-3
KL_WEIGHT, OBJECT_WEIGHT = 1e-4, 5.0


@dataclass(frozen=True)
class Contestant:
    """A world, and how it is drawn and compressed.

    Attributes:
        size: of the pictures, in pixels.
        widths: channels of the autoencoder's levels; each but the first halves the sides.
        world: what can be in a scene.
        radius: by how much objects are larger than in that world.
    """

    size: int = 64
    widths: tuple[int, ...] = (16, 32, 64, 64)
    world: World = SMALL_WORLD
    radius: float = 1.0

    @property
    def side(self) -> int:
        """Of the grid of latents."""
        return self.size // 2 ** (len(self.widths) - 1)

    def scenes(self, seeds: Sequence[int]) -> list[Scene]:
        """Scenes of its world."""
        return [self._resized(scene) for scene in scenes.scenes(seeds, self.world)]

    def pictures(self, seeds: Sequence[int]) -> Float[Tensor, " b 3 size size"]:
        """These scenes, drawn."""
        return drawing.draw(self.scenes(seeds), self.size)

    def _resized(self, scene: Scene) -> Scene:
        resized = (
            dataclasses.replace(thing, radius=self.radius * thing.radius) for thing in scene.objects
        )
        return dataclasses.replace(scene, objects=tuple(resized))


CONTESTANTS = {
    "64 px, 8 × 8": Contestant(),
    "64 px, 16 × 16": Contestant(widths=(16, 32, 64)),
    "32 px, 8 × 8": Contestant(size=32, widths=(16, 32, 64)),
    "objects 0.6 times": Contestant(radius=0.6),
    "four shapes": Contestant(
        world=dataclasses.replace(SMALL_WORLD, shapes=FEW_SHAPES, containers=FEW_SHAPES)
    ),
}


def operations(turn: nn.Module, *inputs: Tensor) -> int:
    """Floating-point operations of one forward pass."""
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        turn(*inputs)
    return int(counter.get_total_flops())


def make_vae(contestant: Contestant) -> AutoencoderKL:
    """The untrained autoencoder."""
    return AutoencoderKL(block_out_channels=contestant.widths, norm_num_groups=2)


def of_vae(contestant: Contestant) -> int:
    """Operations of one picture's way through the autoencoder."""
    return operations(make_vae(contestant), torch.zeros(1, 3, contestant.size, contestant.size))


def of_unet(contestant: Contestant) -> int:
    """Operations of one denoising."""
    x, words = torch.zeros(1, 4, contestant.side, contestant.side), torch.zeros(1, 24, 128)
    with sdpa_kernel(SDPBackend.MATH):
        return operations(tiny_sd.make_model(), x, torch.tensor([0]), words)


def train_vae(contestant: Contestant, num_steps: int, seed: int) -> AutoencoderKL:
    """An autoencoder of the contestant's pictures."""
    torch.manual_seed(seed)
    model = make_vae(contestant).train()
    optimizer = torch.optim.AdamW(model.parameters(), AUTOENCODER_RATE, (0.9, 0.99), fused=True)
    rates = LambdaLR(optimizer, trapezoid(num_steps))

    def loss(generator: Generator) -> Tensor:
        high = tiny_vae.FIRST_TEST_SEED
        seeds = torch.randint(high, (AUTOENCODER_BATCH,), generator=generator).tolist()
        x = contestant.pictures(seeds)
        shape = len(x), model.latent_channels, contestant.side, contestant.side
        posterior = model.encode(x)
        x_hat = model.decode(posterior.sample(torch.randn(shape, generator=generator)))
        error = tiny_vae.reconstruction_loss(x_hat, x, OBJECT_WEIGHT)
        return error + KL_WEIGHT * posterior.kl().mean() / math.prod(shape[1:])

    return follow(model, optimizer, rates, loss, num_steps, seed)


def follow(
    model: Network,
    optimizer: torch.optim.Optimizer,
    rates: LambdaLR,
    loss: Callable[[Generator], Tensor],
    num_steps: int,
    seed: int,
) -> Network:
    """Descend; what is kept is the average of the weights."""
    average = EMA(model, decay=0.99)
    step = descend(loss, model, optimizer, ema=average, max_grad_norm=1.0)
    generator = Generator().manual_seed(seed)
    for _ in range(num_steps):
        step(generator)
        rates.step()
    return cast(Network, average.module.eval())


@torch.no_grad()
def encode(vae: AutoencoderKL, contestant: Contestant, seeds: range) -> Tensor:
    """The most likely latents of scenes."""
    parts = (contestant.pictures(seeds[k : k + 64]) for k in range(0, len(seeds), 64))
    return torch.cat([vae.encode(part).mean for part in parts])


def train_unet(
    contestant: Contestant, known: TextToImage, vae: AutoencoderKL, num_steps: int, seed: int
) -> TextToImage:
    """A pipeline with a denoiser of the contestant's latents."""
    seeds = range(NUM_SCENES)
    latents = encode(vae, contestant, seeds)
    vae.scaling_factor = 1 / latents.std().item()
    latents = latents * vae.scaling_factor
    said = [captions.describe(*pair) for pair in zip(contestant.scenes(seeds), seeds, strict=True)]
    ids, nothing = tokens.tokenize(said, known.tokenizer), tokens.unconditional(known.tokenizer)
    torch.manual_seed(seed)
    unet = tiny_sd.make_model().train()
    pipe = dataclasses.replace(known, unet=unet, vae=vae, size=contestant.size)
    optimizer = torch.optim.AdamW(unet.parameters(), DENOISER_RATE, (0.9, 0.99), fused=True)
    rates = LambdaLR(optimizer, trapezoid(num_steps))

    def loss(generator: Generator) -> Tensor:
        rows = torch.randint(len(latents), (DENOISER_BATCH,), generator=generator)
        within = torch.arange(DENOISER_BATCH) + torch.rand(DENOISER_BATCH, generator=generator)
        t = (within / DENOISER_BATCH * pipe.schedule.num_train_timesteps).long()
        dropped = torch.rand(DENOISER_BATCH, 1, generator=generator) < tiny_sd.DROPPED
        x0, words = latents[rows], torch.where(dropped, nothing, ids[rows])
        eps = torch.randn(x0.shape, generator=generator)
        target = training_target(x0, eps, t, pipe.schedule, pipe.prediction_type)
        with sdpa_kernel(SDPBackend.MATH):
            context = tiny_sd.encode_text(pipe.text_encoder, words)
            v_hat = unet(add_noise(x0, eps, t, pipe.schedule), t, context)
        return (v_hat - target).square().mean()

    learnt = follow(unet, optimizer, rates, loss, num_steps, seed)
    return dataclasses.replace(pipe, unet=learnt)


def kept(contestant: Contestant, vae: AutoencoderKL) -> float:
    """The share of test pictures read rightly after the autoencoder, of those read so before."""
    seeds = range(tiny_vae.FIRST_TEST_SEED, tiny_vae.FIRST_TEST_SEED + NUM_TESTS)
    truth, pictures = contestant.scenes(seeds), contestant.pictures(seeds)
    right = [
        [
            oracle.agrees(sight, scene)
            for sight, scene in zip(oracle.look(x, contestant.world), truth, strict=True)
        ]
        for x in (pictures, tiny_vae.reconstruct(vae, pictures))
    ]
    return sum(map(all, zip(*right, strict=True))) / max(1, sum(right[0]))


def drawn(contestant: Contestant, pipe: TextToImage) -> dict[str, float]:
    """The shares of test prompts with one object whose picture shows the colour, and the shape."""
    first = tiny_vae.FIRST_TEST_SEED
    alone = (
        (scene, seed)
        for seed in range(first, first + 10 * NUM_TESTS)
        for scene in contestant.scenes([seed])
        if len(scene.objects) == 1
    )
    prompts = [captions.describe(*next(alone)) for _ in range(NUM_TESTS)]
    generator, verdicts = Generator().manual_seed(0), []
    for k in range(0, NUM_TESTS, 64):
        pictures = tiny_sd.draw(pipe, prompts[k : k + 64], generator)
        verdicts += oracle.judge(pictures, prompts[k : k + 64], contestant.world)
    return {name: mean(bool(v[name]) for v in verdicts) for name in ("colour", "shape")}


def measure(name: str, seed: int, share: float, known: TextToImage) -> dict[str, Any]:
    """Train one contestant, and say what it came to."""
    contestant, first, start = CONTESTANTS[name], Contestant(), time.process_time()
    vae_steps = round(share * AUTOENCODER_STEPS * of_vae(first) / of_vae(contestant))
    unet_steps = round(share * DENOISER_STEPS * of_unet(first) / of_unet(contestant))
    vae = train_vae(contestant, vae_steps, seed)
    pipe = train_unet(contestant, known, vae, unet_steps, seed)
    found = {
        "kept": kept(contestant, vae),
        "chance": 1 / len(contestant.world.shapes),
        **drawn(contestant, pipe),
    }
    minutes = round((time.process_time() - start) / 60, 1)
    said = {"name": name, "seed": seed, "share": share, "steps": [vae_steps, unet_steps]}
    return said | found | {"minutes": minutes}


def print_table(rows: Sequence[dict[str, Any]]) -> None:
    """What each contestant came to."""
    shares = ("kept", "colour", "shape", "chance")
    print(" " * 18, f"{'steps':>12}", *(f"{share:>7}" for share in shares), f"{'minutes':>8}")
    for row in rows:
        steps = " + ".join(map(str, row["steps"]))
        numbers = (f"{row[share]:7.1%}" for share in shares)
        print(f"{row['name']:<18}", f"{steps:>12}", *numbers, f"{row['minutes']:8.1f}")


def main() -> None:
    """Train and measure those that are not in the file yet, then print all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", action="append", choices=CONTESTANTS, help="one contestant")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print what is there, train nothing")
    arguments = parser.parse_args()
    if not 0 < arguments.share <= 1:
        parser.error("--share: expected above 0 and at most 1")
    torch.set_num_threads(1)
    known = text_to_image.load(registry.path("tiny-sd"))
    there = [(row["name"], row["seed"], row["share"]) for row in log.read(arguments.results)]
    for name in [] if arguments.table else arguments.only or CONTESTANTS:
        if (name, arguments.seed, arguments.share) not in there:
            found = measure(name, arguments.seed, arguments.share, known)
            log.write_line(arguments.results, found)
    print_table(log.read(arguments.results))


if __name__ == "__main__":
    main()
