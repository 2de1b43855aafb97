"""How sure can a few repetitions make us?"""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from scipy.stats import t as student_t


class MeanInterval(NamedTuple):
    """A mean and the two ends of its confidence interval, in the units of the values."""

    mean: float
    low: float
    high: float


def mean_interval(values: Sequence[float], confidence: float = 0.95) -> MeanInterval:
    """Mean and Student's t interval of a handful of independent repetitions.

        x̄ ± t_{n−1} · s / √n

    Args:
        values: one number for each repetition (each seed), at least two.
        confidence: how often such an interval holds the true mean, in (0, 1).

    Raises:
        ValueError: for fewer than two values or a confidence outside (0, 1).

    Source:
        Student 1908. In SciPy: `scipy.stats.t.interval`.
    """
    if len(values) < 2:
        raise ValueError(f"values: expected at least two, got {len(values)}")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence: expected a number in (0, 1), got {confidence!r}")
    mean = statistics.fmean(values)
    quantile = float(student_t.ppf((1 + confidence) / 2, len(values) - 1))
    half = quantile * statistics.stdev(values) / math.sqrt(len(values))
    return MeanInterval(mean, mean - half, mean + half)
