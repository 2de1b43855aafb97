import pytest
import torch

from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.steps import ddim_step
from edudiff.exercises import check
from edudiff.exercises.draws import draw_betas
from edudiff.exercises.renewing import renewed


@pytest.mark.parametrize("eta", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("t_prev", [12, -1])
def test_the_reference_is_the_packages_ddim_step(generator, eta, t_prev):
    schedule = NoiseSchedule(draw_betas(generator))
    xt, eps_hat, noise = torch.randn(3, 4, 2, generator=generator, dtype=torch.float64)
    here = schedule.alphas_cumprod[30]
    there = schedule.alphas_cumprod[t_prev] if t_prev >= 0 else torch.ones_like(here)
    x0_hat = (xt - (1 - here).sqrt() * eps_hat) / here.sqrt()
    t, prev = torch.full((4,), 30), torch.full((4,), t_prev)
    expected = ddim_step(eps_hat, xt, t, prev, schedule, noise, eta=eta)
    found = renewed(x0_hat, eps_hat, noise, here, there, eta)
    torch.testing.assert_close(found, expected)


def test_a_variance_is_told_whether_eta_was_squared_or_not():
    def late_root(x0_hat, eps_hat, noise, here, there, eta):
        sigma = eta * (1 - there) / (1 - here) * (1 - here / there)
        old = (1 - there - sigma**2).sqrt() * eps_hat
        return there.sqrt() * x0_hat + old + sigma * noise

    assert "Your σ is a variance" in check("samplers.3", late_root).message
