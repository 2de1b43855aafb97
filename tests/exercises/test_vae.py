import math

import torch
from torch.distributions import Normal

from edudiff.exercises import check
from edudiff.exercises.vae import negative_bound, tight_bound


def test_the_bound_is_made_of_log_densities(generator):
    x, x_hat = torch.randn(2, 3, 5, generator=generator)
    rate = torch.rand(3, generator=generator)
    expected = rate - Normal(x_hat, 0.3**0.5).log_prob(x).sum(dim=1)
    torch.testing.assert_close(negative_bound(x, x_hat, rate, 0.3), expected)


def test_no_other_noise_is_likelier_than_the_error_that_is_left(generator):
    x, x_hat = torch.randn(2, 1, 9, generator=generator, dtype=torch.float64)
    best = (x - x_hat).square().mean().item()
    bounds = [negative_bound(x, x_hat, torch.zeros(1), best * k).item() for k in (0.9, 1, 1.1)]
    assert min(bounds) == bounds[1]


def test_with_the_posterior_for_proposal_every_draw_gives_the_evidence(generator):
    """z ~ N(0, 1), x ~ N(2z, 1): x has variance 5, z given x the mean 2x/5 and variance 1/5."""
    z = 0.6 + 0.2**0.5 * torch.randn(4, 3, generator=generator)
    log_joint = Normal(2 * z, 1).log_prob(torch.tensor(1.5)) + Normal(0, 1).log_prob(z)
    found = tight_bound(log_joint, Normal(0.6, 0.2**0.5).log_prob(z))
    evidence = Normal(0, math.sqrt(5)).log_prob(torch.tensor(1.5))
    torch.testing.assert_close(found, evidence.expand(4))


def test_ratios_that_vanish_are_told_whatever_the_zeros_become():
    def nan_for_zero(log_joint, log_q):
        return (log_joint.exp() / log_q.exp()).mean(dim=1).log() - 0 / log_joint.exp().sum(dim=1)

    assert "your ratios vanish" in check("vae.3", nan_for_zero).message
