import pytest
import torch
from diffusers.schedulers.scheduling_ddim import rescale_zero_terminal_snr

from edudiff.diffusion.prediction import training_target, x0_from_eps
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule
from edudiff.diffusion.zero_snr import zero_terminal_snr

NAMES = ["linear", "scaled_linear", "cosine"]


def roots(betas: torch.Tensor) -> torch.Tensor:
    return (1 - betas).cumprod(dim=0).sqrt()


@pytest.mark.parametrize("name", NAMES)
def test_the_last_beta_is_one(name):
    assert zero_terminal_snr(make_schedule(name).betas)[-1] == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_first_timestep_stays_as_noisy_as_it_was(name):
    before = make_schedule(name).betas
    torch.testing.assert_close(zero_terminal_snr(before)[0], before[0], atol=1e-14, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_algorithm1_of_lin_et_al_is_a_straight_line_in_the_root_of_alpha_bar(name):
    before, after = (
        roots(make_schedule(name).betas),
        roots(zero_terminal_snr(make_schedule(name).betas)),
    )
    expected = (before - before[-1]) / (before[0] - before[-1]) * before[0]
    torch.testing.assert_close(after, expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_rescaled_betas_are_those_of_diffusers(name):
    betas = make_schedule(name).betas
    theirs = rescale_zero_terminal_snr(betas.clone())
    torch.testing.assert_close(zero_terminal_snr(betas), theirs, atol=1e-13, rtol=0)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_may_end_in_pure_noise(name):
    schedule = NoiseSchedule(zero_terminal_snr(make_schedule(name).betas))
    assert schedule.alphas_cumprod[-1] == 0
    assert schedule.signal_to_noise_ratio()[-1] == 0


def test_rescaling_twice_is_rescaling_once():
    once = zero_terminal_snr(make_schedule("scaled_linear").betas)
    torch.testing.assert_close(zero_terminal_snr(once), once, atol=1e-12, rtol=0)


def test_the_betas_that_were_given_stay_as_they_are():
    betas = make_schedule("linear").betas
    before = betas.clone()
    zero_terminal_snr(betas)
    assert torch.equal(betas, before)


def test_in_pure_noise_v_is_minus_x0():
    schedule = NoiseSchedule(zero_terminal_snr(make_schedule("linear").betas))
    x0, eps = torch.randn(2, 3, 4).double()
    v = training_target(x0, eps, torch.full((3,), 999), schedule, "v_prediction")
    assert torch.equal(v, -x0)


def test_in_pure_noise_the_noise_says_nothing_of_x0(refusal):
    schedule = NoiseSchedule(zero_terminal_snr(make_schedule("linear").betas))
    with refusal("expected timesteps with ᾱ > 0.*'v_prediction' or 'sample'"):
        x0_from_eps(torch.ones(1, 2), torch.ones(1, 2), torch.tensor([999]), schedule)


@pytest.mark.parametrize("betas", [torch.tensor([0.1]), torch.full((2, 2), 0.1)])
def test_fewer_than_two_betas_are_refused(betas, refusal):
    with refusal("betas: expected at least two"):
        zero_terminal_snr(betas.double())


@pytest.mark.parametrize("beta", [-0.1, 1.2, float("nan")])
def test_betas_outside_zero_and_one_are_refused(beta, refusal):
    with refusal(r"betas: expected values in \[0, 1\]"):
        zero_terminal_snr(torch.tensor([0.1, beta], dtype=torch.float64))
