"""The exercises of the chapter on cross-attention."""

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake
from edudiff.exercises.hiding import MASKED, TURNED_UP

# 1. The wrong axis

MORE_PIXELS, LARGE = "there are more pixels than words", "some matches are large"


def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """What each query, (b, n, d), is told by the values, (b, m, c), of the keys, (b, m, d)."""
    return _told(q, k, v, q.shape[2] ** 0.5)


def _told(q: Tensor, k: Tensor, v: Tensor, divisor: float, axis: int = 2) -> Tensor:
    return (q @ k.mT / divisor).softmax(dim=axis) @ v


def _query_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, n, m, size in (
        (MORE_PIXELS, 5, 2, 1.0),
        ("there are as many pixels as words", 3, 3, 1.0),
        (LARGE, 5, 3, 60.0),
    ):
        q, k, v = (
            torch.randn(2, length, channels, generator=generator, dtype=torch.float64)
            for length, channels in ((n, 6), (m, 6), (m, 4))
        )
        cases.append(Case(about, {"q": size * q, "k": size * k, "v": v}))
    return cases


def _overflowing(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    powers = (q @ k.mT / q.shape[2] ** 0.5).exp()
    return powers / powers.sum(dim=2, keepdim=True) @ v


ATTEND = Exercise(
    name="cross-attention.1",
    title="The wrong axis",
    make_cases=_query_cases,
    reference=attend,
    mistakes=(
        Mistake(
            "In your softmax the pixels compete for each word's vote. Whose votes are to sum to 1?",
            lambda q, k, v: _told(q, k, v, q.shape[2] ** 0.5, axis=1),
        ),
        Mistake(
            "In your softmax the pictures of a batch compete with each other, so that an answer "
            "depends on who else is in the batch.",
            lambda q, k, v: _told(q, k, v, q.shape[2] ** 0.5, axis=0),
        ),
        Mistake(
            "Your matches are not divided by anything: the wider the queries, the more one word "
            "takes all.",
            lambda q, k, v: _told(q, k, v, 1.0),
        ),
        Mistake(
            "You divide by the width itself. By what would the spread of a sum of independent "
            "products have to be divided to become 1?",
            lambda q, k, v: _told(q, k, v, float(q.shape[2])),
        ),
        Mistake(
            "Your root is that of the number of pixels. With a batch in front, axis 1 is no longer "
            "that of the channels.",
            lambda q, k, v: _told(q, k, v, q.shape[1] ** 0.5),
            MORE_PIXELS,
        ),
        Mistake(
            "Your root is that of the number of words. Which sum made the spread grow?",
            lambda q, k, v: _told(q, k, v, k.shape[1] ** 0.5),
            MORE_PIXELS,
        ),
        Mistake(
            "The exponential of a large match is infinite for the computer. A softmax stays the "
            "same if all matches of a pixel are lowered alike.",
            _overflowing,
            LARGE,
        ),
    ),
)

# 2. What each head brings home


def by_head(brought: Tensor, weight: Tensor, heads: int) -> Tensor:
    """What `weight`, (c, h d), makes of each head's part of `brought`, (n, h d): (h, n, c)."""
    return _terms(brought.unflatten(1, (heads, -1)), weight.unflatten(1, (heads, -1)))


def _terms(parts: Tensor, blocks: Tensor) -> Tensor:
    """From (n, h, d) and (c, h, d) to (h, n, c)."""
    return torch.einsum("nhd,chd->hnc", parts, blocks)


def _head_cases(generator: Generator) -> list[Case]:
    cases = []
    for heads, width in ((2, 3), (3, 2), (2, 4)):
        full = heads * width
        brought = torch.randn(4, full, generator=generator, dtype=torch.float64)
        weight = torch.randn(full, full, generator=generator, dtype=torch.float64)
        given = {"brought": brought, "weight": weight, "heads": heads}
        cases.append(Case(f"{heads} heads have {width} channels each", given))
    return cases


def _woven(brought: Tensor, weight: Tensor, heads: int) -> Tensor:
    """Takes every h-th channel for a head."""
    return _terms(*(each.unflatten(1, (-1, heads)).mT for each in (brought, weight)))


def _cut_wrongly(brought: Tensor, weight: Tensor, heads: int) -> Tensor:
    """Reshapes where it should have transposed."""
    parts = brought.reshape(heads, len(brought), -1).transpose(0, 1)
    return _terms(parts, weight.unflatten(1, (heads, -1)))


def _blocks_of(change: Answer) -> Answer:
    """The right parts of what was brought, other blocks of the matrix."""
    return lambda brought, weight, heads: _terms(
        brought.unflatten(1, (heads, -1)), change(weight.unflatten(1, (heads, -1)))
    )


BY_HEAD = Exercise(
    name="cross-attention.2",
    title="What each head brings home",
    make_cases=_head_cases,
    reference=by_head,
    mistakes=(
        Mistake(
            "Your heads are woven into each other. The channels of one head are neighbours.",
            _woven,
        ),
        Mistake(
            "Your heads hold pieces of several pixels: a tensor was given another shape where its "
            "axes had to be exchanged.",
            _cut_wrongly,
        ),
        Mistake(
            "You read the matrix as (inputs, outputs). In a linear layer of PyTorch the outputs "
            "come first.",
            lambda brought, weight, heads: by_head(brought, weight.T, heads),
        ),
        Mistake(
            "All your heads go through the block of the first one.",
            _blocks_of(lambda blocks: blocks[:, :1].expand_as(blocks)),
        ),
        Mistake(
            "Your blocks go to the wrong heads: their order is turned round.",
            _blocks_of(lambda blocks: blocks.flip(1)),
        ),
        Mistake(
            "You average over the heads. The terms are to add up to what the layer makes.",
            lambda brought, weight, heads: by_head(brought, weight, heads) / heads,
        ),
    ),
)

# 3. When is the map drawn?: not checked

# 4. Is the padding needed?: MASKED

# 5. Turn a word up: TURNED_UP

EXERCISES = (ATTEND, BY_HEAD, MASKED, TURNED_UP)
