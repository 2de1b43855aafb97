"""Exercise 2 of the chapter on evaluation: do two measures put models in the same order?"""

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Case, Exercise, Mistake

MIXED = "the orders agree in part"


def tau(x: Tensor, y: Tensor) -> Tensor:
    """Kendall's τ of two lists without ties."""
    n = len(x)
    signs = (x[:, None] - x).sign() * (y[:, None] - y).sign()
    return signs.sum() / (n * (n - 1))


def _pearson(x: Tensor, y: Tensor) -> Tensor:
    return torch.corrcoef(torch.stack([x, y]))[0, 1]


def _ranks(x: Tensor) -> Tensor:
    return x.argsort().argsort().to(x.dtype)


def _tau_cases(generator: Generator) -> list[Case]:
    def mixed(n: int) -> Case:
        """Lists whose orders agree in part, and not as much by one measure as by another."""
        while True:
            x, y = torch.rand(2, n, generator=generator, dtype=torch.float64)
            y = (2 * x + 4 * y).exp()
            found = tau(x, y)
            if 0.1 < found < 0.8 and (_pearson(_ranks(x), _ranks(y)) - found).abs() > 0.03:
                return Case(MIXED, {"x": x, "y": y})

    z = torch.rand(5, generator=generator, dtype=torch.float64)
    return [mixed(7), mixed(6), Case("one order is the reverse of the other", {"x": z, "y": -z})]


TAU = Exercise(
    name="evaluation.2",
    title="The same order?",
    make_cases=_tau_cases,
    reference=tau,
    mistakes=(
        Mistake(
            "You give the share of pairs in the same order. Pairs in the opposite order count "
            "against it.",
            lambda x, y: (tau(x, y) + 1) / 2,
        ),
        Mistake(
            "You divide by n² ordered pairs, but nobody makes a pair with itself.",
            lambda x, y: tau(x, y) * (len(x) - 1) / len(x),
        ),
        Mistake(
            "You count each pair twice, and divide by the number of pairs once.",
            lambda x, y: 2 * tau(x, y),
        ),
        Mistake(
            "That is the correlation of the values: it asks for a straight line. Only the order "
            "counts here.",
            _pearson,
            MIXED,
        ),
        Mistake(
            "That is the correlation of the ranks, Spearman's. It also asks how far an order is "
            "off; count pairs.",
            lambda x, y: _pearson(_ranks(x), _ranks(y)),
            MIXED,
        ),
        Mistake(
            "You have the sign turned round: the same order is +1.",
            lambda x, y: -tau(x, y),
        ),
    ),
)
