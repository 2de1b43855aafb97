"""Whose weights are a softmax over the words: the third exercise on wrong programs."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Exercise, Mistake
from edudiff.exercises.lineup import close, line_up


def is_attention(scores: Tensor, weights: Tensor) -> bool:
    """Whether `weights`, (b, n, m), are the softmax of `scores` over the words, the last axis.

    That is so if each pixel's weights sum to 1, and their ratios are those of the exponentials.
    """
    one = torch.ones_like(weights[..., 0])
    ratios = (weights[..., 1:] / weights[..., :1]).log()
    return close(weights.sum(dim=2), one) and close(ratios, scores[..., 1:] - scores[..., :1])


RIGHT = "the weights are right"
PROGRAMS: dict[str, Callable[[Tensor], Tensor]] = {
    RIGHT: lambda scores: scores.softmax(dim=2),
    "the softmax runs over the pixels": lambda scores: scores.softmax(dim=1),
    "the softmax runs over the batch": lambda scores: scores.softmax(dim=0),
    "one softmax runs over pixels and words": lambda scores: (
        scores.flatten(1).softmax(dim=1).reshape(scores.shape)
    ),
    "exponentials are not divided by their sum": lambda scores: scores.exp(),
    "every word weighs the same": lambda scores: torch.ones_like(scores) / scores.shape[2],
    "matches are taken with the wrong sign": lambda scores: (-scores).softmax(dim=2),
    "matches count twice": lambda scores: (2 * scores).softmax(dim=2),
    "matches are divided by their sum, with no exponential": lambda scores: (
        scores.abs() / scores.abs().sum(dim=2, keepdim=True)
    ),
}


def _matches(generator: Generator) -> dict[str, Any]:
    return {"scores": torch.randn(3, 4, 4, generator=generator, dtype=torch.float64)}


def _sums_to_one(weights: Tensor, axis: int) -> bool:
    total = weights.sum(dim=axis)
    return close(total, torch.ones_like(total))


def _ordered(scores: Tensor, weights: Tensor) -> bool:
    return scores.argsort(dim=2).equal(weights.argsort(dim=2))


WEIGHED = Exercise(
    name="wrong.3",
    title="Who shares what?",
    make_cases=lambda generator: line_up(generator, PROGRAMS, _matches, "weights"),
    reference=is_attention,
    mistakes=(
        Mistake(
            "Your test says True to all of them. Shapes and signs are right in every one.",
            lambda scores, weights: weights.shape == scores.shape and bool((weights > 0).all()),
        ),
        Mistake(
            "Your test says False to all of them, and one program is right.",
            lambda scores, weights: False,
        ),
        Mistake(
            "You reject the right weights. On which axis do words lie, and whose weights sum to 1?",
            lambda scores, weights: _sums_to_one(weights, 1),
            RIGHT,
        ),
        Mistake(
            "Your test asks who weighs more, but not whether a pixel's weights sum to 1: bare "
            "exponentials get through.",
            _ordered,
            "exponentials are not divided by their sum",
        ),
        Mistake(
            "Weights that sum to 1 need not have looked at the matches: equal ones get through.",
            lambda scores, weights: _sums_to_one(weights, 2),
            "every word weighs the same",
        ),
        Mistake(
            "The sum and the order are right, and yet weights got through that are too sharp. By "
            "how much does a match that is higher by 1 count more?",
            lambda scores, weights: _sums_to_one(weights, 2) and _ordered(scores, weights),
            "matches count twice",
        ),
    ),
)
