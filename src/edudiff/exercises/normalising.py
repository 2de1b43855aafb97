"""Two exercises on the U-Net: a norm by hand, and the time told after it."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

SEVERAL, ONE, CONSTANT = "there are two groups", "there is one group", "a picture is constant"
EPS = 1e-5

Axes = tuple[int, ...]


def group_norm(x: Tensor, groups: int) -> Tensor:
    """Pictures, (b, c, h, w), with mean 0 and variance 1 in each group of channels."""
    return _normed(x.unflatten(1, (groups, -1)), (2, 3, 4)).flatten(1, 2)


def _normed(
    x: Tensor, axes: Axes, *, correction: int = 0, power: float = 0.5, eps: float = EPS
) -> Tensor:
    variance, mean = torch.var_mean(x, dim=axes, correction=correction, keepdim=True)
    return (x - mean) / (variance + eps) ** power


def _norm_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, groups in ((SEVERAL, 2), (ONE, 1), (CONSTANT, 3)):
        x = torch.randn(3, 6, 2, 2, generator=generator, dtype=torch.float64)
        x = 3 * x + torch.arange(6).reshape(6, 1, 1) + torch.arange(3).reshape(3, 1, 1, 1)
        if about == CONSTANT:
            x[1] = torch.randint(1, 9, (), generator=generator)
        cases.append(Case(about, {"x": x, "groups": groups}))
    return cases


def _in_groups(**changed: Any) -> Answer:
    """The right groups, another norm."""
    return lambda x, groups: _normed(x.unflatten(1, (groups, -1)), (2, 3, 4), **changed).flatten(
        1, 2
    )


def _every_so_many(x: Tensor, groups: int) -> Tensor:
    """Takes every `groups`-th channel for a group."""
    return _normed(x.unflatten(1, (-1, groups)), (1, 3, 4)).flatten(1, 2)


GROUP_NORM = Exercise(
    name="unet.2",
    title="What the norm sees",
    make_cases=_norm_cases,
    reference=group_norm,
    mistakes=(
        Mistake(
            "Your norm looks at the whole batch, so that an answer depends on the other pictures.",
            lambda x, groups: _normed(x, (0, 2, 3)),
            SEVERAL,
        ),
        Mistake(
            "You normalise each channel by itself. Which channels share a mean?",
            lambda x, groups: _normed(x, (2, 3)),
            SEVERAL,
        ),
        Mistake(
            "All channels share one mean and one variance: the groups are not kept apart.",
            lambda x, groups: _normed(x, (1, 2, 3)),
            SEVERAL,
        ),
        Mistake(
            "Your groups are woven into each other. A group is a run of neighbouring channels.",
            _every_so_many,
            SEVERAL,
        ),
        Mistake(
            "You divide by the variance: a square root is missing.",
            _in_groups(power=1.0),
            SEVERAL,
        ),
        Mistake(
            "Your variance divides by one value too few, which is for estimates from a sample. "
            "Here the values are all there are.",
            _in_groups(correction=1),
            SEVERAL,
        ),
        Mistake(
            "In a constant picture you divide 0 by 0. What small number guards against that?",
            _in_groups(eps=0.0),
            CONSTANT,
        ),
    ),
)


def told_late(h: Tensor, scale: Tensor, shift: Tensor, groups: int) -> Tensor:
    """The norm of (b, c, h, w), then scaled and shifted by one number for each channel, (b, c)."""
    return group_norm(h, groups) * (1 + _spread(scale)) + _spread(shift)


def _spread(told: Tensor) -> Tensor:
    return told[:, :, None, None]


def _late_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, size, groups in (
        ("scale and shift are 0", 0.0, 2),
        ("there is one channel to a group", 1.0, 4),
        (SEVERAL, 0.7, 2),
    ):
        h = torch.randn(4, 4, 4, 4, generator=generator, dtype=torch.float64)
        scale, shift = size * torch.randn(2, 4, 4, generator=generator, dtype=torch.float64)
        cases.append(Case(about, {"h": h, "scale": scale, "shift": shift, "groups": groups}))
    return cases


def _told(spread: Callable[[Tensor], Tensor]) -> Answer:
    """The right order, but the numbers go elsewhere."""
    return lambda h, scale, shift, groups: (
        group_norm(h, groups) * (1 + spread(scale)) + spread(shift)
    )


TOLD_LATE = Exercise(
    name="unet.3",
    title="A clock that nobody can read",
    make_cases=_late_cases,
    reference=told_late,
    mistakes=(
        Mistake(
            "A scale of 0 wipes the picture out. It should leave it as it is, so that an untrained "
            "clock does no harm.",
            lambda h, scale, shift, groups: group_norm(h, groups) * _spread(scale) + _spread(shift),
        ),
        Mistake(
            "You tell the time before the norm, which takes it away again.",
            lambda h, scale, shift, groups: group_norm(
                h * (1 + _spread(scale)) + _spread(shift), groups
            ),
        ),
        Mistake(
            "Your numbers go to rows and columns of pixels. They belong to pictures and channels: "
            "which axes are missing?",
            _told(lambda told: told),
        ),
        Mistake(
            "Your pictures get each other's time: batch and channels are exchanged.",
            _told(lambda told: told.T[:, :, None, None]),
        ),
        Mistake(
            "Scale and shift are exchanged.",
            lambda h, scale, shift, groups: told_late(h, shift, scale, groups),
        ),
        Mistake(
            "You shift, but nothing is scaled.",
            lambda h, scale, shift, groups: told_late(h, 0 * scale, shift, groups),
        ),
        Mistake(
            "Your picture goes through without its norm.",
            lambda h, scale, shift, groups: h * (1 + _spread(scale)) + _spread(shift),
        ),
    ),
)
