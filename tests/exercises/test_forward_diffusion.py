import torch

from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.zero_snr import zero_terminal_snr
from edudiff.exercises import forward_diffusion as chapter
from edudiff.exercises.draws import draw_betas


def test_sigma_shrinks_to_the_jump_and_squared_is_one_over_the_snr(generator):
    schedule = NoiseSchedule(draw_betas(generator))
    sigma = chapter.sigma(schedule.alphas_cumprod)
    torch.testing.assert_close(sigma**2, 1 / schedule.signal_to_noise_ratio())
    shrunk = sigma / (1 + sigma**2).sqrt()
    torch.testing.assert_close(shrunk, (1 - schedule.alphas_cumprod).sqrt())


def test_the_correlation_is_that_of_20000_walks(generator):
    betas = draw_betas(generator, 10)
    x, seen = torch.zeros(20000, dtype=torch.float64), []
    for beta in betas:
        x = (1 - beta).sqrt() * x + beta.sqrt() * torch.randn(20000, generator=generator)
        seen.append(x)
    found = torch.stack([seen[3], seen[9]]).corrcoef()[0, 1]
    expected = chapter.correlation((1 - betas).cumprod(0), 3, 9)
    assert abs(found - expected) < 0.03  # four standard errors


def test_the_table_that_ends_in_noise_is_the_packages(generator):
    betas = draw_betas(generator)
    expected = (1 - zero_terminal_snr(betas)).cumprod(0)
    torch.testing.assert_close(chapter.end_in_noise((1 - betas).cumprod(0)), expected)


def test_averaging_a_pixels_copies_undoes_the_shift(generator):
    table = (1 - draw_betas(generator)).cumprod(0)
    shifted = chapter.shift(table, 3)
    torch.testing.assert_close(9 * shifted / (1 - shifted), table / (1 - table))
