"""The exercises of the chapter on the U-Net."""

import math

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Case, Exercise, Mistake
from edudiff.exercises.normalising import GROUP_NORM, TOLD_LATE

# 1. Seeing by depth or by halving

STRIDES = "some layers have a stride"

Widths = tuple[int, ...]


def seen_across(kernels: Widths, strides: Widths) -> int:
    """How many pixels across one output of these layers sees."""
    seen, step = 1, 1
    for kernel, stride in zip(kernels, strides, strict=True):
        seen += (kernel - 1) * step
        step *= stride
    return seen


def _layer_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, strides in (
        ("no layer has a stride", (1, 1, 1, 1)),
        (STRIDES, (1, 2, 1, 3, 2)),
        (STRIDES, (2, 1, 4, 1)),
    ):
        widths = 3 + 2 * torch.randint(5, (len(strides),), generator=generator)
        cases.append(Case(about, {"kernels": tuple(widths.tolist()), "strides": strides}))
    return cases


def _too_early(kernels: Widths, strides: Widths) -> int:
    """Multiplies by a layer's stride before its own window is counted."""
    steps = [math.prod(strides[: k + 1]) for k in range(len(strides))]
    return 1 + sum((kernel - 1) * step for kernel, step in zip(kernels, steps, strict=True))


SEEN_ACROSS = Exercise(
    name="unet.1",
    title="Seeing by depth or by halving",
    make_cases=_layer_cases,
    reference=seen_across,
    mistakes=(
        Mistake(
            "Your windows multiply. A pixel that sees three pixels, each of which sees three, sees "
            "fewer than nine: they overlap.",
            lambda kernels, strides: math.prod(kernels),
            "no layer has a stride",
        ),
        Mistake(
            "You count one side only. A window reaches to the left and to the right.",
            lambda kernels, strides: (seen_across(kernels, strides) + 1) // 2,
        ),
        Mistake(
            "You count the middle pixel anew in every layer. How many *new* pixels does a layer "
            "add that sees a single one?",
            lambda kernels, strides: seen_across(tuple(k + 1 for k in kernels), strides),
        ),
        Mistake(
            "Your strides have no effect. How far apart, in pixels of the picture, are two "
            "neighbours after a layer that keeps every second?",
            lambda kernels, strides: seen_across(kernels, (1,) * len(kernels)),
            STRIDES,
        ),
        Mistake(
            "You let a stride widen the window of its own layer. That layer still reads pixels "
            "that stand close together; which layers do not?",
            _too_early,
            STRIDES,
        ),
    ),
)

# 2. What the norm sees: GROUP_NORM

# 3. A clock that nobody can read: TOLD_LATE

# 4. The up-convolution of 2015

OVERLAP = "stamps overlap"


def stamps(n: int, width: int, stride: int) -> Tensor:
    """How many stamps lie on each pixel that comes out of n: ((n − 1) stride + width,)."""
    covered = torch.zeros((n - 1) * stride + width)
    for k in range(n):
        covered[k * stride : k * stride + width] += 1
    return covered


def _stamp_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, width, stride in ((OVERLAP, 3, 2), (OVERLAP, 5, 2), ("the stamps touch", 4, 4)):
        n = 4 + int(torch.randint(12, (), generator=generator))
        cases.append(Case(about, {"n": n, "width": width, "stride": stride}))
    return cases


STAMPS = Exercise(
    name="unet.4",
    title="The up-convolution of 2015",
    make_cases=_stamp_cases,
    reference=stamps,
    mistakes=(
        Mistake(
            "You say where there is a stamp. Where two overlap, their sum is larger: count them.",
            lambda n, width, stride: stamps(n, width, stride).clamp(max=1),
            OVERLAP,
        ),
        Mistake(
            "Your stamps never overlap: you put each behind the last. How far apart are they?",
            lambda n, width, stride: torch.ones(n * width),
            OVERLAP,
        ),
        Mistake(
            "You move by the width and stamp by the stride: the two are exchanged.",
            lambda n, width, stride: stamps(n, stride, width),
            OVERLAP,
        ),
        Mistake(
            "Your last stamp is cut off. It begins as far after its neighbour as the others, and "
            "is as wide.",
            lambda n, width, stride: stamps(n, width, stride)[: n * stride],
            OVERLAP,
        ),
        Mistake(
            "You stamp once too often: n pixels have one gap fewer than there are pixels.",
            lambda n, width, stride: stamps(n + 1, width, stride),
        ),
    ),
)

EXERCISES = (SEEN_ACROSS, GROUP_NORM, TOLD_LATE, STAMPS)
