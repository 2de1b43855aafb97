"""The exercises of the chapter on scaling out."""

import math

import torch
from torch import Generator, Tensor

from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

# 1. Unequal shares


def whole_mean(means: Tensor, counts: Tensor) -> Tensor:
    """The mean gradient, (d,), of all examples, from those of N parts, (N, d), of `counts` rows."""
    return _weighed(means, counts / counts.sum())


def _weighed(means: Tensor, weights: Tensor) -> Tensor:
    return (weights[:, None] * means).sum(dim=0)


def _part_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, number in (("there are two parts", 2), ("there are three parts", 3)):
        means = torch.randn(number, 4, generator=generator, dtype=torch.float64)
        counts = torch.randperm(12, generator=generator)[:number] + 1
        cases.append(Case(about, {"means": means, "counts": counts.double()}))
    means = torch.randn(3, 4, generator=generator, dtype=torch.float64)
    counts = torch.full((3,), 4.0, dtype=torch.float64)
    cases.append(Case("parts are equal", {"means": means, "counts": counts}))
    return cases


WHOLE_MEAN = Exercise(
    name="scaling-out.1",
    title="Unequal shares",
    make_cases=_part_cases,
    reference=whole_mean,
    mistakes=(
        Mistake(
            "That is the mean of the means. It is right for equal parts only.",
            lambda means, counts: means.mean(dim=0),
        ),
        Mistake(
            "You add the parts up and divide by nothing, as one who accumulates and forgets to.",
            lambda means, counts: means.sum(dim=0),
        ),
        Mistake(
            "That is the sum over all examples: divide by how many there are.",
            lambda means, counts: _weighed(means, counts),
        ),
        Mistake(
            "Your weights are the rows of each part. In all they come to more than 1: you divide "
            "by the number of parts, not of rows.",
            lambda means, counts: _weighed(means, counts / len(counts)),
        ),
        Mistake(
            "Small parts weigh more than large ones in yours.",
            lambda means, counts: _weighed(means, (1 / counts) / (1 / counts).sum()),
        ),
        Mistake(
            "Each of yours is multiplied by the number of parts, as a library's user must. Then "
            "one must still take the mean over the parts.",
            lambda means, counts: len(counts) * whole_mean(means, counts),
        ),
    ),
)

# 2. Checkpoints in a hundred layers


def most_held(layers: int, segment: int) -> int:
    """The most activations in memory, if a chain is cut into segments of this length."""
    return layers // segment + segment - 1


def _chain_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, low, high in (("segments are short", 2, 5), ("segments are long", 9, 20)):
        segment = int(torch.randint(low, high, (), generator=generator))
        number = int(torch.randint(6, 9, (), generator=generator))
        cases.append(Case(about, {"layers": segment * number, "segment": segment}))
    layers = int(torch.randint(10, 90, (), generator=generator))
    cases.append(Case("each layer is a segment", {"layers": layers, "segment": 1}))
    return cases


MOST_HELD = Exercise(
    name="scaling-out.2",
    title="Checkpoints in a hundred layers",
    make_cases=_chain_cases,
    reference=most_held,
    mistakes=(
        Mistake(
            "The input of the segment that is being computed counts twice in yours: it was kept "
            "already.",
            lambda layers, segment: layers // segment + segment,
        ),
        Mistake(
            "You count what is kept on the way forward. On the way back a segment's own come to "
            "it.",
            lambda layers, segment: layers // segment,
        ),
        Mistake(
            "You count one segment's own activations. The inputs of the others wait beside them.",
            lambda layers, segment: segment,
        ),
        Mistake(
            "You take the larger of the two. They are in memory together.",
            lambda layers, segment: max(layers // segment, segment),
        ),
        Mistake(
            "That is the best there is, with segments of √n. These have another length.",
            lambda layers, segment: 2 * math.sqrt(layers) - 1,
        ),
    ),
)

# 3. The same batch on eight GPUs


def bytes_sent(weights: int, number: int, parts: int) -> float:
    """What each of `number` processes sends for one step of as many `parts`, by the ring."""
    return _rounds(weights, number, 2)


def _rounds(weights: int, number: int, halves: int) -> float:
    """Bytes of so many halves of a ring."""
    return halves * (number - 1) / number * 4 * weights


def _ring_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, number, parts in (
        ("there are few processes", 4, 3),
        ("there are many processes", 48, 2),
        ("there is one part", 5, 1),
        ("there is one process", 1, 4),
    ):
        weights = int(torch.randint(100, 9000, (), generator=generator)) * number
        cases.append(Case(about, {"weights": weights, "number": number, "parts": parts}))
    return cases


BYTES_SENT = Exercise(
    name="scaling-out.3",
    title="The same batch on eight GPUs",
    make_cases=_ring_cases,
    reference=bytes_sent,
    mistakes=(
        Mistake(
            "You count half of the ring. When all sums are complete they must still go around.",
            lambda weights, number, parts: _rounds(weights, number, 1),
        ),
        Mistake(
            "You send after every part. Whoever accumulates talks once a step.",
            lambda weights, number, parts: parts * bytes_sent(weights, number, parts),
        ),
        Mistake(
            "That would be so if each step were cut smaller. A part has gradients of all weights.",
            lambda weights, number, parts: bytes_sent(weights, number, parts) / parts,
        ),
        Mistake(
            "That is the whole gradient twice. A piece that one adds to oneself travels nowhere.",
            lambda weights, number, parts: 2 * 4 * weights,
        ),
        Mistake(
            "Everyone sends all to all others in yours. In a ring one talks to one neighbour.",
            lambda weights, number, parts: (number - 1) * 4 * weights,
        ),
        Mistake(
            "That is what all processes send together.",
            lambda weights, number, parts: number * bytes_sent(weights, number, parts),
        ),
        Mistake(
            "These are numbers, not bytes.",
            lambda weights, number, parts: bytes_sent(weights, number, parts) / 4,
        ),
        Mistake(
            "You count three halves of a ring, as sharded weights need. Here everyone has them "
            "all.",
            lambda weights, number, parts: _rounds(weights, number, 3),
        ),
    ),
)

# 4. Weights in bfloat16


def stochastic(x: Tensor, gap: float, dice: Tensor) -> Tensor:
    """Numbers, (n,), on a grid of this gap: up as often as they are near, by uniform dice, (n,)."""
    return gap * _down(x, gap) + gap * (dice < _way(x, gap))


def _down(x: Tensor, gap: float) -> Tensor:
    return (x / gap).floor()


def _way(x: Tensor, gap: float) -> Tensor:
    """How far one is on the way up, in [0, 1)."""
    return x / gap - _down(x, gap)


def _grid_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, sign in (("numbers are positive", 1), ("numbers are negative", -1)):
        gap = 0.1 + 0.3 * float(torch.rand((), generator=generator))
        x, dice = torch.rand(2, 24, generator=generator, dtype=torch.float64)
        cases.append(Case(about, {"x": sign * 4 * x, "gap": gap, "dice": dice}))
    whole = torch.arange(-3, 4, dtype=torch.float64)
    dice = 0.9 * torch.rand(7, generator=generator, dtype=torch.float64) + 0.05
    cases.append(Case("they are on the grid", {"x": whole / 4, "gap": 0.25, "dice": dice}))
    return cases


def _to(choose: Answer) -> Answer:
    """On the grid, but up by another rule."""
    return lambda x, gap, dice: gap * _down(x, gap) + gap * choose(_way(x, gap), dice)


STOCHASTIC = Exercise(
    name="scaling-out.4",
    title="Weights in bfloat16",
    make_cases=_grid_cases,
    reference=stochastic,
    mistakes=(
        Mistake(
            "You round to the nearest, as bfloat16 does, and never look at the dice.",
            _to(lambda way, dice: way > 0.5),
        ),
        Mistake(
            "You go up the more rarely the nearer you are to the upper number.",
            _to(lambda way, dice: (way > 0) & (dice < 1 - way)),
            "numbers are positive",
        ),
        Mistake(
            "You go up in half of all cases, however near you are.",
            _to(lambda way, dice: (way > 0) & (dice < 0.5)),
            "numbers are positive",
        ),
        Mistake(
            "You cut off towards 0, so that negative numbers begin at the upper of the two.",
            lambda x, gap, dice: (
                gap * (x / gap).trunc() + gap * (dice < x / gap - (x / gap).trunc())
            ),
            "numbers are negative",
        ),
        Mistake(
            "Your way up is measured in the numbers' own unit. How far is it to the next one?",
            lambda x, gap, dice: gap * _down(x, gap) + gap * (dice < x - gap * _down(x, gap)),
        ),
        Mistake(
            "These are places on the grid, not numbers.",
            lambda x, gap, dice: stochastic(x, gap, dice) / gap,
        ),
    ),
)

EXERCISES = (WHOLE_MEAN, MOST_HELD, BYTES_SENT, STOCHASTIC)
