import math
import random
import statistics

import pytest
from scipy.stats import t as student_t

from edudiff.evaluation.intervals import MeanInterval, mean_interval

VALUES = [0.61, 0.58, 0.74, 0.66, 0.49]


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("values", [VALUES, VALUES[:2], [3.0, 5.0, 8.0]])
def test_student_1908_interval_is_that_of_scipy(values, confidence):
    scale = statistics.stdev(values) / math.sqrt(len(values))
    expected = student_t.interval(
        confidence, df=len(values) - 1, loc=statistics.fmean(values), scale=scale
    )
    found = mean_interval(values, confidence)
    assert (found.low, found.high) == pytest.approx(expected, rel=1e-12)


def test_the_mean_of_two_values_by_hand():
    # With one degree of freedom, t follows Cauchy's law: its quantile at 0.75 is 1.
    assert mean_interval([1.0, 3.0], confidence=0.5) == pytest.approx((2, 1, 3))


def test_the_interval_has_names():
    found = mean_interval(VALUES)
    assert isinstance(found, MeanInterval)
    assert found.low < found.mean < found.high


def test_the_mean_lies_in_the_middle():
    found = mean_interval(VALUES)
    assert found.mean == pytest.approx((found.low + found.high) / 2)


def test_equal_values_leave_no_doubt():
    assert mean_interval([0.5, 0.5, 0.5]) == (0.5, 0.5, 0.5)


def test_confidence_is_95_percent_unless_told_otherwise():
    assert mean_interval(VALUES) == mean_interval(VALUES, 0.95)


def test_more_confidence_needs_a_wider_interval():
    assert mean_interval(VALUES, 0.99).high > mean_interval(VALUES, 0.9).high


@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_holds_the_true_mean_as_often_as_it_says(confidence):
    chance = random.Random(3)
    hits = 0
    for _ in range(1500):
        found = mean_interval([chance.gauss(2.0, 0.7) for _ in range(4)], confidence)
        hits += found.low <= 2.0 <= found.high
    # Four standard errors of a share from 1,500 repetitions.
    error = 4 * math.sqrt(confidence * (1 - confidence) / 1500)
    assert hits / 1500 == pytest.approx(confidence, abs=error)


@pytest.mark.parametrize("values", [[], [1.0]])
def test_fewer_than_two_values_are_refused(values, refusal):
    with refusal(f"values: expected at least two, got {len(values)}"):
        mean_interval(values)


@pytest.mark.parametrize("confidence", [0.0, 1.0, -0.1, 95.0, math.nan])
def test_a_confidence_outside_zero_and_one_is_refused(confidence, refusal):
    with refusal(r"confidence: expected a number in \(0, 1\)"):
        mean_interval(VALUES, confidence)
