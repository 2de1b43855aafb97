import pytest
import torch
from scipy.stats import kendalltau

from edudiff.exercises.ordering import MIXED, TAU, tau


def test_counting_pairs_is_what_scipy_does(generator):
    x, y = torch.randn(2, 9, generator=generator)
    assert tau(x, y).item() == pytest.approx(kendalltau(x, y).statistic)


@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_no_two_measures_of_order_give_the_same_number(seed):
    for case in TAU.cases(seed):
        if case.about == MIXED:
            right = tau(**case.given).item()
            others = [mistake.answer(**case.given).item() for mistake in TAU.mistakes]
            assert min(abs(right - other) for other in others) > 0.005
