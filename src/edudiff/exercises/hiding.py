"""Two exercises on attention: words that nobody hears, and words that are turned up."""

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Case, Exercise, Mistake

LENGTHS, NOTHING = "captions have different lengths", "nothing is hidden"


def masked_weights(scores: Tensor, hidden: Tensor) -> Tensor:
    """The weights of matches, (b, h, n, m), if of caption b the words `hidden`, (b, m), are not."""
    return _weights(scores, hidden[:, None, None])


def _weights(scores: Tensor, hidden: Tensor, filling: float = -torch.inf) -> Tensor:
    return scores.masked_fill(hidden, filling).softmax(dim=3)


def _padded_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, n in ((LENGTHS, 5), (LENGTHS, 2), (NOTHING, 5)):
        scores = torch.randn(3, 3, n, 5, generator=generator, dtype=torch.float64)
        lengths = 1 + torch.randperm(4, generator=generator)[:3]
        lengths = torch.full((3,), 5) if about == NOTHING else lengths
        hidden = torch.arange(5) >= lengths[:, None]
        cases.append(Case(about, {"scores": 1 + 2 * scores, "hidden": hidden}))
    return cases


MASKED = Exercise(
    name="cross-attention.4",
    title="Is the padding needed?",
    make_cases=_padded_cases,
    reference=masked_weights,
    mistakes=(
        Mistake(
            "Only the hidden words are heard in yours: the mask is upside down. Libraries do not "
            "agree on what True means.",
            lambda scores, hidden: _weights(scores, ~hidden[:, None, None]),
        ),
        Mistake(
            "You set hidden matches to 0, which is a match like any other. Its exponential is 1.",
            lambda scores, hidden: _weights(scores, hidden[:, None, None], 0.0),
            LENGTHS,
        ),
        Mistake(
            "You remove weights after the softmax, so that what is left no longer sums to 1. Who "
            "gets the share of the hidden words?",
            lambda scores, hidden: scores.softmax(dim=3) * ~hidden[:, None, None],
            LENGTHS,
        ),
        Mistake(
            "You add the mask to the matches as a number: hidden words speak a little louder.",
            lambda scores, hidden: (scores + hidden[:, None, None].double()).softmax(dim=3),
            LENGTHS,
        ),
        Mistake(
            "You subtract the mask from the matches as a number: hidden words speak more softly, "
            "but they are heard.",
            lambda scores, hidden: (scores - hidden[:, None, None].double()).softmax(dim=3),
            LENGTHS,
        ),
        Mistake(
            "Each of your heads has the mask of another caption. On which axes do captions lie?",
            lambda scores, hidden: _weights(scores, hidden[None, :, None]),
            LENGTHS,
        ),
        Mistake(
            "Your softmax runs along the pixels, which then compete for a word's vote.",
            lambda scores, hidden: scores.masked_fill(hidden[:, None, None], -torch.inf).softmax(
                dim=2
            ),
            NOTHING,
        ),
        Mistake(
            "All captions have the mask of the first in yours.",
            lambda scores, hidden: _weights(scores, hidden[0]),
            LENGTHS,
        ),
    ),
)

SQUARE = "there are as many pixels as words"


def turned_up(scores: Tensor, v: Tensor, factors: Tensor) -> Tensor:
    """What pixels are told, (n, c), if each word's column of weights has a factor, (m,)."""
    return (scores.softmax(dim=1) * factors) @ v


def _factor_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, n in (("there are more pixels than words", 6), (SQUARE, 4)):
        scores = torch.randn(n, 4, generator=generator, dtype=torch.float64)
        v = torch.randn(4, 3, generator=generator, dtype=torch.float64)
        factors = 3 * torch.rand(4, generator=generator, dtype=torch.float64)
        factors[int(torch.randint(4, (), generator=generator))] = 0
        cases.append(Case(about, {"scores": 2 * scores, "v": v, "factors": factors}))
    return cases


def _again_to_one(scores: Tensor, v: Tensor, factors: Tensor) -> Tensor:
    louder = scores.softmax(dim=1) * factors
    return louder / louder.sum(dim=1, keepdim=True) @ v


def _pixels_up(scores: Tensor, v: Tensor, factors: Tensor) -> Tensor:
    louder = factors[:, None] if len(factors) == len(scores) else factors.mean()
    return louder * (scores.softmax(dim=1) @ v)


TURNED_UP = Exercise(
    name="cross-attention.5",
    title="Turn a word up (open-ended)",
    make_cases=_factor_cases,
    reference=turned_up,
    mistakes=(
        Mistake(
            "You turn the matches up, before the softmax. A match of 0 does not silence a word, "
            "and a negative one gets the lower the more you turn.",
            lambda scores, v, factors: (scores * factors).softmax(dim=1) @ v,
        ),
        Mistake(
            "You let the weights sum to 1 again, so that the other words become softer when one "
            "is turned up.",
            _again_to_one,
        ),
        Mistake(
            "You turn weights and values up, so that each factor counts twice.",
            lambda scores, v, factors: turned_up(scores, v, factors**2),
        ),
        Mistake(
            "You turn pixels up, not words: whose weights stand in a column?",
            _pixels_up,
            SQUARE,
        ),
        Mistake(
            "Your softmax runs along the pixels, which then compete for a word's vote.",
            lambda scores, v, factors: (scores.softmax(dim=0) * factors) @ v,
        ),
    ),
)
