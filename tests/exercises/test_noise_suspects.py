import pytest
import torch

from edudiff.diffusion import forward
from edudiff.diffusion.schedule import make_schedule
from edudiff.exercises.noise_suspects import IS_RIGHT, NOISED, is_noised


@pytest.mark.parametrize("seed", range(50))
def test_the_reference_accepts_right_noise_and_no_other(seed):
    for case in NOISED.cases(seed):
        assert is_noised(**case.given) is case.about.startswith(IS_RIGHT), case.about


def test_the_packages_forward_process_is_accepted(generator):
    schedule, t = make_schedule(), torch.full((4000,), 300)
    x0 = torch.rand(4000, 1, generator=generator)
    xt = forward.add_noise(x0, torch.randn(4000, 1, generator=generator), t, schedule)
    assert is_noised(x0[:, 0], schedule.alphas_cumprod[300], xt[:, 0])
