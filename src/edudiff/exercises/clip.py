"""The exercises of the chapter on CLIP."""

import math

import torch
from torch import Generator, Tensor
from torch.nn.functional import normalize

from edudiff.exercises.exercise import Case, Exercise, Mistake

# 1. The price of twins

UNEVEN = "some captions are rarer than others"


def lowest_loss(copies: Tensor) -> Tensor:
    """The lowest contrastive loss of a batch in which caption k occurs `copies[k]` times."""
    return (copies * copies.log()).sum() / copies.sum()


def _copy_cases(generator: Generator) -> list[Case]:
    def draw(low: int, high: int, k: int) -> Tensor:
        return torch.randint(low, high, (k,), generator=generator).double()

    return [
        Case(UNEVEN, {"copies": torch.cat([draw(1, 3, 3), draw(5, 9, 2)])}),
        Case(UNEVEN, {"copies": torch.cat([draw(12, 20, 1), draw(1, 5, 4)])}),
        Case("all captions are equally frequent", {"copies": draw(2, 7, 1).expand(6).clone()}),
        Case("no caption occurs twice", {"copies": torch.ones(7, dtype=torch.float64)}),
    ]


LOWEST_LOSS = Exercise(
    name="clip.1",
    title="The price of twins",
    make_cases=_copy_cases,
    reference=lowest_loss,
    mistakes=(
        Mistake(
            "That is the price of blind guessing among all pairs. The model can do better than "
            "that.",
            lambda copies: copies.sum().log(),
        ),
        Mistake(
            "That is the price of guessing among the different captions. Between those the model "
            "need not guess at all.",
            lambda copies: torch.tensor(float(len(copies))).log(),
        ),
        Mistake(
            "You average over the captions. The loss averages over pairs, of which a frequent "
            "caption has more.",
            lambda copies: copies.log().mean(),
            UNEVEN,
        ),
        Mistake(
            "You take the logarithm of an average. The loss is an average of logarithms.",
            lambda copies: ((copies * copies).sum() / copies.sum()).log(),
            UNEVEN,
        ),
        Mistake(
            "You pay for one direction only. Pictures cannot be told apart by their captions "
            "either.",
            lambda copies: lowest_loss(copies) / 2,
        ),
        Mistake(
            "You add both directions up. The loss is their mean.",
            lambda copies: 2 * lowest_loss(copies),
        ),
        Mistake(
            "You count in bits. The loss is in nats.",
            lambda copies: lowest_loss(copies) / math.log(2),
        ),
    ),
)

# 2. How much scale is enough?

FEW = "there are few captions"


def scale_for(n: int, p: float) -> float:
    """The scale at which the right one of n captions has probability p; cosines are 1 and 0."""
    return math.log(p * (n - 1) / (1 - p))


def _scale_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, low, high in ((FEW, 2, 6), (FEW, 6, 12), ("there are many captions", 1000, 40000)):
        n = int(torch.randint(low, high, (), generator=generator))
        p = 0.9 + 0.09 * float(torch.rand((), generator=generator))
        cases.append(Case(about, {"n": n, "p": p}))
    return cases


SCALE_FOR = Exercise(
    name="clip.2",
    title="How much scale is enough?",
    make_cases=_scale_cases,
    reference=scale_for,
    mistakes=(
        Mistake(
            "You count the right caption among the wrong ones.",
            lambda n, p: math.log(p * n / (1 - p)),
            FEW,
        ),
        Mistake(
            "You weigh the right caption against one wrong caption. There are more.",
            lambda n, p: math.log(p / (1 - p)),
        ),
        Mistake(
            "You have the ratio of right to wrong captions. The scale stands in an exponent.",
            lambda n, p: p * (n - 1) / (1 - p),
        ),
        Mistake(
            "Your logarithm is that of base 10; the softmax has the base e.",
            lambda n, p: math.log10(p * (n - 1) / (1 - p)),
        ),
        Mistake(
            "Your scale is negative, which makes the right caption the unlikeliest.",
            lambda n, p: -scale_for(n, p),
        ),
        Mistake(
            "You let the wrong captions have the cosine −1. They have 0.",
            lambda n, p: scale_for(n, p) / 2,
        ),
    ),
)

# 3. Words without order: not checked

# 4. The wording of the question

LENGTHS = "vectors have any length"


def ensemble(vectors: Tensor) -> Tensor:
    """One vector of length 1 for each class, (n, d), from those of k wordings, (k, n, d)."""
    return normalize(normalize(vectors, dim=2).mean(dim=0), dim=1)


def _wording_cases(generator: Generator) -> list[Case]:
    def draw() -> Tensor:
        return torch.randn(4, 4, 4, generator=generator, dtype=torch.float64)

    lengths = 0.2 + 3 * torch.rand(4, 4, 1, generator=generator, dtype=torch.float64)
    return [
        Case(LENGTHS, {"vectors": normalize(draw(), dim=2) * lengths}),
        Case("all vectors have length 1", {"vectors": normalize(draw(), dim=2)}),
        Case("there is one wording", {"vectors": draw()[:1]}),
    ]


ENSEMBLE = Exercise(
    name="clip.4",
    title="The wording of the question",
    make_cases=_wording_cases,
    reference=ensemble,
    mistakes=(
        Mistake(
            "You average over the classes, so that a red circle gets a share of the blue square. "
            "Which axis holds the wordings?",
            lambda vectors: normalize(normalize(vectors, dim=2).mean(dim=1), dim=1),
            LENGTHS,
        ),
        Mistake(
            "You mix the numbers within a vector: its own axis is averaged away.",
            lambda vectors: normalize(normalize(vectors, dim=2).mean(dim=2), dim=1),
            LENGTHS,
        ),
        Mistake(
            "Your wordings have unequal votes: a longer vector counts more.",
            lambda vectors: normalize(vectors.mean(dim=0), dim=1),
            LENGTHS,
        ),
        Mistake(
            "Your means are shorter than 1, the shorter the less the wordings agree. A cosine "
            "needs vectors of length 1.",
            lambda vectors: normalize(vectors, dim=2).mean(dim=0),
            LENGTHS,
        ),
        Mistake(
            "You bring the columns to length 1, not the vectors: the axis is that of the classes.",
            lambda vectors: normalize(normalize(vectors, dim=2).mean(dim=0), dim=0),
            LENGTHS,
        ),
        Mistake(
            "You take one wording and forget the others.",
            lambda vectors: normalize(vectors[0], dim=1),
        ),
    ),
)

# 5 and 6: not checked

EXERCISES = (LOWEST_LOSS, SCALE_FOR, ENSEMBLE)
