"""How long a training takes to samples of equal quality, beside `denoising-diffusion-pytorch`.

    python benchmarks/time_to_quality.py

Ring: the same perceptron with the same first weights, our loss against their objective. Digits: our
U-Net without attention and our loss against their U-Net and objective, at about equal parameter
count. Loop, Adam, average of the weights, noise schedule and prediction of ε are the same, and so
are the batches, timesteps and noise of every step: luck falls on both.

At fixed steps both averages draw from the same noise with the same sampler, DDIM, and the sliced
Wasserstein distance to real data is taken. The clock counts training steps only: the time this
process itself spent, on one thread, so that other programs hardly count. Curves are means over the
seeds. Compared is when, in a straight line between two measurements, each first comes to 1.05 times
the worse of the two best distances; theirs/ours above 1 says that ours is there first.

Without the library ours runs alone. It needs the torchvision that belongs to the installed torch,
for which pytorch.org has the command:

    pip install --no-deps --target /tmp/ddp denoising-diffusion-pytorch ema-pytorch pytorch-fid
    PYTHONPATH=/tmp/ddp python benchmarks/time_to_quality.py
"""

import argparse
import importlib
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import torch
from torch import Generator, Tensor, nn

from edudiff.data import digits, points
from edudiff.diffusion import forward, samplers, schedule
from edudiff.evaluation import distances
from edudiff.models.mlp import MLP
from edudiff.models.unet import UNet
from edudiff.training.ema import EMA
from edudiff.training.loop import descend

Curve = list[tuple[float, float]]
"""(seconds of training, distance to real data) at every measurement."""

SLACK = 1.05


@dataclass(frozen=True)
class Task:
    """What is learnt, by both in the same way.

    Attributes:
        name: what the options call it.
        tables: the noise schedule, "cosine" with both libraries.
        clip: no datum lies further out.
        batch_size: data in a step.
        learning_rate: of Adam; it does not fall.
        draw: (n, generator) → n data.
        real: data to measure against.
        others: as many other real data; how far they lie off says how good samples can get.
        ours: makes our network.
        theirs: library → their objective around a network.
    """

    name: str
    tables: schedule.NoiseSchedule
    clip: float
    batch_size: int
    learning_rate: float
    draw: Callable[[int, Generator], Tensor]
    real: Tensor
    others: Tensor
    ours: Callable[[], nn.Module]
    theirs: Callable[[ModuleType], Any]


@dataclass
class Entrant:
    """One of the two in training."""

    network: nn.Module
    average: EMA
    step: Callable[[Generator], float]
    generator: Generator
    seconds: float = 0.0
    curve: Curve = field(default_factory=list)

    def train(self, steps: int) -> None:
        """Take steps with the clock running."""
        start = time.process_time()
        for _ in range(steps):
            self.step(self.generator)
        self.seconds += time.process_time() - start


class LibraryMLP(MLP):
    """Our perceptron with what their classes ask a network for: one channel, two numbers long."""

    channels = 1
    self_condition = False


def ring() -> Task:
    """The ring on the plane, with the perceptron of `edudiff.training.recipes.ring_diffusion`."""

    def draw(n: int, generator: Generator) -> Tensor:
        return points.sample("ring", n, generator=generator)[:, None]

    def theirs(library: ModuleType) -> Any:
        return library.GaussianDiffusion1D(
            LibraryMLP((1, 2), width=64, depth=2),
            seq_length=2,
            timesteps=100,
            objective="pred_noise",
            beta_schedule="cosine",
            auto_normalize=False,
        )

    return Task(
        name="ring",
        tables=schedule.make_schedule("cosine", 100),
        clip=3.0,
        batch_size=256,
        learning_rate=3e-3,
        draw=draw,
        real=draw(4000, Generator().manual_seed(100)),
        others=draw(4000, Generator().manual_seed(101)),
        ours=lambda: MLP((1, 2), width=64, depth=2),
        theirs=theirs,
    )


def small_digits() -> Task:
    """The digits of 8 × 8 pixels, with two U-Nets of about a quarter of a million parameters."""
    images = digits.load().images
    images = images[torch.randperm(len(images), generator=Generator().manual_seed(100))]

    def draw(n: int, generator: Generator) -> Tensor:
        return images[torch.randint(len(images), (n,), generator=generator)]

    def theirs(library: ModuleType) -> Any:
        return library.GaussianDiffusion(
            library.Unet(dim=16, dim_mults=(1, 2), channels=1, flash_attn=True),
            image_size=8,
            timesteps=200,
            objective="pred_noise",
            beta_schedule="cosine",
            auto_normalize=False,
        )

    return Task(
        name="digits",
        tables=schedule.make_schedule("cosine", 200),
        clip=1.0,
        batch_size=64,
        learning_rate=2e-3,
        draw=draw,
        real=images[:256],
        others=images[256:512],
        ours=lambda: UNet(
            in_channels=1,
            out_channels=1,
            block_out_channels=(24, 36),
            mid_block_add_attention=False,
            norm_num_groups=4,
        ),
        theirs=theirs,
    )


def batch(task: Task, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
    """Data, timesteps and noise of one step."""
    x0 = task.draw(task.batch_size, generator)
    t = torch.randint(task.tables.num_train_timesteps, (len(x0),), generator=generator)
    return x0, t, torch.randn(x0.shape, generator=generator)


def entrant(
    network: nn.Module, loss: Callable[[Generator], Tensor], task: Task, seed: int
) -> Entrant:
    """Put a network and its loss into the loop that both share."""
    optimizer = torch.optim.Adam(network.parameters(), lr=task.learning_rate, fused=True)
    average = EMA(network, decay=0.99)
    step = descend(loss, network, optimizer, ema=average)
    return Entrant(network, average, step, Generator().manual_seed(seed))


def enter(task: Task, library: ModuleType | None, seed: int) -> dict[str, Entrant]:
    """Ours, and theirs if it is there, before the first step."""
    torch.manual_seed(seed)
    network = task.ours()

    def loss(generator: Generator) -> Tensor:
        x0, t, eps = batch(task, generator)
        xt = forward.add_noise(x0, eps, t, task.tables)
        return (network(xt, t) - eps).square().mean()

    entrants = {"edudiff": entrant(network, loss, task, seed)}
    if library is not None:
        torch.manual_seed(seed)
        diffusion = task.theirs(library)
        torch.testing.assert_close(diffusion.alphas_cumprod, task.tables.alphas_cumprod.float())

        def objective(generator: Generator) -> Tensor:
            x0, t, eps = batch(task, generator)
            return diffusion(x0, eps, times=t)

        entrants["d-d-p"] = entrant(diffusion.model, objective, task, seed)
    return entrants


def distance(task: Task, x: Tensor) -> float:
    """From a cloud of samples to the real data, always along the same directions."""
    directions = Generator().manual_seed(0)
    clouds = x.flatten(1), task.real.flatten(1)
    return float(distances.sliced_wasserstein(*clouds, generator=directions))


def measure(task: Task, average: EMA, sampler_steps: int) -> float:
    """Draw as many samples as there are real data, always from the same noise, and compare."""
    *_, x = samplers.sample(
        average.module,
        tuple(task.real.shape),
        task.tables,
        generator=Generator().manual_seed(0),
        num_inference_steps=sampler_steps,
        step=samplers.ddim_step,
        clip=task.clip,
    )
    return distance(task, x)


def race(
    entrants: dict[str, Entrant], task: Task, steps: int, arguments: argparse.Namespace
) -> None:
    """Train all in turn, so that what else the machine does falls on both, and measure often."""
    lap = steps // arguments.measurements
    for number in range(arguments.measurements):
        for name in entrants if number % 2 else reversed(entrants):
            one = entrants[name]
            one.train(lap)
            one.curve.append((one.seconds, measure(task, one.average, arguments.sampler_steps)))


def mean(curves: list[Curve]) -> Curve:
    """The mean over seeds, measurement by measurement."""
    return [(at, value) for at, value in torch.tensor(curves).mean(dim=0).tolist()]


def reached(curve: Curve, target: float) -> float:
    """When the curve first comes down to the target, in a straight line between measurements."""
    before = None
    for here in curve:
        if here[1] <= target:
            if before is None:
                return here[0]
            share = (before[1] - target) / (before[1] - here[1])
            return before[0] + share * (here[0] - before[0])
        before = here
    raise ValueError(f"target: expected a distance that the curve reaches, got {target:g}")


def compare(curves: dict[str, Curve]) -> tuple[float, dict[str, float]]:
    """The distance that all come to, and when each does."""
    target = SLACK * max(min(value for _, value in curve) for curve in curves.values())
    return target, {name: reached(curve, target) for name, curve in curves.items()}


def run(
    task: Task, seeds: int, steps: int, library: ModuleType | None, arguments: argparse.Namespace
) -> None:
    """Train with every seed and print."""
    warm = enter(task, library, 0)
    for one in warm.values():
        one.train(3)
    runs = [enter(task, library, seed) for seed in range(seeds)]
    for entrants in runs:
        race(entrants, task, steps, arguments)
    steps -= steps % arguments.measurements
    print(
        f"{task.name}: {seeds} × {steps} steps of {task.batch_size}, "
        f"{len(task.real)} samples of {arguments.sampler_steps} DDIM steps; "
        f"real data lie {distance(task, task.others):.4f} off"
    )
    curves = {name: mean([entrants[name].curve for entrants in runs]) for name in warm}
    for name, curve in curves.items():
        size = sum(p.numel() for p in warm[name].network.parameters())
        print(f"  {name:<8} {size:,} parameters, {1000 * curve[-1][0] / steps:.2f} ms a step")
        print("    " + "  ".join(f"{at:.2f} s {value:.4f}" for at, value in curve))
    target, times = compare(curves)
    print(f"  to {target:.4f}: " + ", ".join(f"{name} {at:.2f} s" for name, at in times.items()))
    if library is not None:
        print(f"  theirs/ours {times['d-d-p'] / times['edudiff']:.2f}", end="")
        each = [compare({name: one.curve for name, one in run_.items()})[1] for run_ in runs]
        ratios = (f"{at['d-d-p'] / at['edudiff']:.2f}" for at in each)
        print(f" (seed by seed {', '.join(ratios)})", flush=True)


def main() -> None:
    """Race on both, in turn."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    two: dict[str, Any] = {"type": int, "nargs": 2, "metavar": ("RING", "DIGITS")}
    parser.add_argument("--seeds", default=(2, 2), help="trainings of each; 0 for none", **two)
    parser.add_argument("--steps", default=(1200, 200), help="of each training", **two)
    parser.add_argument("--measurements", type=int, default=8, help="in each training")
    parser.add_argument("--sampler-steps", type=int, default=20)
    arguments = parser.parse_args()
    if min(arguments.seeds) < 0 or not 1 <= arguments.measurements <= min(arguments.steps):
        parser.error("expected seeds ≥ 0, and at least one step for each measurement")
    torch.set_num_threads(1)
    try:
        library = importlib.import_module("denoising_diffusion_pytorch")
    except ImportError:
        library = None
        print("denoising-diffusion-pytorch is not there; how to add it says --help")
    tasks = zip((ring(), small_digits()), arguments.seeds, arguments.steps, strict=True)
    for task, seeds, steps in tasks:
        if seeds:
            run(task, seeds, steps, library, arguments)


if __name__ == "__main__":
    main()
