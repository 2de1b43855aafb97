import pytest
import torch

from edudiff.diffusion import multiscale, schedule
from edudiff.diffusion.multiscale_loss import joint_loss
from edudiff.exercises.matryoshka import mixed_loss, shift, two_looks


@pytest.mark.parametrize(("ratio", "power"), [(1, 1.0), (4, 1.0), (4, 2.0), (3, 0.5)])
def test_a_table_is_shifted_as_the_packages(ratio, power):
    table = schedule.make_schedule("cosine", 50)
    expected = multiscale.shifted(table, ratio, power).alphas_cumprod
    torch.testing.assert_close(shift(table.alphas_cumprod, ratio, power), expected)


@pytest.mark.parametrize(("high", "low"), [(0.3, 0.6), (0.7, 0.2)])
def test_two_looks_are_unbiased_and_no_other_weights_are_better(high, low, generator):
    clean = torch.randn(1, 1, 200, 200, generator=generator)
    large = clean.repeat_interleave(2, 2).repeat_interleave(2, 3)
    noises = multiscale.draw_noise(1, [(1, 400, 400), (1, 200, 200)], generator)
    seen = [
        alpha_bar**0.5 * x + (1 - alpha_bar) ** 0.5 * noise
        for alpha_bar, x, noise in zip((high, low), (large, clean), noises, strict=True)
    ]
    off = two_looks(*seen, high, low) - clean
    least = 1 / (4 * high / (1 - high) + low / (1 - low))
    assert abs(off.mean()) < 4 * (least / off.numel()) ** 0.5
    assert abs(off.var() / least - 1) < 0.05


def test_a_loss_of_a_mixed_batch_is_the_packages():
    """With v̂ = 0 and no signal the error of the noise is that of x_t, which is chosen."""
    table, t = schedule.make_schedule("cosine", 10), torch.tensor([3, 3, 3, 3])
    low, high = torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([5.0, 6.0])
    noise = (1 - table.alphas_cumprod[3]).sqrt().float()
    levels = [error.sqrt()[:, None, None, None] for error in (high, low)]
    expected = joint_loss(
        [torch.zeros_like(each) for each in levels],
        [each / noise for each in levels],
        [torch.zeros_like(each) for each in levels],
        t,
        [table, table],
        fractions=[0.5, 1.0],
    )
    torch.testing.assert_close(mixed_loss(high, low), expected)


def test_a_mixed_batch_has_on_average_the_loss_of_a_whole_one(generator):
    high, low = torch.rand(2, 6, generator=generator)
    chosen = [torch.randperm(6, generator=generator) for _ in range(4000)]
    found = [mixed_loss(high[order[:2]], low[order]).mean() for order in chosen]
    assert abs(torch.stack(found).mean() - (high + low).mean()) < 0.02
