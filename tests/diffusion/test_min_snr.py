import pytest
import torch
from diffusers import DDPMScheduler
from diffusers.training_utils import compute_snr
from torch.testing import assert_close

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.min_snr import min_snr_weight
from edudiff.diffusion.prediction import to_x0_and_eps, training_target
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule, scaled_linear_betas
from edudiff.diffusion.zero_snr import zero_terminal_snr

SCHEDULE = make_schedule("scaled_linear")
ALL = torch.arange(1000)


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_section_3_4_whatever_is_predicted_the_error_of_x0_counts_the_same(
    prediction_type, generator
):
    t = torch.tensor([5, 200, 600, 990])
    x0, eps, answer = (
        torch.randn(4, 50, generator=generator, dtype=torch.float64) for _ in range(3)
    )
    xt = add_noise(x0, eps, t, SCHEDULE)
    target = training_target(x0, eps, t, SCHEDULE, prediction_type)
    error = (answer - target).square().mean(1)
    x0_hat, _ = to_x0_and_eps(answer, xt, t, SCHEDULE, prediction_type)
    error_of_x0 = (x0_hat - x0).square().mean(1)
    counted = min_snr_weight(t, SCHEDULE, prediction_type) * error
    snr = SCHEDULE.signal_to_noise_ratio()[t]
    assert_close(counted, snr.clamp(max=5) * error_of_x0, rtol=1e-5, atol=0)


def test_the_weights_are_those_of_diffusers_scripts():
    snr = compute_snr(
        DDPMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012), ALL
    )
    clipped = snr.clamp(max=5.0)
    assert_close(min_snr_weight(ALL, SCHEDULE), clipped / snr, rtol=1e-3, atol=0)
    v = min_snr_weight(ALL, SCHEDULE, "v_prediction")
    assert_close(v, clipped / (snr + 1), rtol=1e-3, atol=0)


def test_noisy_timesteps_count_fully_for_epsilon_and_clean_ones_less():
    weight = min_snr_weight(ALL, SCHEDULE)
    assert weight[-1] == 1 and weight[0] < 0.01
    assert (weight.diff() >= 0).all()


def test_without_any_signal_the_weights_are_finite():
    schedule = NoiseSchedule(zero_terminal_snr(scaled_linear_betas()))
    last = torch.tensor([999])
    assert min_snr_weight(last, schedule) == 1
    assert min_snr_weight(last, schedule, "v_prediction") == 0


def test_a_larger_gamma_cuts_less():
    t = torch.tensor([0])
    assert min_snr_weight(t, SCHEDULE, gamma=20.0) == pytest.approx(
        4 * min_snr_weight(t, SCHEDULE, gamma=5.0).item()
    )


@pytest.mark.parametrize(
    "t, options, said",
    [
        (1000, {}, "t: expected timesteps in"),
        (0, {"gamma": 0.0}, "gamma: expected a number above 0"),
        (0, {"prediction_type": "noise"}, "unknown prediction type"),
    ],
)
def test_what_has_no_weight_is_refused(t, options, said, refusal):
    with refusal(said):
        min_snr_weight(torch.tensor([t]), SCHEDULE, **options)
