import math

import pytest
import torch
from diffusers import DDPMScheduler

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.prediction import (
    eps_from_velocity,
    eps_from_x0,
    to_x0_and_eps,
    training_target,
    velocity,
    x0_from_eps,
    x0_from_velocity,
)
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule

BY_HAND = NoiseSchedule(torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64))
LINEAR = make_schedule("linear")
T = torch.tensor([0, 1, 500, 999])
TYPES = ["epsilon", "sample", "v_prediction"]
CONVERSIONS = [x0_from_eps, eps_from_x0, velocity, x0_from_velocity, eps_from_velocity]


def one(value: float) -> torch.Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


def x0_and_eps(batch: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(11)
    x0, eps = torch.randn(2, batch, 2, 3, 3, generator=generator, dtype=torch.float64)
    return x0, eps


def test_eq15_x0_from_eps():
    found = x0_from_eps(one(-3.0), one(2.0), torch.tensor([1]), BY_HAND)
    assert found.item() == pytest.approx((2 + 3 * math.sqrt(0.28)) / math.sqrt(0.72), abs=1e-12)


def test_eq15_solved_for_eps():
    found = eps_from_x0(one(-3.0), one(2.0), torch.tensor([1]), BY_HAND)
    assert found.item() == pytest.approx((2 + 3 * math.sqrt(0.72)) / math.sqrt(0.28), abs=1e-12)


def test_salimans_section_4_velocity_by_its_definition():
    found = velocity(one(2.0), one(-3.0), torch.tensor([1]), BY_HAND)
    assert found.item() == pytest.approx(-3 * math.sqrt(0.72) - 2 * math.sqrt(0.28), abs=1e-12)


def test_x0_from_velocity_turns_back_by_the_angle():
    found = x0_from_velocity(one(-3.0), one(2.0), torch.tensor([1]), BY_HAND)
    assert found.item() == pytest.approx(2 * math.sqrt(0.72) + 3 * math.sqrt(0.28), abs=1e-12)


def test_eps_from_velocity_turns_back_by_the_angle():
    found = eps_from_velocity(one(-3.0), one(2.0), torch.tensor([1]), BY_HAND)
    assert found.item() == pytest.approx(2 * math.sqrt(0.28) - 3 * math.sqrt(0.72), abs=1e-12)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine"])
def test_xt_and_v_are_x0_and_eps_turned_by_an_angle(name):
    schedule, (x0, eps) = make_schedule(name), x0_and_eps()
    xt, v = add_noise(x0, eps, T, schedule), velocity(x0, eps, T, schedule)
    length = x0.square() + eps.square()
    torch.testing.assert_close(xt.square() + v.square(), length, atol=1e-12, rtol=0)


def test_x0_comes_back_from_eps():
    x0, eps = x0_and_eps()
    xt = add_noise(x0, eps, T, LINEAR)
    torch.testing.assert_close(x0_from_eps(eps, xt, T, LINEAR), x0, atol=1e-11, rtol=0)


def test_eps_comes_back_from_x0():
    x0, eps = x0_and_eps()
    xt = add_noise(x0, eps, T, LINEAR)
    torch.testing.assert_close(eps_from_x0(x0, xt, T, LINEAR), eps, atol=1e-11, rtol=0)


def test_x0_comes_back_from_velocity():
    x0, eps = x0_and_eps()
    xt, v = add_noise(x0, eps, T, LINEAR), velocity(x0, eps, T, LINEAR)
    torch.testing.assert_close(x0_from_velocity(v, xt, T, LINEAR), x0, atol=1e-12, rtol=0)


def test_eps_comes_back_from_velocity():
    x0, eps = x0_and_eps()
    xt, v = add_noise(x0, eps, T, LINEAR), velocity(x0, eps, T, LINEAR)
    torch.testing.assert_close(eps_from_velocity(v, xt, T, LINEAR), eps, atol=1e-12, rtol=0)


def test_velocity_is_that_of_diffusers():
    theirs = DDPMScheduler()
    theirs.alphas_cumprod = LINEAR.alphas_cumprod
    x0, eps = x0_and_eps()
    expected = theirs.get_velocity(x0, eps, T)
    torch.testing.assert_close(velocity(x0, eps, T, LINEAR), expected, atol=1e-12, rtol=0)


@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("t", [0, 1, 500, 999])
def test_the_estimate_of_x0_is_that_of_diffusers(prediction_type, t):
    theirs = DDPMScheduler(prediction_type=prediction_type, clip_sample=False)
    theirs.alphas_cumprod = LINEAR.alphas_cumprod
    model_output, xt = x0_and_eps(batch=1)
    expected = theirs.step(model_output, t, xt).pred_original_sample
    found, _ = to_x0_and_eps(model_output, xt, torch.tensor([t]), LINEAR, prediction_type)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-12)


def test_the_target_of_an_epsilon_network_is_the_noise():
    x0, eps = x0_and_eps()
    assert torch.equal(training_target(x0, eps, T, LINEAR), eps)


def test_the_target_of_a_sample_network_is_the_clean_data():
    x0, eps = x0_and_eps()
    assert torch.equal(training_target(x0, eps, T, LINEAR, "sample"), x0)


def test_the_target_of_a_v_prediction_network_is_the_velocity():
    x0, eps = x0_and_eps()
    expected = velocity(x0, eps, T, LINEAR)
    assert torch.equal(training_target(x0, eps, T, LINEAR, "v_prediction"), expected)


@pytest.mark.parametrize("prediction_type", TYPES)
def test_a_perfect_answer_is_read_as_the_true_x0_and_eps(prediction_type):
    x0, eps = x0_and_eps()
    xt = add_noise(x0, eps, T, LINEAR)
    answer = training_target(x0, eps, T, LINEAR, prediction_type)
    x0_hat, eps_hat = to_x0_and_eps(answer, xt, T, LINEAR, prediction_type)
    torch.testing.assert_close(x0_hat, x0, atol=1e-11, rtol=0)
    torch.testing.assert_close(eps_hat, eps, atol=1e-11, rtol=0)


@pytest.mark.parametrize("prediction_type", TYPES)
def test_the_two_estimates_lie_on_the_line_through_xt(prediction_type):
    answer, xt = x0_and_eps()
    x0_hat, eps_hat = to_x0_and_eps(answer, xt, T, LINEAR, prediction_type)
    torch.testing.assert_close(add_noise(x0_hat, eps_hat, T, LINEAR), xt, atol=1e-11, rtol=0)


@pytest.mark.parametrize("function", CONVERSIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_dtype_follows_the_data(function, dtype):
    a, b = (tensor.to(dtype) for tensor in x0_and_eps())
    assert function(a, b, T, LINEAR).dtype == dtype


@pytest.mark.parametrize("function", CONVERSIONS)
def test_a_member_of_the_batch_does_not_depend_on_the_others(function):
    a, b = x0_and_eps()
    together = function(a, b, T, LINEAR)
    for row in range(4):
        alone = function(a[row : row + 1], b[row : row + 1], T[row : row + 1], LINEAR)
        assert torch.equal(alone, together[row : row + 1])


@pytest.mark.parametrize("function", CONVERSIONS)
def test_shapes_that_would_broadcast_are_refused(function, refusal):
    a, b = x0_and_eps()
    with refusal("expected the shape of"):
        function(a[:1], b, T, LINEAR)


@pytest.mark.parametrize("function", CONVERSIONS)
@pytest.mark.parametrize("outside", [-1, 1000])
def test_timesteps_outside_the_table_are_refused(function, outside, refusal):
    a, b = x0_and_eps(1)
    with refusal(r"t: expected timesteps in \[0, 999\]"):
        function(a, b, torch.tensor([outside]), LINEAR)


@pytest.mark.parametrize("function", CONVERSIONS)
def test_whole_numbers_are_refused_because_the_answer_would_be_cut_off(function, refusal):
    a, b = x0_and_eps()
    with refusal("expected a floating-point tensor, got torch.int64"):
        function(a.long(), b.long(), T, LINEAR)


@pytest.mark.parametrize("function", [training_target, to_x0_and_eps])
def test_an_unknown_prediction_type_is_refused_with_the_nearest_name(function, refusal):
    a, b = x0_and_eps()
    with refusal("unknown prediction type.*Did you mean 'v_prediction'"):
        function(a, b, T, LINEAR, "v-prediction")


@pytest.mark.parametrize("function", [training_target, to_x0_and_eps])
@pytest.mark.parametrize("prediction_type", TYPES)
def test_every_prediction_type_refuses_shapes_that_differ(function, prediction_type, refusal):
    a, b = x0_and_eps()
    with refusal("expected the shape of"):
        function(a[:1], b, T, LINEAR, prediction_type)


@pytest.mark.parametrize("function", [training_target, to_x0_and_eps])
@pytest.mark.parametrize("prediction_type", TYPES)
def test_every_prediction_type_refuses_timesteps_outside(function, prediction_type, refusal):
    a, b = x0_and_eps(1)
    with refusal(r"t: expected timesteps in \[0, 999\]"):
        function(a, b, torch.tensor([-1]), LINEAR, prediction_type)
