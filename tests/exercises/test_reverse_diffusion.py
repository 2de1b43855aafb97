import torch
from scipy.stats import chisquare

from edudiff.diffusion.forward import posterior_mean_variance
from edudiff.diffusion.ideal import ideal_x0
from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.exercises import reverse_diffusion as chapter
from edudiff.exercises.draws import draw_betas


def test_the_weights_of_the_ends_average_to_the_ideal_denoiser(generator):
    schedule = NoiseSchedule(draw_betas(generator))
    t, xt = torch.tensor([0, 3, 20, 39]), torch.randn(4, generator=generator).double()
    weights = chapter.end_weights(xt, schedule.alphas_cumprod[t])
    expected = ideal_x0(xt[:, None], t, chapter.ENDS[:, None], schedule)
    torch.testing.assert_close(weights @ chapter.ENDS, expected[:, 0])


def test_the_weights_on_the_picture_are_divergences_of_posteriors(generator):
    schedule = NoiseSchedule(draw_betas(generator))
    t = torch.arange(1, 40)
    x0, x0_hat, xt = torch.randn(3, 39, 1, generator=generator, dtype=torch.float64)
    mean, variance = posterior_mean_variance(x0, xt, t, schedule)
    mean_hat, _ = posterior_mean_variance(x0_hat, xt, t, schedule)
    divergence = (mean - mean_hat).square() / (2 * variance)
    weights = chapter.picture_weights(schedule.alphas_cumprod)[:, None]
    torch.testing.assert_close(weights * (x0 - x0_hat).square(), divergence)


def test_chi_squared_is_scipys(generator):
    hits = torch.randint(20, 300, (8,), generator=generator)
    torch.testing.assert_close(
        chapter.chi_squared(hits).item(), chisquare(hits).statistic, rtol=1e-5, atol=0
    )
