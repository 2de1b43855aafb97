"""The exercises of the chapter on Stable Diffusion."""

import math

import torch
from torch import Generator, Tensor

from edudiff.exercises.beginnings import SET_BACK, SHARE_LEFT
from edudiff.exercises.exercise import Case, Exercise, Mistake

# 1. Nobody's prompt: not checked

# 2. Between two seeds


def arc(a: Tensor, b: Tensor, share: float) -> Tensor:
    """The noise that lies at this share of the quarter of a circle from a to b."""
    return _turned(a, b, share * math.pi / 2)


def _turned(a: Tensor, b: Tensor, angle: float) -> Tensor:
    return math.cos(angle) * a + math.sin(angle) * b


def _seed_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, low in (("a is near", 0.1), ("b is near", 0.7), ("both are equally far", 0.5)):
        a, b = torch.randn(2, 4, 2, 3, generator=generator, dtype=torch.float64)
        away = 0 if low == 0.5 else 0.2 * float(torch.rand((), generator=generator))
        cases.append(Case(about, {"a": a, "b": b, "share": low + away}))
    return cases


ARC = Exercise(
    name="stable-diffusion.2",
    title="Between two seeds",
    make_cases=_seed_cases,
    reference=arc,
    mistakes=(
        Mistake(
            "That is the straight line, whose middle has too little variance.",
            lambda a, b, share: (1 - share) * a + share * b,
        ),
        Mistake(
            "Your angle is in degrees. Sines and cosines count in radians.",
            lambda a, b, share: _turned(a, b, 90 * share),
        ),
        Mistake(
            "You turn too far: at share 1 you have come back to a, on the other side. How large is "
            "the angle between two seeds?",
            lambda a, b, share: _turned(a, b, math.pi * share),
        ),
        Mistake(
            "Your share is taken for the angle itself, and at share 1 you are not yet at b.",
            lambda a, b, share: _turned(a, b, share),
        ),
        Mistake(
            "You walk from b to a.",
            lambda a, b, share: arc(b, a, share),
        ),
        Mistake(
            "You are on the arc, but stops that are even in `share` are not even in the angle.",
            lambda a, b, share: (1 - share) ** 0.5 * a + share**0.5 * b,
        ),
        Mistake(
            "The squares of your weights do not add up to 1, the weights themselves do.",
            lambda a, b, share: (
                math.cos(share * math.pi / 2) ** 2 * a + math.sin(share * math.pi / 2) ** 2 * b
            ),
        ),
    ),
)

# 3. Four bits that work

WEIGHTS, ZEROS = "weights are random", "all weights of a group are 0"


def rounded(w: Tensor, group: int, bits: int) -> Tensor:
    """Weights, (rows, columns), as absmax gives them back with a scale for `group` in a row."""
    return _rounded(w.unflatten(1, (-1, group)), 2 ** (bits - 1) - 1).flatten(1)


def _rounded(groups: Tensor, largest: int, axis: int | tuple[int, ...] = -1) -> Tensor:
    return _back(groups, groups.abs().amax(dim=axis, keepdim=True) / largest)


def _back(groups: Tensor, scale: Tensor) -> Tensor:
    scale = torch.where(scale == 0, 1, scale)
    return (groups / scale).round() * scale


def _weight_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, bits in ((WEIGHTS, 4), (WEIGHTS, 8), (ZEROS, 4)):
        w = torch.randn(4, 12, generator=generator, dtype=torch.float64)
        w = w * (0.2 + torch.rand(4, 3, generator=generator).repeat_interleave(4, dim=1))
        if about == ZEROS:
            w[1, 4:8] = 0
        cases.append(Case(about, {"w": w, "group": 4, "bits": bits}))
    return cases


def _scaled(w: Tensor, group: int, bits: int) -> tuple[Tensor, Tensor]:
    """Weights in groups as multiples of their scales, and these; 0 by 0 is not guarded."""
    groups = w.unflatten(1, (-1, group))
    scale = groups.abs().amax(dim=2, keepdim=True) / (2 ** (bits - 1) - 1)
    return groups / scale, scale


def _signed_scale(w: Tensor, group: int, bits: int) -> Tensor:
    """Takes the largest weight for the one that is largest without its sign."""
    groups = w.unflatten(1, (-1, group))
    return _back(groups, groups.amax(dim=2, keepdim=True) / (2 ** (bits - 1) - 1)).flatten(1)


def _cut_off(w: Tensor, group: int, bits: int) -> Tensor:
    multiples, scale = _scaled(w, group, bits)
    return (multiples.trunc() * scale).flatten(1)


def _never_multiplied(w: Tensor, group: int, bits: int) -> Tensor:
    multiples, _ = _scaled(w, group, bits)
    return multiples.round().flatten(1)


def _nothing_by_nothing(w: Tensor, group: int, bits: int) -> Tensor:
    multiples, scale = _scaled(w, group, bits)
    return (multiples.round() * scale).flatten(1)


ROUNDED = Exercise(
    name="stable-diffusion.3",
    title="Four bits that work",
    make_cases=_weight_cases,
    reference=rounded,
    mistakes=(
        Mistake(
            "A whole row shares one scale in yours, so that its largest weight makes the steps "
            "coarse for all.",
            lambda w, group, bits: _rounded(w, 2 ** (bits - 1) - 1),
            WEIGHTS,
        ),
        Mistake(
            "The whole matrix shares one scale in yours.",
            lambda w, group, bits: _rounded(w, 2 ** (bits - 1) - 1, (0, 1)),
            WEIGHTS,
        ),
        Mistake(
            "Your groups lie in columns. Weights of one group stand side by side in a row.",
            lambda w, group, bits: rounded(w.T.contiguous(), group, bits).T,
            WEIGHTS,
        ),
        Mistake(
            "Your largest number needs one bit more: the sign takes one, too.",
            lambda w, group, bits: _rounded(w.unflatten(1, (-1, group)), 2**bits - 1).flatten(1),
            WEIGHTS,
        ),
        Mistake(
            "Your numbers reach as far up as they reach down. Zero takes a place among them, too.",
            lambda w, group, bits: _rounded(w.unflatten(1, (-1, group)), 2 ** (bits - 1)).flatten(
                1
            ),
            WEIGHTS,
        ),
        Mistake(
            "Your scale is that of the largest weight with its sign. The one farthest from 0 may "
            "be negative.",
            _signed_scale,
            WEIGHTS,
        ),
        Mistake(
            "Your fractions are cut off: a dtype for whole numbers rounds towards 0, and errors "
            "become twice as large.",
            _cut_off,
            WEIGHTS,
        ),
        Mistake(
            "You return the small whole numbers. What the layer computes with is asked for.",
            _never_multiplied,
            WEIGHTS,
        ),
        Mistake(
            "A group whose weights are all 0 has the scale 0 in yours, and 0 is divided by it.",
            _nothing_by_nothing,
            ZEROS,
        ),
    ),
)

# 4. Strength one: SHARE_LEFT

# 5. What stays, stays: SET_BACK

# 6. not checked

EXERCISES = (ARC, ROUNDED, SHARE_LEFT, SET_BACK)
