import pytest
import torch

from edudiff.diffusion import spacing
from edudiff.diffusion.schedule import make_schedule
from edudiff.exercises.beginnings import set_back, share_left


@pytest.mark.parametrize(("strength", "first"), [(1.0, 999), (0.5, 499), (0.2, 199)])
def test_the_walk_begins_where_the_last_steps_do(strength, first):
    table, times = make_schedule().alphas_cumprod, spacing.spaced_timesteps(1000, 10, "trailing")
    assert share_left(table, times, strength) == table[first].sqrt()


def test_what_is_kept_is_as_noisy_as_what_is_painted(generator):
    x, x0, eps = torch.randn(3, 1, 2, 50, 50, generator=generator)
    mask = (torch.arange(50) < 25).float().expand(1, 1, 50, 50)
    found = set_back(x, x0, eps, mask, 0.3)
    assert torch.equal(found[..., :25], x[..., :25])
    kept = found[..., 25:]
    torch.testing.assert_close(kept, 0.3**0.5 * x0[..., 25:] + 0.7**0.5 * eps[..., 25:])
    assert abs(kept.std() - 1) < 0.05


def test_after_the_last_step_the_picture_is_back(generator):
    x, x0, eps = torch.randn(3, 1, 2, 3, 3, generator=generator)
    assert torch.equal(set_back(x, x0, eps, torch.zeros(1, 1, 3, 3), 1.0), x0)
