"""The exercises of the chapter on Matryoshka."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from edudiff.exercises.draws import draw_table
from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake

# 1. A table for every size


def shift(alphas_cumprod: Tensor, ratio: int, power: float) -> Tensor:
    """The table of ᾱ, (T,), for a resolution with so many times the lowest one's side."""
    return _shares(_odds(alphas_cumprod) / ratio**power)


def _odds(shares: Tensor) -> Tensor:
    return shares / (1 - shares)


def _shares(odds: Tensor) -> Tensor:
    return odds / (1 + odds)


def _table_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, ratio, power in (
        ("the power is 1", 4, 1.0),
        ("the power is 2", 2, 2.0),
        ("the power is a fraction", 3, 0.5 + 0.3 * float(torch.rand((), generator=generator))),
        ("the resolution is the lowest one", 1, 2.0),
    ):
        table = draw_table(generator, 6)
        cases.append(Case(about, {"alphas_cumprod": table, "ratio": ratio, "power": power}))
    return cases


SHIFT = Exercise(
    name="matryoshka.1",
    title="A table for every size",
    make_cases=_table_cases,
    reference=shift,
    mistakes=(
        Mistake(
            "Your larger pictures are less noisy. Of which do you see more at equal ᾱ?",
            lambda table, ratio, power: shift(table, ratio, -power),
        ),
        Mistake(
            "You divide ᾱ. The signal-to-noise ratio is to be divided, and ᾱ follows from it.",
            lambda table, ratio, power: table / ratio**power,
        ),
        Mistake(
            "That is the signal-to-noise ratio, which is more than 1 where there is little noise. "
            "Which share of the variance belongs to it?",
            lambda table, ratio, power: _odds(table) / ratio**power,
        ),
        Mistake(
            "You divide twice by the ratio at any power. The power says how often.",
            lambda table, ratio, power: shift(table, ratio, 2.0),
        ),
        Mistake(
            "Your ratio is multiplied with the power, not raised to it: even the lowest resolution "
            "is shifted.",
            lambda table, ratio, power: _shares(_odds(table) / (ratio * power)),
        ),
        Mistake(
            "You raise the whole signal-to-noise ratio to the power, where only the ratio of the "
            "sides is meant.",
            lambda table, ratio, power: _shares((_odds(table) / ratio) ** power),
        ),
        Mistake(
            "You divide amplitudes by the ratio of the sides. The signal-to-noise ratio is one of "
            "variances.",
            lambda table, ratio, power: shift(table, ratio, 2 * power),
        ),
        Mistake(
            "You multiply the noise's share and leave the rest for the signal: that can leave less "
            "than nothing.",
            lambda table, ratio, power: 1 - (1 - table) * ratio**power,
        ),
    ),
)

# 2. Two looks


def two_looks(z_high: Tensor, z_low: Tensor, high: float, low: float) -> Tensor:
    """The best guess of the small picture, (b, c, h, w), from a large look and a small one."""
    return _mixed(z_high, z_low, high, low, 4 * high / (1 - high), low / (1 - low))


def _mixed(
    z_high: Tensor, z_low: Tensor, high: float, low: float, first: float, second: float
) -> Tensor:
    """Both looks, as large as the clean picture, by these weights."""
    looks = F.avg_pool2d(z_high, 2) / high**0.5, z_low / low**0.5
    return (first * looks[0] + second * looks[1]) / (first + second)


def _weighted(weights: Callable[[float, float], tuple[float, float]]) -> Answer:
    """The right looks, with other weights."""
    return lambda z_high, z_low, high, low: _mixed(z_high, z_low, high, low, *weights(high, low))


def _undivided(z_high: Tensor, z_low: Tensor, high: float, low: float) -> Tensor:
    return two_looks(z_high * high**0.5, z_low * low**0.5, high, low)


def _look_cases(generator: Generator) -> list[Case]:
    cases = []
    for about in ("the large picture is noisier", "the small picture is noisier", "both are alike"):
        less, more = (torch.tensor([0.2, 0.6]) + 0.2 * torch.rand(2, generator=generator)).tolist()
        high, low = {"large": (less, more), "small": (more, less)}.get(
            about.split()[1], (less, less)
        )
        z_high = torch.randn(2, 3, 4, 6, generator=generator, dtype=torch.float64)
        z_low = torch.randn(2, 3, 2, 3, generator=generator, dtype=torch.float64)
        cases.append(Case(about, {"z_high": z_high, "z_low": z_low, "high": high, "low": low}))
    return cases


TWO_LOOKS = Exercise(
    name="matryoshka.2",
    title="Two looks",
    make_cases=_look_cases,
    reference=two_looks,
    mistakes=(
        Mistake(
            "Both looks count alike in yours, however noisy they are.",
            _weighted(lambda high, low: (1.0, 1.0)),
        ),
        Mistake(
            "You forget that averaging makes noise smaller: at equal ᾱ the large picture tells "
            "more.",
            _weighted(lambda high, low: (high / (1 - high), low / (1 - low))),
        ),
        Mistake(
            "The noisier look counts for more in yours: weights are one over the variances.",
            _weighted(lambda high, low: ((1 - high) / high / 4, (1 - low) / low)),
        ),
        Mistake(
            "By how much do four pixels' mean and one pixel differ in variance? You take the "
            "number of pixels along a side.",
            _weighted(lambda high, low: (2 * high / (1 - high), low / (1 - low))),
        ),
        Mistake(
            "You weigh by one over the standard deviations. Errors add up in squares.",
            _weighted(lambda high, low: (2 * (high / (1 - high)) ** 0.5, (low / (1 - low)) ** 0.5)),
        ),
        Mistake(
            "Your guess is too small: a noisy picture holds the clean one times √ᾱ.",
            _undivided,
        ),
        Mistake(
            "You divide by ᾱ and not by its root, which is the signal.",
            lambda z_high, z_low, high, low: two_looks(
                z_high / high**0.5, z_low / low**0.5, high, low
            ),
        ),
        Mistake(
            "That is the large look alone. The small one knows something else.",
            _weighted(lambda high, low: (1.0, 0.0)),
        ),
    ),
)

# 3. Fewer large ones


def mixed_loss(high: Tensor, low: Tensor) -> Tensor:
    """A loss for each picture, (b,), from the errors of the first k, (k,), and of all, (b,)."""
    return _both(high * len(low) / len(high), low)


def _both(high: Tensor, low: Tensor) -> Tensor:
    return low + F.pad(high, (0, len(low) - len(high)))


def _at_the_end(high: Tensor, low: Tensor) -> Tensor:
    return low + F.pad(high * len(low) / len(high), (len(low) - len(high), 0))


def _error_cases(generator: Generator) -> list[Case]:
    cases = []
    for about, few, most in (
        ("few are large", 2, 8),
        ("most are large", 5, 7),
        ("all are large", 4, 4),
    ):
        high, low = torch.rand(2, most, generator=generator, dtype=torch.float64)
        cases.append(Case(about, {"high": high[:few], "low": low}))
    return cases


MIXED_LOSS = Exercise(
    name="matryoshka.3",
    title="Fewer large ones",
    make_cases=_error_cases,
    reference=mixed_loss,
    mistakes=(
        Mistake(
            "Your large pictures count less the fewer they are: the mean is over all, but only "
            "some have an error to add.",
            _both,
        ),
        Mistake(
            "You multiply by the share of the large pictures, so that they count for even less.",
            lambda high, low: _both(high * len(high) / len(low), low),
        ),
        Mistake(
            "Your losses are those of the large pictures on the last of the batch. It is the first "
            "that exist at both.",
            _at_the_end,
        ),
        Mistake(
            "You divide by the number of large pictures, not by their share: the mean over the "
            "batch then divides a second time.",
            lambda high, low: _both(high / len(high), low),
        ),
        Mistake(
            "That is one number for the whole batch. A loss for each picture is asked for.",
            lambda high, low: high.mean() + low.mean(),
        ),
        Mistake(
            "You forget the small pictures' own errors.",
            lambda high, low: mixed_loss(high, low) - low,
        ),
        Mistake(
            "You halve the sum. Both resolutions count whole.",
            lambda high, low: mixed_loss(high, low) / 2,
        ),
        Mistake(
            "Your loss has only as many entries as there are large pictures; what of the others?",
            lambda high, low: high + low[: len(high)],
        ),
    ),
)

EXERCISES = (SHIFT, TWO_LOOKS, MIXED_LOSS)
