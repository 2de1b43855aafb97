import torch

from edudiff.diffusion.ideal import ideal_x0
from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.exercises.soft_memory import soft_x0


def test_a_memory_without_blur_is_the_packages_ideal_denoiser(generator):
    xt, data = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    schedule = NoiseSchedule(torch.tensor([0.4], dtype=torch.float64))
    t = torch.zeros(5, dtype=torch.int64)
    found = soft_x0(xt, schedule.alphas_cumprod[0], data, 0.0)
    torch.testing.assert_close(found, ideal_x0(xt, t, data, schedule))


def test_the_guess_is_the_mean_over_a_fine_grid():
    alpha_bar_t, h, xt = torch.tensor(0.5, dtype=torch.float64), 0.4, 0.7
    data = torch.tensor([[-1.0], [0.5], [2.0]], dtype=torch.float64)
    grid = torch.linspace(-8, 8, 4001, dtype=torch.float64)
    prior = (-(grid - data).square() / (2 * h**2)).exp().sum(dim=0)
    likelihood = (-(xt - alpha_bar_t.sqrt() * grid).square() / (2 * (1 - alpha_bar_t))).exp()
    expected = (grid * prior * likelihood).sum() / (prior * likelihood).sum()
    found = soft_x0(torch.tensor([[xt]], dtype=torch.float64), alpha_bar_t, data, h)
    torch.testing.assert_close(found.item(), expected.item(), rtol=1e-6, atol=0)
