import math

import pytest
import torch

from edudiff.evaluation.diversity import vendi_score
from edudiff.evaluation.frechet import Gaussian, gaussian_distance
from edudiff.exercises.evaluation import different, frechet_line, votes_needed


def test_on_a_line_the_formula_is_the_general_one():
    bells = [
        Gaussian(torch.tensor([mean]).double(), torch.tensor([[std**2]]).double())
        for mean, std in ((1.0, 0.5), (-2.0, 3.0))
    ]
    assert frechet_line(1.0, 0.5, -2.0, 3.0) == pytest.approx(gaussian_distance(*bells).item())


def test_with_so_many_votes_the_interval_just_touches_zero():
    p, q = 0.4844, 0.3693
    half = 1.96 * math.sqrt((p + q - (p - q) ** 2) / votes_needed(p, q))
    assert half == pytest.approx(p - q)


def test_different_pictures_are_counted_as_the_vendi_score_counts_them():
    rows = torch.eye(3)[[0, 0, 0, 0, 1, 2]]
    shares = torch.tensor([4, 1, 1]) / 6
    assert different(shares).item() == pytest.approx(vendi_score(rows), rel=1e-5)


def test_one_good_sample_in_a_hundred_costs_at_most_log_100_nats_in_any_dimension(generator):
    for d in (1, 2, 300):
        x = torch.randn(20, d, generator=generator, dtype=torch.float64)
        good = torch.distributions.Normal(0.0, 1.0).log_prob(x).sum(dim=1)
        noise = torch.distributions.Normal(0.0, 9.0).log_prob(x).sum(dim=1)
        mixture = torch.logaddexp(math.log(0.01) + good, math.log(0.99) + noise)
        assert (good - mixture).max() <= math.log(100) + 1e-9
    assert (good - mixture).max() == pytest.approx(math.log(100))
