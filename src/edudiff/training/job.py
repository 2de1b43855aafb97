"""What a recipe hands to the training command: `run.run` does the rest.

A recipe is a module in `edudiff.training.recipes` that ends in a constant, `RECIPE`, and is listed
in the table of `edudiff.cli`:

    def prepare(seed: int, num_steps: int) -> Job:
        torch.manual_seed(seed)
        network = VAE()
        optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
        scheduler = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, num_steps)

        def draw(batch_size: int, generator: Generator) -> Batch:
            rows = torch.randint(len(pictures), (batch_size,), generator=generator)
            noise = torch.randn(batch_size, 4, 16, 16, generator=generator)
            return {"pictures": pictures[rows], "noise": noise}

        def losses(batch: Batch) -> dict[str, Tensor]:
            ...
            return {"loss": reconstruction + 1e-6 * kl, "reconstruction": reconstruction, "kl": kl}

        return Job(network, optimizer, draw, losses, scheduler=scheduler, export=save, …)

    RECIPE = Recipe("vae", num_steps=20_000, batch_size=32, prepare=prepare)

What a recipe may rely on, and what it must keep to:

* `draw` makes the **whole** batch, on the CPU, noise included, as tensors with one row per example.
  Its generator is a fresh one for every step, seeded by the training's seed and the number of the
  step. Each process keeps its own rows and moves them to its device. What takes long, such as
  drawing or reading pictures, belongs into `fetch`, which is given those rows only: let `draw`
  choose *which* pictures.
* `losses` gets those rows. Every term is a mean over them, and it draws nothing. "loss" is what is
  descended, and every parameter of the network takes part in it; the other terms are only logged.
  A loss that compares the rows of a batch with each other, such as CLIP's, takes them all from
  `parallel.gather_rows` and is the same in every process.
* So several processes take the steps of one, and so does one that computes its rows in several
  parts (`Thrift`). (BatchNorm would not; use GroupNorm.)
* `sample`, `measure` and `export` get the weights to keep: the average if `ema_decay` is given,
  else the network; on its device, in evaluation mode, without gradients, in process 0 only, or in
  all of them if they have divided the weights. They draw from generators of their own.
* Networks that do not learn but are needed go into `frozen`, so that they reach the device too.

No position of a random generator need be kept for a resumed training beyond that of the one which
hands out a seed for each step; it is in the checkpoint like everything else, the learning rate's
schedule included.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn
from torch.optim.lr_scheduler import LRScheduler

from edudiff import checks

Batch = Mapping[str, Tensor]
PRECISIONS = ("no", "bf16", "fp16")


@dataclass(frozen=True)
class Job:
    """A training that is ready to begin; the module's docstring says what each part keeps to.

    Attributes:
        network: everything that learns; several networks go into one `nn.ModuleDict`.
        optimizer: of the network's parameters.
        draw: (batch size, generator) → the whole batch.
        losses: some rows of a batch → the loss terms, scalars; "loss" is descended.
        fetch: some rows of a batch, on the CPU → these rows as `losses` wants them.
        scheduler: of the learning rate; stepped after every step.
        ema_decay: of the average of the weights, see `EMA`; None for no average.
        max_grad_norm: if given, longer gradients are shortened to this length.
        frozen: networks that do not learn.
        divisible: networks that several processes may divide among them, see `sharding`: always
            called as a whole, and everything that learns is in them. None: it must not be asked.
        sample: weights → pictures (b, c, h, w), laid out as a grid, or one picture (c, h, w), in
            [-1, 1].
        measure: weights → measured quality, by name.
        export: (weights, an empty folder) → None, writing the model there.
    """

    network: nn.Module
    optimizer: torch.optim.Optimizer
    draw: Callable[[int, Generator], Batch]
    losses: Callable[[Batch], Mapping[str, Tensor]]
    fetch: Callable[[Batch], Batch] | None = None
    scheduler: LRScheduler | None = None
    ema_decay: float | None = None
    max_grad_norm: float | None = None
    frozen: tuple[nn.Module, ...] = ()
    divisible: tuple[nn.Module, ...] = ()
    sample: Callable[[Any], Tensor] | None = None
    measure: Callable[[Any], Mapping[str, float]] | None = None
    export: Callable[[Any, Path], None] | None = None


@dataclass(frozen=True)
class Recipe:
    """How the weights of one shipped model come to be.

    Attributes:
        name: what the command calls it.
        num_steps: steps of the shipped weights.
        batch_size: rows of a batch, over all processes.
        prepare: (seed, number of steps) → the job. The networks are made on the CPU.
        measure_shipped: measures the weights that lie in the package.
    """

    name: str
    num_steps: int
    batch_size: int
    prepare: Callable[[int, int], Job]
    measure_shipped: Callable[[], Mapping[str, float]] | None = None


@dataclass(frozen=True)
class Settings:
    """What decides the weights that come out; a training is resumed with the same ones only.

    Attributes:
        recipe: the recipe's name.
        num_steps: steps in all.
        batch_size: rows of a batch, over all processes.
        seed: of the first weights and of every batch.
        mixed_precision: "no", "bf16" or "fp16", as accelerate calls them.

    Raises:
        ValueError: if a number is too small or the precision is unknown.
    """

    recipe: str
    num_steps: int
    batch_size: int
    seed: int = 0
    mixed_precision: str = "no"

    def __post_init__(self) -> None:
        checks.whole_at_least(1, num_steps=self.num_steps, batch_size=self.batch_size)
        checks.whole_at_least(0, seed=self.seed)
        checks.choose("mixed_precision", self.mixed_precision, dict.fromkeys(PRECISIONS))


@dataclass(frozen=True)
class Every:
    """How many steps lie between two lines of the log, two pictures and two checkpoints.

    Raises:
        ValueError: if a count is below 1.
    """

    log: int = 50
    sample: int = 1000
    checkpoint: int = 500

    def __post_init__(self) -> None:
        checks.whole_at_least(1, **dataclasses.asdict(self))


@dataclass(frozen=True)
class Thrift:
    """How a step is made to need less memory.

    It changes the weights by rounding at most, as the number of processes does, so a training may
    be resumed with another.

    Attributes:
        accumulate: in how many parts each process computes its rows of a batch, one after the
            other, adding gradients up; not for losses that compare the rows of a batch.
        recompute: whether activations are forgotten and computed again, see `recompute`.
        shard: whether several processes divide the weights among them, see `sharding`.

    Raises:
        ValueError: if there is not at least one part.
    """

    accumulate: int = 1
    recompute: bool = False
    shard: bool = False

    def __post_init__(self) -> None:
        checks.whole_at_least(1, accumulate=self.accumulate)
