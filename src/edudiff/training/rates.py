"""Learning rates that change: twice up and down, or up, level and down."""

import math
from collections.abc import Callable

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR, SequentialLR

from edudiff import checks


def two_cycles(
    optimizer: Optimizer, highest: float, refining: float, *, switch: int, num_steps: int
) -> SequentialLR:
    """Learn with a high rate, then refine with a lower one.

    The first cycle is PyTorch's `OneCycleLR` with a short rise. The second rises over its first
    twentieth and falls along a cosine. Going back to the first rate would undo what was learnt.

    Args:
        optimizer: its learning rate is changed, and in the first cycle its momentum.
        highest: the highest rate of the first cycle.
        refining: the highest rate of the second.
        switch: steps of the first cycle.
        num_steps: steps in all.

    Returns:
        The scheduler; its `last_epoch` is the number of steps done.

    Raises:
        ValueError: if a rate is not above 0, or not 1 ≤ switch < num_steps.

    Source:
        Smith and Topin 2017 (arXiv:1708.07120) for the first cycle; Loshchilov and Hutter 2016
        (SGDR, arXiv:1608.03983) for falling along a cosine more than once.
    """
    checks.positive(highest=highest, refining=refining)
    checks.whole_at_least(1, switch=switch)
    checks.whole_at_least(switch + 1, num_steps=num_steps)
    start, length = highest / 25, num_steps - switch  # OneCycleLR begins at a 25th

    def refining_share(step: int) -> float:
        rise = min(1, (step + 1) / (0.05 * length))
        return refining / start * rise * (1 + math.cos(math.pi * step / length)) / 2

    cycles: list[LRScheduler] = [
        OneCycleLR(optimizer, highest, total_steps=switch + 1, pct_start=0.05),
        LambdaLR(optimizer, refining_share),
    ]
    return SequentialLR(optimizer, cycles, milestones=[switch])


def trapezoid(num_steps: int, *, rise: float = 0.02, fall: float = 0.3) -> Callable[[int], float]:
    """A learning rate that rises, stays and falls to nothing, each time in a straight line.

    It says nothing about the length while it stays, so a training can be judged half-way.

    Args:
        num_steps: steps in all.
        rise: share of the steps in which it rises.
        fall: share of the steps in which it falls.

    Returns:
        The function from steps done to a share of the highest rate, for PyTorch's `LambdaLR`.

    Raises:
        ValueError: if num_steps is below 1 or the shares are not between 0 and 1 together.

    Source:
        Hägele et al. 2024 (arXiv:2405.18392), section 3: as good as a cosine.
    """
    checks.whole_at_least(1, num_steps=num_steps)
    if rise < 0 or fall < 0 or rise + fall > 1:
        raise ValueError(f"rise and fall: expected at most 1 together, got {rise} and {fall}")
    up, down = max(1, rise * num_steps), max(1, fall * num_steps)
    return lambda step: max(0.0, min(1.0, (step + 1) / up, (num_steps - step) / down))
