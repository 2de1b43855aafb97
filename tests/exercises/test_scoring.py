import torch
from torch.distributions import Normal

from edudiff.exercises.scoring import score_slopes


def test_the_score_is_the_slope_of_the_log_density(generator):
    z = torch.randn(5, generator=generator, dtype=torch.float64)
    mean = torch.tensor(0.4, dtype=torch.float64, requires_grad=True)
    for draw, found in zip(z, score_slopes(torch.ones(5), z, 0.4, 0.7, 0.0), strict=True):
        (slope,) = torch.autograd.grad(Normal(mean, 0.7).log_prob(draw), mean)
        torch.testing.assert_close(found, slope)


def test_a_baseline_narrows_the_estimates_and_leaves_their_mean(generator):
    z = 1 + 0.5 * torch.randn(100_000, generator=generator)
    f = (z - 3) ** 2
    plain, better = (score_slopes(f, z, 1.0, 0.5, b) for b in (0.0, f.mean().item()))
    assert abs(plain.mean() + 4) < 0.15 and abs(better.mean() + 4) < 0.15
    assert better.var() < plain.var() / 2
