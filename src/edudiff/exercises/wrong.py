"""The exercises of the chapter "It trains, but it is wrong": tests that students write."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from edudiff.exercises.draws import draw_betas
from edudiff.exercises.exercise import Exercise, Mistake
from edudiff.exercises.lineup import close, line_up
from edudiff.exercises.noise_suspects import NOISED
from edudiff.exercises.weight_suspects import WEIGHED

ROUNDED = "the answer is right, but was rounded to single precision"

# 1. Off, on and double


def is_guidance(u: Tensor, c: Tensor, answers: Tensor) -> bool:
    """Whether `answers`, (3, …), are guidance at the scales 0, 1 and 2."""
    off, on, double = answers
    return close(off, u) and close(on, c) and close(double, 2 * c - u)


Guide = Callable[[Tensor, Tensor, float], Tensor]


def guide(u: Tensor, c: Tensor, scale: float) -> Tensor:
    """Classifier-free guidance, as it should be."""
    return u + scale * (c - u)


def _at_three_scales(guide: Guide) -> Callable[[Tensor, Tensor], Tensor]:
    return lambda u, c: torch.stack([guide(u, c, scale) for scale in (0.0, 1.0, 2.0)])


GUIDES: dict[str, Guide] = {
    "guidance is right": guide,
    ROUNDED: lambda u, c, s: guide(u, c, s).float(),
    "guidance is s·c + (s − 1)·u": lambda u, c, s: s * c + (s - 1) * u,
    "the two answers are exchanged": lambda u, c, s: c + s * (u - c),
    "guidance leads away from the condition": lambda u, c, s: u + s * (u - c),
    "0 means off": lambda u, c, s: c + s * (c - u),
    "guidance does nothing": lambda u, c, s: c,
    "guidance grows with the square of the scale": lambda u, c, s: u + s**2 * (c - u),
}


def _two_answers(generator: Generator) -> dict[str, Any]:
    u, c = torch.randn(2, 4, 3, generator=generator, dtype=torch.float64)
    return {"u": u, "c": c}


NEVER_NO = "Your test says True to everything. A test that cannot fail tests nothing."
NEVER_YES = "Your test says False to everything, also to what is right."
TOO_SHARP = (
    "Your test wants the last digit to agree. A right answer in single precision is right too: "
    "leave room for rounding."
)

GUIDANCE = Exercise(
    name="wrong.1",
    title="Off, on and double",
    make_cases=lambda generator: line_up(
        generator, {k: _at_three_scales(v) for k, v in GUIDES.items()}, _two_answers, "answers"
    ),
    reference=is_guidance,
    mistakes=(
        Mistake(NEVER_NO, lambda u, c, answers: True),
        Mistake(NEVER_YES, lambda u, c, answers: False),
        Mistake(
            TOO_SHARP,
            lambda u, c, answers: answers.equal(_at_three_scales(guide)(u, c)),
            ROUNDED,
        ),
        Mistake(
            "You look at scale 1 only, where several wrong formulas are right.",
            lambda u, c, answers: close(answers[1], c),
            "guidance is s·c + (s − 1)·u",
        ),
        Mistake(
            "You see how far one step of the scale leads, but not from where. A program for which "
            "0 means off gets past you.",
            lambda u, c, answers: close(answers[1] - answers[0], c - u),
            "0 means off",
        ),
        Mistake(
            "At 0 and 1 you are right. Between two points there is more than one curve: what is "
            "the answer at 2?",
            lambda u, c, answers: close(answers[0], u) and close(answers[1], c),
            "guidance grows with the square of the scale",
        ),
    ),
)

# 2. A table under suspicion


def is_table(betas: Tensor, table: Tensor) -> bool:
    """Whether `table` is ᾱ for these β: each entry is the one before times 1 − β."""
    before = torch.cat([torch.ones_like(betas[:1]), table[:-1].double()])
    return close(table, before * (1 - betas))


Table = Callable[[Tensor], Tensor]
TABLES: dict[str, Table] = {
    "the table is right": lambda betas: (1 - betas).cumprod(dim=0),
    ROUNDED: lambda betas: (1 - betas).cumprod(dim=0).float(),
    "every entry is the product up to T": lambda betas: (1 - betas).prod().expand(len(betas)),
    "the first step is left out": lambda betas: (1 - betas).cumprod(dim=0) / (1 - betas[0]),
    "each entry stands one place too late": lambda betas: torch.cat(
        [torch.ones_like(betas[:1]), (1 - betas[:-1]).cumprod(dim=0)]
    ),
    "β is multiplied, not 1 − β": lambda betas: betas.cumprod(dim=0),
    "β is summed, not multiplied": lambda betas: 1 - betas.cumsum(dim=0) / betas.sum(),
    "the table holds 1 − β, not its products": lambda betas: 1 - betas,
    "the table holds the roots": lambda betas: (1 - betas).cumprod(dim=0).sqrt(),
}


def _steps(generator: Generator) -> dict[str, Any]:
    return {"betas": draw_betas(generator, 12)}


def _falls(betas: Tensor, table: Tensor) -> bool:
    inside = bool(((table >= 0) & (table <= 1)).all())
    return inside and bool((table.diff() < 0).all())


def _ratios(betas: Tensor, table: Tensor) -> bool:
    return close(table[1:] / table[:-1], 1 - betas[1:])


TABLE = Exercise(
    name="wrong.2",
    title="A table under suspicion",
    make_cases=lambda generator: line_up(generator, TABLES, _steps, "table"),
    reference=is_table,
    mistakes=(
        Mistake(NEVER_NO, lambda betas, table: True),
        Mistake(NEVER_YES, lambda betas, table: False),
        Mistake(
            TOO_SHARP,
            lambda betas, table: (1 - betas).cumprod(dim=0).equal(table),
            ROUNDED,
        ),
        Mistake(
            "You look at the last entry only, which is right in a table that has the product up "
            "to T everywhere.",
            lambda betas, table: close(table[-1], (1 - betas).prod()),
            "every entry is the product up to T",
        ),
        Mistake(
            "You look at the first entry only. A table of 1 − β begins like that too.",
            lambda betas, table: close(table[0], 1 - betas[0]),
            "the table holds 1 − β, not its products",
        ),
        Mistake(
            "Your test lets roots through: they fall from 1 to 0 as well. The steps between "
            "entries have to be those of β.",
            _falls,
            "the table holds the roots",
        ),
        Mistake(
            "All your ratios are right, and yet a table got through that leaves the first step "
            "out. Which entry is in no ratio?",
            _ratios,
            "the first step is left out",
        ),
    ),
)

EXERCISES = (GUIDANCE, TABLE, WEIGHED, NOISED)
