import math

import pytest
import torch
from diffusers import DDPMScheduler

from edudiff.diffusion.schedule import (
    SCHEDULES,
    NoiseSchedule,
    cosine_betas,
    linear_betas,
    make_schedule,
    scaled_linear_betas,
)

NAMES = ["linear", "scaled_linear", "cosine"]
BY_HAND = NoiseSchedule(torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64))


def exactly(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_alpha_is_one_minus_beta():
    torch.testing.assert_close(BY_HAND.alphas, exactly(0.9, 0.8, 0.5))


def test_alpha_bar_is_the_running_product_of_alpha():
    torch.testing.assert_close(BY_HAND.alphas_cumprod, exactly(0.9, 0.72, 0.36))


def test_the_number_of_timesteps_is_the_length_of_the_table():
    assert BY_HAND.num_train_timesteps == 3


@pytest.mark.parametrize("name", NAMES)
def test_the_ratio_of_neighbours_is_one_minus_beta(name):
    schedule = make_schedule(name)
    ratio = schedule.alphas_cumprod[1:] / schedule.alphas_cumprod[:-1]
    torch.testing.assert_close(ratio, 1 - schedule.betas[1:], atol=0, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_step_adds_beta_0_to_twelve_digits(name):
    schedule = make_schedule(name)
    added = 1 - schedule.alphas_cumprod[0]
    torch.testing.assert_close(added, schedule.betas[0], atol=0, rtol=1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_are_float64(name):
    schedule = make_schedule(name)
    tables = (schedule.betas, schedule.alphas, schedule.alphas_cumprod)
    assert {table.dtype for table in tables} == {torch.float64}


def test_kingma_eq2_signal_to_noise_ratio():
    expected = exactly(0.9 / 0.1, 0.72 / 0.28, 0.36 / 0.64)
    torch.testing.assert_close(BY_HAND.signal_to_noise_ratio(), expected)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_train_timesteps", [10, 1000])
def test_the_signal_to_noise_ratio_falls_strictly(name, num_train_timesteps):
    snr = make_schedule(name, num_train_timesteps).signal_to_noise_ratio()
    assert (snr.diff() < 0).all()


@pytest.mark.parametrize("name", ["linear", "cosine"])
def test_almost_nothing_of_the_data_is_left_at_the_end(name):
    assert 0 < make_schedule(name).alphas_cumprod[-1] < 1e-3


def test_stable_diffusions_schedule_leaves_half_a_percent_at_the_end():
    assert make_schedule("scaled_linear").alphas_cumprod[-1].item() == pytest.approx(
        0.00466, abs=1e-5
    )


def test_alpha_bar_at_minus_one_is_the_clean_data():
    assert BY_HAND.alpha_bar(torch.tensor([-1]), torch.zeros(1, 2)).item() == 1


def test_alpha_bar_is_read_from_the_table_at_t():
    found = BY_HAND.alpha_bar(torch.tensor([2, 0, 1, -1]), torch.zeros(4, 2))
    torch.testing.assert_close(found[:, 0], exactly(0.36, 0.9, 0.72, 1.0))


@pytest.mark.parametrize(("like", "expected"), [((3,), (3,)), ((3, 2), (3, 1))])
def test_alpha_bar_broadcasts_over_points(like, expected):
    assert BY_HAND.alpha_bar(torch.zeros(3, dtype=torch.int64), torch.zeros(like)).shape == expected


def test_alpha_bar_broadcasts_over_pictures():
    found = BY_HAND.alpha_bar(torch.zeros(3, dtype=torch.int64), torch.zeros(3, 1, 8, 8))
    assert found.shape == (3, 1, 1, 1)


def test_alpha_bar_is_float64_for_float32_data():
    assert BY_HAND.alpha_bar(torch.tensor([0]), torch.zeros(1, 2)).dtype == torch.float64


def test_alpha_bar_lies_on_the_device_of_the_data(device):
    assert BY_HAND.alpha_bar(torch.tensor([0]), torch.zeros(1, 2, device=device)).device.type == (
        device.type
    )


@pytest.mark.parametrize("outside", [-2, 3])
def test_alpha_bar_refuses_timesteps_outside_the_table(outside, refusal):
    with refusal(r"t: expected timesteps in \[-1, 2\]"):
        BY_HAND.alpha_bar(torch.tensor([outside]), torch.zeros(1, 2))


def test_alpha_bar_refuses_one_timestep_for_two_members(refusal):
    with refusal(r"t: expected one timestep each, shape \(2,\), got \(1,\)"):
        BY_HAND.alpha_bar(torch.tensor([0]), torch.zeros(2, 2))


@pytest.mark.parametrize(
    "betas",
    [
        torch.tensor([0.1, 0.2]),
        torch.full((2, 2), 0.1, dtype=torch.float64),
        torch.tensor(0.1, dtype=torch.float64),
        torch.zeros(0, dtype=torch.float64),
    ],
    ids=["float32", "matrix", "number", "empty"],
)
def test_a_schedule_refuses_what_is_not_a_float64_vector(betas, refusal):
    with refusal("betas: expected a float64 vector, got"):
        NoiseSchedule(betas)


@pytest.mark.parametrize("beta", [0.0, -0.1, 1.1, math.nan])
def test_a_schedule_refuses_a_beta_outside_zero_and_one(beta, refusal):
    with refusal(r"betas: expected values in \(0, 1\)"):
        NoiseSchedule(exactly(0.1, beta))


def test_a_schedule_may_end_with_a_beta_of_one():
    assert NoiseSchedule(exactly(0.1, 1.0)).alphas_cumprod.tolist() == [0.9, 0.0]


def test_a_schedule_refuses_a_beta_of_one_before_the_end(refusal):
    with refusal(r"betas: expected values in \(0, 1\), and the last in \(0, 1\]"):
        NoiseSchedule(exactly(0.1, 1.0, 0.2))


def test_a_schedule_cannot_be_changed():
    with pytest.raises(AttributeError):
        BY_HAND.betas = linear_betas(3)


def test_linear_betas_reach_from_the_papers_start_to_its_end():
    betas = linear_betas()
    assert (len(betas), betas[0].item(), betas[-1].item()) == (1000, 1e-4, 0.02)


def test_linear_betas_rise_by_equal_steps():
    torch.testing.assert_close(linear_betas(4, 0.1, 0.7), exactly(0.1, 0.3, 0.5, 0.7))


def test_scaled_linear_betas_reach_from_start_to_end():
    betas = scaled_linear_betas()
    torch.testing.assert_close(betas[[0, -1]], exactly(0.00085, 0.012))


def test_the_roots_of_scaled_linear_betas_rise_by_equal_steps():
    torch.testing.assert_close(scaled_linear_betas(3, 0.01, 0.25), exactly(0.01, 0.09, 0.25))


def test_nichol_eq17_cosine_alpha_bar():
    def f(t: int) -> float:
        return math.cos((t / 10 + 0.008) / 1.008 * math.pi / 2) ** 2

    alphas_cumprod = make_schedule("cosine", 10).alphas_cumprod
    # The last beta is capped, so the last entry of the table follows another rule.
    expected = exactly(*(f(t + 1) / f(0) for t in range(9)))
    torch.testing.assert_close(alphas_cumprod[:-1], expected)


def test_cosine_betas_are_capped():
    betas = cosine_betas(10, max_beta=0.4)
    uncapped = cosine_betas(10)
    torch.testing.assert_close(betas, uncapped.clamp(max=0.4))


def test_the_last_cosine_beta_is_the_cap():
    assert cosine_betas(10)[-1].item() == 0.999


@pytest.mark.parametrize("max_beta", [0.0, 1.0, -0.5, 2.0])
def test_cosine_betas_refuse_a_cap_outside_zero_and_one(max_beta, refusal):
    with refusal(r"max_beta: expected a number in \(0, 1\)"):
        cosine_betas(10, max_beta=max_beta)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("num_train_timesteps", [0, -1, 2.5])
def test_a_schedule_needs_at_least_one_timestep(name, num_train_timesteps, refusal):
    with refusal("num_train_timesteps: expected a whole number ≥ 1"):
        make_schedule(name, num_train_timesteps)


@pytest.mark.parametrize("name", NAMES)
def test_a_schedule_may_have_a_single_timestep(name):
    assert make_schedule(name, 1).num_train_timesteps == 1


@pytest.mark.parametrize("name", NAMES)
def test_make_schedule_finds_the_function_of_that_name(name):
    assert torch.equal(make_schedule(name, 20).betas, SCHEDULES[name](20))


def test_the_three_names_stand_for_three_different_schedules():
    first, second, third = (make_schedule(name).betas[500].item() for name in NAMES)
    assert len({first, second, third}) == 3


def test_make_schedule_refuses_an_unknown_name_and_names_the_nearest(refusal):
    with refusal("Did you mean 'linear'"):
        make_schedule("linaer")


def reference(name: str) -> DDPMScheduler:
    if name == "scaled_linear":
        return DDPMScheduler(beta_schedule=name, beta_start=0.00085, beta_end=0.012)
    return DDPMScheduler(beta_schedule={"cosine": "squaredcos_cap_v2"}.get(name, name))


@pytest.mark.parametrize("name", NAMES)
def test_betas_are_those_of_diffusers(name):
    # Theirs are built in float32.
    theirs = reference(name).betas.double()
    torch.testing.assert_close(make_schedule(name).betas, theirs, atol=1e-7, rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_alphas_cumprod_is_that_of_diffusers(name):
    # Theirs is a product of up to a thousand float32 factors.
    theirs = reference(name).alphas_cumprod.double()
    torch.testing.assert_close(make_schedule(name).alphas_cumprod, theirs, atol=1e-6, rtol=1e-4)
