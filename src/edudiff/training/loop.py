"""One loop for every network of the book: a generator that yields after each step.

Progress bars, plots and early stops belong to the caller. What a step does belongs to the step
function; `descend` makes the usual one from a loss.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TypeVar

import torch
from torch import Generator, Tensor, nn

from edudiff import checks
from edudiff.training import checkpoint
from edudiff.training.ema import EMA

Report = TypeVar("Report")


def descend(
    loss_fn: Callable[[Generator], Tensor],
    network: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    ema: EMA | None = None,
    max_grad_norm: float | None = None,
) -> Callable[[Generator], float]:
    """Make a step function: one gradient step on a loss.

    Args:
        loss_fn: generator → a scalar loss on a batch drawn with it.
        network: the network whose parameters the optimiser holds.
        optimizer: the optimiser of those parameters.
        ema: if given, follows the network after every step.
        max_grad_norm: if given, longer gradients are shortened to this length.

    Returns:
        A function generator → the loss before the step. It raises `FloatingPointError` if the
        loss is not finite, before the weights are touched.
    """

    def step(generator: Generator) -> float:
        loss = loss_fn(generator)
        if not torch.isfinite(loss):
            raise FloatingPointError(f"loss: expected a finite number, got {loss.item()}")
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if max_grad_norm is not None:
            nn.utils.clip_grad_norm_(network.parameters(), max_grad_norm)
        optimizer.step()
        if ema is not None:
            ema.update(network)
        return loss.item()

    return step


def train(
    step_fn: Callable[[Generator], Report],
    *,
    num_steps: int,
    generator: Generator,
    parts: Mapping[str, checkpoint.Stateful] | None = None,
    checkpoint_path: Path | None = None,
    checkpoint_every: int = 500,
    writes: bool = True,
) -> Iterator[tuple[int, Report]]:
    """Run `step_fn` until `num_steps` steps are done, yielding after each.

    With a `checkpoint_path`, everything in `parts` and the position of the randomness is saved
    every so many steps and at the end, and an earlier checkpoint there is taken up: an interrupted
    training, started again with the same arguments, ends with the same bits as one that was not.

    Args:
        step_fn: does one step with the randomness it is given, and reports; see `descend`.
        num_steps: steps in all, those before an interruption included.
        generator: the source of all randomness, on the CPU.
        parts: everything that a step changes, by name: networks, optimisers, averages.
        checkpoint_path: where to keep the checkpoint; none is kept if not given.
        checkpoint_every: steps between two checkpoints.
        writes: False in all but one of several processes: they take a checkpoint up like the one
            that writes it, and write none.

    Yields:
        (number of steps done, what the step reported), for the steps done now.

    Raises:
        ValueError: if a count is below 1, if there is a `checkpoint_path` but no `parts`, or if
            the checkpoint is of something else or of a longer training.
    """
    checks.whole_at_least(1, num_steps=num_steps, checkpoint_every=checkpoint_every)
    done = 0
    if checkpoint_path is not None:
        if not parts:
            raise ValueError("parts: expected what a checkpoint must hold, got nothing")
        done = checkpoint.resume(checkpoint_path, parts, generator)
        if done > num_steps:
            raise ValueError(f"num_steps: expected at least the {done} done, got {num_steps}")
    for index in range(done + 1, num_steps + 1):
        report = step_fn(generator)
        if checkpoint_path is not None and parts:
            if index % checkpoint_every == 0 or index == num_steps:
                checkpoint.save(checkpoint_path, index, parts, generator, writes=writes)
        yield index, report
