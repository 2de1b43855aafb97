"""The exercises of the chapter on generative adversarial networks."""

import math

import torch
from torch import Generator, Tensor

from edudiff.exercises.chasing import TURN
from edudiff.exercises.exercise import Case, Exercise, Mistake

# 1. Two extremes

POSSIBLE, IMPOSSIBLE = "everything can happen", "some probabilities are 0"


def jensen_shannon(p: Tensor, q: Tensor) -> Tensor:
    """The Jensen–Shannon divergence of two laws of k cases, (k,), in nats."""
    m = (p + q) / 2
    return (torch.xlogy(p, p / m).nansum() + torch.xlogy(q, q / m).nansum()) / 2


def _law_cases(generator: Generator) -> list[Case]:
    logits = torch.randn(7, 5, generator=generator, dtype=torch.float64)
    laws = logits.softmax(dim=1)
    holes = torch.tensor([[1, 1, 0, 0, 1], [0, 1, 1, 0, 1.0]])
    holed = laws[2:4] * holes
    holed = holed / holed.sum(dim=1, keepdim=True)
    return [
        Case(POSSIBLE, {"p": laws[0], "q": laws[1]}),
        Case(POSSIBLE, {"p": laws[5], "q": laws[6]}),
        Case(IMPOSSIBLE, {"p": holed[0], "q": holed[1]}),
        Case("both laws are the same", {"p": laws[4], "q": laws[4].clone()}),
    ]


def _kl(p: Tensor, q: Tensor) -> Tensor:
    return (p * (p / q).log()).sum()


JENSEN_SHANNON = Exercise(
    name="gan.1",
    title="Two extremes",
    make_cases=_law_cases,
    reference=jensen_shannon,
    mistakes=(
        Mistake(
            "You measure in bits. The chapter's logarithms are natural.",
            lambda p, q: jensen_shannon(p, q) / math.log(2),
        ),
        Mistake(
            "You return the root, which some libraries call the Jensen–Shannon distance. The "
            "divergence is its square.",
            lambda p, q: jensen_shannon(p, q).sqrt(),
        ),
        Mistake(
            "You add up two divergences. The Jensen–Shannon divergence is their mean.",
            lambda p, q: 2 * jensen_shannon(p, q),
        ),
        Mistake(
            "Your mixture adds up to 2, so it is no law. What stands half-way between p and q?",
            lambda p, q: jensen_shannon(p, q) - math.log(2),
        ),
        Mistake(
            "You compare p with q. Each is to be compared with the mixture of both.",
            _kl,
            POSSIBLE,
        ),
        Mistake(
            "You compare p with the mixture and forget q.",
            lambda p, q: _kl(p, (p + q) / 2),
            POSSIBLE,
        ),
        Mistake(
            "You have the value of the game. How does it depend on the divergence?",
            lambda p, q: 2 * jensen_shannon(p, q) - 2 * math.log(2),
        ),
        Mistake(
            "Where a probability is 0 you compute 0 log 0, which counts as 0 and is not a number "
            "for the computer.",
            lambda p, q: (_kl(p, (p + q) / 2) + _kl(q, (p + q) / 2)) / 2,
            IMPOSSIBLE,
        ),
    ),
)

# 2. Softer labels


def best_judge(p: Tensor, q: Tensor, s: float) -> Tensor:
    """The best D for densities p and q of real and forged data, (k,), if real ones get label s."""
    believed = s * p  # what a sure judge would earn from real data
    return believed / (p + q)


def _label_cases(generator: Generator) -> list[Case]:
    p, q = 0.1 + torch.rand(2, 6, generator=generator, dtype=torch.float64)
    return [
        Case("s = 0.9", {"p": p, "q": q, "s": 0.9}),
        Case("s = 0.7", {"p": q, "q": p, "s": 0.7}),
        Case("q = 0", {"p": p, "q": 0 * q, "s": 0.8}),
    ]


BEST_JUDGE = Exercise(
    name="gan.2",
    title="Softer labels",
    make_cases=_label_cases,
    reference=best_judge,
    mistakes=(
        Mistake(
            "Your judge does not depend on s: that is the answer to hard labels.",
            lambda p, q, s: p / (p + q),
        ),
        Mistake(
            "You forget the term that rewards a doubt about real data, (1 − s) log(1 − D).",
            lambda p, q, s: s * p / (s * p + q),
        ),
        Mistake(
            "You soften the labels of the forgeries too. Here only real data get s.",
            lambda p, q, s: (s * p + (1 - s) * q) / (p + q),
        ),
        Mistake(
            "You give the probability that the judge is *not* convinced.",
            lambda p, q, s: 1 - best_judge(p, q, s),
        ),
        Mistake(
            "You weigh the forgeries by s. Which of the two terms has it?",
            lambda p, q, s: p / (p + s * q),
            "s = 0.9",
        ),
    ),
)

# 3. Where the parameters sit

Widths = tuple[int, ...]


def last_share(widths: Widths) -> float:
    """The share of the last layer in the parameters of fully connected layers of these widths."""
    sizes = [(a + 1) * b for a, b in zip(widths, widths[1:], strict=False)]
    return sizes[-1] / sum(sizes)


def _width_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, layers in (("there are three layers", 3), ("there are two layers", 2)):
        widths = torch.randint(3, 12, (layers + 1,), generator=generator).tolist()
        widths[-2] += widths[-3]  # no two of the mistakes come to the same
        cases.append(Case(about, {"widths": tuple(widths)}))
    return cases


def _weights(widths: Widths) -> list[int]:
    return [a * b for a, b in zip(widths, widths[1:], strict=False)]


def _biased_at_the_wrong_end(widths: Widths) -> float:
    sizes = [a * (b + 1) for a, b in zip(widths, widths[1:], strict=False)]
    return sizes[-1] / sum(sizes)


LAST_SHARE = Exercise(
    name="gan.3",
    title="Where the parameters sit",
    make_cases=_width_cases,
    reference=last_share,
    mistakes=(
        Mistake(
            "You count weights only. Every number that comes out of a layer has a bias too.",
            lambda widths: _weights(widths)[-1] / sum(_weights(widths)),
        ),
        Mistake(
            "You count one bias for each number that goes *into* a layer.",
            _biased_at_the_wrong_end,
        ),
        Mistake(
            "You compare the last layer with the others. A share is a part of the whole.",
            lambda widths: last_share(widths) / (1 - last_share(widths)),
        ),
        Mistake(
            "You count the numbers between the layers. Parameters sit in the layers, between two "
            "widths.",
            lambda widths: widths[-1] / sum(widths),
        ),
        Mistake(
            "You have the share of all the other layers.",
            lambda widths: 1 - last_share(widths),
        ),
    ),
)

# 4. A smaller z: not checked

# 5. The smallest game that never ends: TURN

EXERCISES = (JENSEN_SHANNON, BEST_JUDGE, LAST_SHARE, TURN)
