import math
from functools import partial

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from edudiff.diffusion.forward import add_noise, posterior_mean_variance
from edudiff.diffusion.prediction import to_x0_and_eps, training_target
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule
from edudiff.diffusion.steps import ddim_step, ddpm_step

BY_HAND = NoiseSchedule(torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64))
LINEAR = make_schedule("linear")
TYPES = ["epsilon", "sample", "v_prediction"]
STEPS = [ddpm_step, ddim_step, partial(ddim_step, eta=0.5)]
STEP_NAMES = ["ddpm", "ddim", "ddim_half"]
T = torch.tensor([1, 40, 500, 999])
T_PREV = torch.tensor([0, 17, 400, -1])


def normal(seed: int, batch: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 2, 3, 3, generator=generator, dtype=torch.float64)


def at(t: int) -> torch.Tensor:
    return torch.tensor([t])


def theirs(scheduler_class: type, **options: object) -> DDPMScheduler | DDIMScheduler:
    """A scheduler of diffusers with our float64 table, so that only the maths is compared."""
    scheduler = scheduler_class(**options)
    scheduler.alphas_cumprod = LINEAR.alphas_cumprod
    return scheduler


# The exact algebra.


def test_algorithm2_of_ho_et_al_by_hand():
    xt, eps_hat, noise = (torch.tensor([[value]]).double() for value in (2.0, -3.0, 0.5))
    found = ddpm_step(eps_hat, xt, at(1), at(0), BY_HAND, noise)
    # Line 4 of the algorithm with α = 0.8, ᾱ = 0.72 and σ² = β̃ = 0.1 / 0.28 · 0.2.
    mean = (2 - 0.2 / math.sqrt(0.28) * -3) / math.sqrt(0.8)
    assert found.item() == pytest.approx(mean + math.sqrt(0.1 / 0.28 * 0.2) * 0.5, abs=1e-12)


def test_eq12_eq16_of_song_et_al_by_hand():
    xt, eps_hat, noise = (torch.tensor([[value]]).double() for value in (2.0, -3.0, 0.5))
    found = ddim_step(eps_hat, xt, at(2), at(0), BY_HAND, noise, eta=0.3)
    sigma = 0.3 * math.sqrt(0.1 / 0.64) * math.sqrt(1 - 0.36 / 0.9)
    x0_hat = (2 + 3 * math.sqrt(0.64)) / math.sqrt(0.36)
    expected = math.sqrt(0.9) * x0_hat - 3 * math.sqrt(0.1 - sigma**2) + 0.5 * sigma
    assert found.item() == pytest.approx(expected, abs=1e-12)


def test_ddpm_noise_is_scaled_by_the_root_of_the_posterior_variance():
    xt, answer, noise = normal(1), normal(2), normal(3)
    moved = ddpm_step(answer, xt, T, T_PREV, LINEAR, noise)
    still = ddpm_step(answer, xt, T, T_PREV, LINEAR, torch.zeros_like(noise))
    _, variance = posterior_mean_variance(xt, xt, T, LINEAR, T_PREV)
    torch.testing.assert_close(moved - still, variance.sqrt() * noise, atol=1e-10, rtol=0)


@pytest.mark.parametrize("eta", [0.2, 0.5, 0.9])
def test_ddim_noise_grows_in_proportion_to_eta(eta):
    xt, answer, noise = normal(1), normal(2), normal(3)
    moved = ddim_step(answer, xt, T, T_PREV, LINEAR, noise, eta=eta)
    still = ddim_step(answer, xt, T, T_PREV, LINEAR, torch.zeros_like(noise), eta=eta)
    _, variance = posterior_mean_variance(xt, xt, T, LINEAR, T_PREV)
    torch.testing.assert_close(moved - still, eta * variance.sqrt() * noise, atol=1e-10, rtol=0)


def test_ddim_without_eta_does_not_look_at_the_noise():
    xt, answer = normal(1), normal(2)
    one, other = (ddim_step(answer, xt, T, T_PREV, LINEAR, normal(seed)) for seed in (3, 4))
    assert torch.equal(one, other)


@pytest.mark.parametrize("prediction_type", TYPES)
def test_ddim_with_true_noise_lands_on_x_prev(prediction_type):
    x0, eps = normal(1), normal(2)
    xt = add_noise(x0, eps, T, LINEAR)
    answer = training_target(x0, eps, T, LINEAR, prediction_type)
    found = ddim_step(answer, xt, T, T_PREV, LINEAR, normal(3), prediction_type)
    expected = add_noise(x0, eps, T_PREV.clamp(min=0), LINEAR)
    expected[T_PREV == -1] = x0[T_PREV == -1]
    torch.testing.assert_close(found, expected, atol=1e-10, rtol=0)


@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("clip", [None, 0.4])
def test_ddim_with_eta_one_is_ddpm_at_any_stride(prediction_type, clip):
    xt, answer, noise = normal(1), normal(2), normal(3)
    arguments = (answer, xt, T, T_PREV, LINEAR, noise, prediction_type, clip)
    ancestral, implicit = ddpm_step(*arguments), ddim_step(*arguments, eta=1.0)
    torch.testing.assert_close(implicit, ancestral, atol=1e-10, rtol=0)


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("t", [0, 40])
def test_the_last_step_lands_on_the_estimate_of_x0(step, prediction_type, t):
    xt, answer, noise = normal(1, 1), normal(2, 1), normal(3, 1)
    found = step(answer, xt, at(t), at(-1), LINEAR, noise, prediction_type)
    x0_hat, _ = to_x0_and_eps(answer, xt, at(t), LINEAR, prediction_type)
    torch.testing.assert_close(found, x0_hat, atol=1e-11, rtol=0)


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
def test_a_step_keeps_the_law_of_x_prev_when_the_data_are_known(step):
    # With x_0 = 0 known, x_prev is a · x_t + b · noise and must have variance 1 − ᾱ_prev.
    t, t_prev = torch.arange(1, 1000), torch.arange(1, 1000) // 3
    zero = torch.zeros(999, 1, dtype=torch.float64)
    a = step(zero, zero + 1, t, t_prev, LINEAR, zero, "sample")
    b = step(zero, zero, t, t_prev, LINEAR, zero + 1, "sample")
    spread = a.square() * (1 - LINEAR.alpha_bar(t, zero)) + b.square()
    torch.testing.assert_close(spread, 1 - LINEAR.alpha_bar(t_prev, zero), atol=1e-12, rtol=0)


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
@pytest.mark.parametrize("prediction_type", TYPES)
def test_clipping_is_the_same_as_a_network_that_answers_within_bounds(step, prediction_type):
    xt, answer, noise = normal(1), normal(2), normal(3)
    clipped = step(answer, xt, T, T_PREV, LINEAR, noise, prediction_type, 0.4)
    x0_hat, _ = to_x0_and_eps(answer, xt, T, LINEAR, prediction_type)
    bounded = step(x0_hat.clamp(-0.4, 0.4), xt, T, T_PREV, LINEAR, noise, "sample")
    torch.testing.assert_close(clipped, bounded, atol=1e-11, rtol=0)


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
def test_clipping_what_lies_within_bounds_changes_nothing(step):
    xt, x0_hat, noise = normal(1), normal(2).tanh(), normal(3)
    clipped = step(x0_hat, xt, T, T_PREV, LINEAR, noise, "sample", 1.0)
    torch.testing.assert_close(
        clipped, step(x0_hat, xt, T, T_PREV, LINEAR, noise, "sample"), atol=1e-12, rtol=0
    )


# The same steps in diffusers.


@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize("t", [999, 500, 1, 0])
def test_ddpm_step_is_that_of_diffusers(prediction_type, clip, t):
    scheduler = theirs(
        DDPMScheduler,
        prediction_type=prediction_type,
        clip_sample=clip is not None,
        clip_sample_range=clip or 1.0,
    )
    xt, answer, noise = normal(1, 1), normal(2, 1), normal(3, 1)
    same_noise = torch.Generator().manual_seed(3)
    expected = scheduler.step(answer, t, xt, generator=same_noise).prev_sample
    found = ddpm_step(answer, xt, at(t), at(t - 1), LINEAR, noise, prediction_type, clip)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize(("t", "t_prev"), [(900, 800), (100, 0), (0, -1)])
def test_ddpm_step_over_a_stride_is_that_of_diffusers(prediction_type, clip, t, t_prev):
    scheduler = theirs(
        DDPMScheduler,
        prediction_type=prediction_type,
        clip_sample=clip is not None,
        clip_sample_range=clip or 1.0,
    )
    scheduler.set_timesteps(10)
    xt, answer, noise = normal(1, 1), normal(2, 1), normal(3, 1)
    same_noise = torch.Generator().manual_seed(3)
    expected = scheduler.step(answer, t, xt, generator=same_noise).prev_sample
    found = ddpm_step(answer, xt, at(t), at(t_prev), LINEAR, noise, prediction_type, clip)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize("eta", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("clip", [None, 0.7])
@pytest.mark.parametrize("num_inference_steps", [10, 1000])
@pytest.mark.parametrize("t", [900, 100, 0])
def test_ddim_step_is_that_of_diffusers(eta, prediction_type, clip, num_inference_steps, t):
    scheduler = theirs(
        DDIMScheduler,
        prediction_type=prediction_type,
        clip_sample=clip is not None,
        clip_sample_range=clip or 1.0,
    )
    scheduler.set_timesteps(num_inference_steps)
    xt, answer, noise = normal(1, 1), normal(2, 1), normal(3, 1)
    expected = scheduler.step(
        answer,
        t,
        xt,
        eta=eta,
        variance_noise=noise if eta else None,
        use_clipped_model_output=clip is not None,
    ).prev_sample
    t_prev = at(max(-1, t - 1000 // num_inference_steps))
    found = ddim_step(answer, xt, at(t), t_prev, LINEAR, noise, prediction_type, clip, eta)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-12)


@pytest.mark.parametrize("t", [999, 500, 1, 0])
def test_ddpm_step_is_that_of_diffusers_with_its_own_float32_table(t):
    xt, answer, noise = normal(1, 1), normal(2, 1), normal(3, 1)
    scheduler = DDPMScheduler(clip_sample_range=1.0)
    same_noise = torch.Generator().manual_seed(3)
    expected = scheduler.step(answer, t, xt, generator=same_noise).prev_sample
    found = ddpm_step(answer, xt, at(t), at(t - 1), LINEAR, noise, "epsilon", 1.0)
    # In their table 1 − ᾱ_0 is off by two parts in ten thousand, which shows at t = 1.
    torch.testing.assert_close(found, expected.double(), atol=2e-4, rtol=0)


# What every step has in common.


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_dtype_follows_the_data(step, dtype):
    xt, answer, noise = (normal(seed).to(dtype) for seed in (1, 2, 3))
    assert step(answer, xt, T, T_PREV, LINEAR, noise).dtype == dtype


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
def test_the_device_follows_the_data(step, device):
    xt, answer, noise = (normal(seed).float().to(device) for seed in (1, 2, 3))
    found = step(answer, xt, T.to(device), T_PREV.to(device), LINEAR, noise)
    expected = step(answer.cpu(), xt.cpu(), T, T_PREV, LINEAR, noise.cpu())
    torch.testing.assert_close(found.cpu(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
def test_a_member_of_the_batch_does_not_depend_on_the_others(step):
    xt, answer, noise = normal(1), normal(2), normal(3)
    together = step(answer, xt, T, T_PREV, LINEAR, noise)
    for row in range(4):
        a, x, t, t_prev, n = (each[row : row + 1] for each in (answer, xt, T, T_PREV, noise))
        assert torch.equal(step(a, x, t, t_prev, LINEAR, n), together[row : row + 1])


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
def test_a_step_draws_nothing(step):
    before = torch.get_rng_state()
    step(normal(1), normal(2), T, T_PREV, LINEAR, normal(3))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
@pytest.mark.parametrize("place", [0, 1, 5])
def test_shapes_that_would_broadcast_are_refused(step, place, refusal):
    arguments = [normal(1), normal(2), T, T_PREV, LINEAR, normal(3)]
    arguments[place] = arguments[place][:1]
    with refusal("expected the shape of xt"):
        step(*arguments)


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
@pytest.mark.parametrize("t", [-1, 1000])
def test_timesteps_outside_the_table_are_refused(step, t, refusal):
    with refusal(r"t: expected timesteps in \[0, 999\]"):
        step(normal(1, 1), normal(2, 1), at(t), at(-1), LINEAR, normal(3, 1))


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
def test_stops_beyond_the_clean_data_are_refused(step, refusal):
    with refusal(r"expected timesteps in \[-1, 999\]"):
        step(normal(1, 1), normal(2, 1), at(5), at(-2), LINEAR, normal(3, 1))


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
@pytest.mark.parametrize("t_prev", [5, 6])
def test_a_step_that_does_not_go_towards_the_data_is_refused(step, t_prev, refusal):
    with refusal("t_prev: expected timesteps below t"):
        step(normal(1, 1), normal(2, 1), at(5), at(t_prev), LINEAR, normal(3, 1))


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
def test_an_unknown_prediction_type_is_refused(step, refusal):
    with refusal("unknown prediction type.*Did you mean 'epsilon'"):
        step(normal(1), normal(2), T, T_PREV, LINEAR, normal(3), "epsilom")


@pytest.mark.parametrize("eta", [-0.1, 1.1, math.nan])
def test_ddim_refuses_an_eta_outside_zero_and_one(eta, refusal):
    with refusal(r"eta: expected a number in \[0, 1\]"):
        ddim_step(normal(1), normal(2), T, T_PREV, LINEAR, normal(3), eta=eta)


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("clip", [0.0, -1.0])
def test_a_clip_that_is_not_above_zero_is_refused(step, clip, refusal):
    with refusal("clip: expected a number above 0"):
        step(normal(1), normal(2), T, T_PREV, LINEAR, normal(3), clip=clip)
