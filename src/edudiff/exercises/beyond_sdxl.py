"""The exercises of the chapter on what came after SDXL."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

# 1. Two paths, one road


def as_flow(xs: Tensor, s: Tensor, v: Tensor) -> Tensor:
    """The velocity ε̂ − x̂_0 on the line at s, (b,), from the v, (b, n), said at the circle's x."""
    return _flow(xs, s, v, length=_radius(s))


def _flow(xs: Tensor, s: Tensor, v: Tensor, *, length: Tensor) -> Tensor:
    """The same, if points are divided by such lengths, right ones or not."""
    right = _radius(s)
    signal, noise = (1 - s[:, None]) / right, s[:, None] / right
    xt = xs / length
    return (noise * xt + signal * v) - (signal * xt - noise * v)


def _radius(s: Tensor) -> Tensor:
    """How long the point on the line is, if data and noise are orthonormal: (b, 1)."""
    return ((1 - s[:, None]).square() + s[:, None].square()).sqrt()


def _line_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, low, high in (
        ("there is little noise", 0.05, 0.4),
        ("there is much noise", 0.6, 0.95),
    ):
        xs, v = torch.randn(2, 3, 4, generator=generator, dtype=torch.float64)
        s = low + (high - low) * torch.rand(3, generator=generator, dtype=torch.float64)
        cases.append(Case(about, {"xs": xs, "s": s, "v": v}))
    return cases


def _unscaled(xs: Tensor, s: Tensor, v: Tensor) -> Tensor:
    """Mixed back with 1 − s and s themselves, whose squares do not add up to 1."""
    xt, late = xs / _radius(s), s[:, None]
    return (late * xt + (1 - late) * v) - ((1 - late) * xt - late * v)


def _rooted(xs: Tensor, s: Tensor, v: Tensor) -> Tensor:
    xt, late = xs / _radius(s), s[:, None]
    signal, noise = (1 - late).sqrt(), late.sqrt()
    return (noise * xt + signal * v) - (signal * xt - noise * v)


AS_FLOW = Exercise(
    name="beyond-sdxl.1",
    title="Two paths, one road",
    make_cases=_line_cases,
    reference=as_flow,
    mistakes=(
        Mistake(
            "Your velocity leads from the noise to the data. Along the line, time s grows towards "
            "the noise.",
            lambda xs, s, v: -as_flow(xs, s, v),
        ),
        Mistake(
            "The ends of the path are exchanged: at s = 0 are the data, not the noise.",
            lambda xs, s, v: as_flow(xs, 1 - s, v),
        ),
        Mistake(
            "You mix with points of the line. The network answered for a point of the circle: "
            "divide first.",
            lambda xs, s, v: _flow(xs, s, v, length=torch.ones(())),
        ),
        Mistake(
            "You divide by the squared length. A root is missing.",
            lambda xs, s, v: _flow(xs, s, v, length=_radius(s).square()),
        ),
        Mistake(
            "On the circle, the squares of the two factors add up to 1. Those of 1 − s and s do "
            "not.",
            _unscaled,
        ),
        Mistake(
            "Your factors are √(1 − s) and √s, as if s were 1 − ᾱ. What is s/(1 − s) the ratio of?",
            _rooted,
        ),
        Mistake(
            "The sign of v is wrong in yours: v points towards the noise, too.",
            lambda xs, s, v: as_flow(xs, s, -v),
        ),
        Mistake(
            "You hand on v itself. It is the velocity on the circle, not on the line.",
            lambda xs, s, v: v,
        ),
    ),
)

# 2. What the shift does


def arrive(x: Tensor, answers: Tensor, shift: float) -> Tensor:
    """Where Euler's walk from noise, (b,), ends; the k-th of n answers, (n, b), is for its step."""
    return _walked(x, answers, _stops(len(answers), shift))


def _stops(n: int, shift: float) -> Tensor:
    """The n + 1 times from 1 to 0, shifted."""
    s = torch.arange(n, -1, -1, dtype=torch.float64) / n
    return shift * s / (1 + (shift - 1) * s)


def _walked(x: Tensor, answers: Tensor, stops: Tensor) -> Tensor:
    return x - ((stops[:-1] - stops[1:])[:, None] * answers).sum(dim=0)


def _walk_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, n, shift in (
        ("the shift is large", 4, 3 + 3 * float(torch.rand((), generator=generator))),
        ("the shift is small", 7, 1.3 + 0.5 * float(torch.rand((), generator=generator))),
        ("the shift is 1, so that all steps are equal", 5, 1.0),
    ):
        x = torch.randn(3, generator=generator, dtype=torch.float64)
        answers = torch.randn(n, 3, generator=generator, dtype=torch.float64)
        cases.append(Case(about, {"x": x, "answers": answers, "shift": shift}))
    return cases


def _by(stops: Callable[[int, float], Tensor]) -> Answer:
    """The same walk along other times."""
    return lambda x, answers, shift: _walked(x, answers, stops(len(answers), shift))


ARRIVE = Exercise(
    name="beyond-sdxl.2",
    title="What the shift does",
    make_cases=_walk_cases,
    reference=arrive,
    mistakes=(
        Mistake(
            "You walk away from the data. The velocity points to the noise, and time goes down.",
            lambda x, answers, shift: 2 * x - arrive(x, answers, shift),
        ),
        Mistake(
            "Your last step is not taken: a walk of n steps ends at 0, not at the last of the n "
            "times.",
            lambda x, answers, shift: _walked(x, answers[:-1], _stops(len(answers), shift)[:-1]),
        ),
        Mistake(
            "Your n times include 0 already, so that nothing is left for the last answer. Times "
            "are 1 down to 1/n before the shift.",
            lambda x, answers, shift: arrive(x, answers[:-1], shift),
        ),
        Mistake(
            "Each of your answers walks the step before its own. An answer was asked for at the "
            "time where its step begins.",
            lambda x, answers, shift: _walked(x, answers[1:], _stops(len(answers), shift)[:-1]),
        ),
        Mistake(
            "All your steps are equally long. The shift moves the stops between them.",
            lambda x, answers, shift: arrive(x, answers, 1.0),
        ),
        Mistake(
            "Your steps are short near the data, not near the noise. Is the shift upside down, or "
            "are the answers in another order?",
            lambda x, answers, shift: arrive(x, answers, 1 / shift),
        ),
        Mistake(
            "Your stops do not begin at 1. At s = 1 the shift must change nothing: look below the "
            "fraction bar.",
            _by(lambda n, shift: _even(n) * shift / (1 + shift * _even(n))),
        ),
    ),
)


def _even(n: int) -> Tensor:
    return _stops(n, 1.0)


# 3. A word changed


def bits(logits: Tensor, row: Tensor) -> Tensor:
    """The surprise of each token, (b, n), but the first, from logits, (b, n, k): (b, n − 1)."""
    return _surprise(logits[:, :-1], row[:, 1:])


def _surprise(logits: Tensor, tokens: Tensor, dim: int = 2) -> Tensor:
    nats = -logits.log_softmax(dim=dim).gather(2, tokens[..., None])[..., 0]
    return nats / torch.log(torch.tensor(2.0))


def _token_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, size, kinds in (
        ("guesses are vague", 0.3, 6),
        ("guesses are bold", 3.0, 9),
    ):
        logits = size * torch.randn(2, 5, kinds, generator=generator, dtype=torch.float64)
        row = torch.randint(kinds, (2, 5), generator=generator)
        cases.append(Case(about, {"logits": logits, "row": row}))
    return cases


BITS = Exercise(
    name="beyond-sdxl.3",
    title="A word changed",
    make_cases=_token_cases,
    reference=bits,
    mistakes=(
        Mistake(
            "You ask each place for the token that it has just read. Its guess is of the next one.",
            lambda logits, row: _surprise(logits, row)[:, 1:],
        ),
        Mistake(
            "You ask for the token before: rows and guesses are shifted the wrong way.",
            lambda logits, row: _surprise(logits[:, 1:], row[:, :-1]),
        ),
        Mistake(
            "These are nats, of the natural logarithm, and not bits.",
            lambda logits, row: bits(logits, row) * torch.log(torch.tensor(2.0)),
        ),
        Mistake(
            "The more likely a token, the larger your surprise: look at the sign.",
            lambda logits, row: -bits(logits, row),
        ),
        Mistake(
            "Your softmax runs along the row. At each place the probabilities of all tokens add up "
            "to 1.",
            lambda logits, row: _surprise(logits[:, :-1], row[:, 1:], dim=1),
        ),
        Mistake(
            "These are probabilities. A logarithm is missing.",
            lambda logits, row: 2 ** -bits(logits, row),
        ),
        Mistake(
            "You take logits for logarithms of probabilities. They still have to be divided by "
            "their sum.",
            lambda logits, row: (
                -logits[:, :-1].gather(2, row[:, 1:, None])[..., 0] / torch.log(torch.tensor(2.0))
            ),
        ),
    ),
)

EXERCISES = (AS_FLOW, ARRIVE, BITS)
