"""One step of a `Job`: draw, share, compute part by part, average over all processes, move."""

import math
import os
from collections.abc import Callable

import torch
from accelerate import Accelerator
from accelerate.utils import GradientAccumulationPlugin
from torch import Generator, Tensor, nn

from edudiff.training import parallel, sharding
from edudiff.training.ema import EMA
from edudiff.training.job import Batch, Job, Thrift
from edudiff.training.log import Log
from edudiff.training.recompute import recompute


class _Objective(nn.Module):
    """The loss as a module of its own: what accelerate wraps, whatever the network's methods."""

    def __init__(self, job: Job) -> None:
        super().__init__()
        self.network, self.losses = job.network, job.losses

    def forward(self, batch: Batch) -> dict[str, Tensor]:
        terms = dict(self.losses(batch))
        if "loss" not in terms:
            raise ValueError(f"losses: expected a term named 'loss', got {sorted(terms)}")
        return terms


def make_accelerator(mixed_precision: str = "no", thrift: Thrift | None = None) -> Accelerator:
    """The accelerator of this process.

    One of several processes without a GPU is told so; else it would think it was alone.
    """
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    on_cpu = several and not torch.cuda.is_available()
    parts = (thrift or Thrift()).accumulate
    plugin = GradientAccumulationPlugin(num_steps=parts, sync_with_dataloader=False)
    return Accelerator(
        mixed_precision=mixed_precision, cpu=on_cpu, gradient_accumulation_plugin=plugin
    )


def check_shares(batch_size: int, accelerator: Accelerator) -> None:
    """Refuse a batch that processes, and the parts of each, cannot share equally.

    Raises:
        ValueError: with the number that must divide it.
    """
    processes, parts = accelerator.num_processes, accelerator.gradient_accumulation_steps
    if batch_size % (processes * parts):
        meaning = f"the number of processes{f' times {parts} parts each' if parts > 1 else ''}"
        raise ValueError(
            f"batch_size: expected a multiple of {processes * parts}, {meaning}, got {batch_size}"
        )


def _add_gradients(
    job: Job, objective: nn.Module, share: Batch, accelerator: Accelerator
) -> dict[str, float]:
    """Go back from each part of the share; out come the terms' means over all processes."""
    parts = accelerator.gradient_accumulation_steps
    sums = torch.zeros(())
    for part in range(parts):
        some = parallel.share(share, part, parts)
        rows = some if job.fetch is None else job.fetch(some)
        with accelerator.accumulate(objective):
            terms = objective({name: each.to(accelerator.device) for name, each in rows.items()})
            accelerator.backward(terms["loss"])
        values = torch.stack([term.detach().float() for term in terms.values()])
        sums = values if part == 0 else sums + values
    means = accelerator.reduce(sums / parts, "mean").tolist()
    return dict(zip(terms, means, strict=True))


def make_step(
    job: Job,
    ema: EMA | None,
    log: Log,
    batch_size: int,
    accelerator: Accelerator,
    *,
    thrift: Thrift,
) -> Callable[[Generator], dict[str, float]]:
    """Make the step function: source of the steps' seeds → the loss terms before the step.

    All processes draw the same seed, hence the same batch, and each takes its rows of it, in as
    many parts as the accelerator accumulates. Processes wait for each other in the last part only.

    Args:
        job: what is trained.
        ema: follows the network after every step.
        log: is told the loss terms.
        batch_size: rows of a batch, over all processes.
        accelerator: as `make_accelerator` makes it.
        thrift: how memory is saved.

    Returns:
        The function; it raises `FloatingPointError` if a loss is not finite, before the weights
        are touched.
    """
    for network in (job.network, *job.frozen) if thrift.recompute else ():
        recompute(network)
    if thrift.shard:
        sharding.shard(job, ema)
    objective = accelerator.prepare_model(_Objective(job), evaluation_mode=thrift.shard)
    optimizer = accelerator.prepare_optimizer(job.optimizer)

    def step(seeds: Generator) -> dict[str, float]:
        seed = int(torch.randint(2**62, (), generator=seeds))
        batch = job.draw(batch_size, Generator().manual_seed(seed))
        job.optimizer.zero_grad(set_to_none=True)
        share = parallel.share(batch, accelerator.process_index, accelerator.num_processes)
        means = _add_gradients(job, objective, share, accelerator)
        if not all(map(math.isfinite, means.values())):
            raise FloatingPointError(f"loss: expected finite numbers, got {means}")
        if job.max_grad_norm is not None:
            accelerator.clip_grad_norm_(job.network.parameters(), job.max_grad_norm)
        optimizer.step()
        if job.scheduler is not None and not optimizer.step_was_skipped:
            job.scheduler.step()
        if ema is not None:
            ema.update(job.network)
        log.add(means)
        return means

    return step
