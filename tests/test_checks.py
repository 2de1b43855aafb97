import math

import pytest
import torch

from edudiff import checks

CHOICES = {"linear": 1, "cosine": 2}


def test_choose_returns_what_the_name_stands_for():
    assert checks.choose("schedule", "cosine", CHOICES) == 2


def test_choose_names_the_nearest(refusal):
    with refusal(r"Did you mean 'cosine'\?"):
        checks.choose("schedule", "cosin", CHOICES)


def test_choose_lists_all_names_and_the_one_that_came(refusal):
    with refusal(r"unknown schedule: expected one of \['cosine', 'linear'\], got 'zzz'\.$"):
        checks.choose("schedule", "zzz", CHOICES)


@pytest.mark.parametrize("name", [None, 3, ["linear"]])
def test_choose_refuses_what_is_not_a_name(name, refusal):
    with refusal("unknown schedule"):
        checks.choose("schedule", name, CHOICES)


def test_positive_accepts_the_smallest_number():
    checks.positive(radius=math.ulp(0.0), bandwidth=2.0)


@pytest.mark.parametrize("number", [0, 0.0, -1e-9, math.nan])
def test_positive_names_the_number_it_refuses(number, refusal):
    with refusal("radius: expected a number above 0"):
        checks.positive(bandwidth=1.0, radius=number)


def test_whole_at_least_accepts_the_minimum():
    checks.whole_at_least(2, dim=2, width=3)


@pytest.mark.parametrize("number", [1, -5, 2.0, True, "3"])
def test_whole_at_least_names_the_number_it_refuses(number, refusal):
    with refusal("dim: expected a whole number ≥ 2"):
        checks.whole_at_least(2, width=5, dim=number)


def test_whole_at_least_does_not_take_true_for_one(refusal):
    with refusal("n: expected a whole number ≥ 1, got True"):
        checks.whole_at_least(1, n=True)


def test_same_shape_accepts_equal_shapes():
    checks.same_shape(x=torch.zeros(2, 3), y=torch.ones(2, 3), z=torch.ones(2, 3))


def test_same_shape_refuses_what_would_broadcast(refusal):
    with refusal(r"eps: expected the shape of x0, \(2, 3\), got \(1, 3\)"):
        checks.same_shape(x0=torch.zeros(2, 3), v=torch.zeros(2, 3), eps=torch.zeros(1, 3))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_floating_accepts_every_precision(dtype):
    checks.floating(x=torch.zeros(2, dtype=dtype))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int64, torch.bool])
def test_floating_refuses_bytes_whole_numbers_and_booleans(dtype, refusal):
    with refusal(f"y: expected a floating-point tensor, got {dtype}"):
        checks.floating(x=torch.zeros(2), y=torch.zeros(2, dtype=dtype))


def test_in_range_accepts_both_ends():
    checks.in_range(-1.0, 1.0, x0=torch.tensor([-1.0, 0.3, 1.0]))


def test_in_range_accepts_nothing_at_all():
    checks.in_range(-1.0, 1.0, x0=torch.zeros(0))


@pytest.mark.parametrize("value", [-1.01, 1.01, math.nan])
def test_in_range_refuses_one_value_outside(value, refusal):
    with refusal(r"x0: expected values in \[-1, 1\]"):
        checks.in_range(-1.0, 1.0, x0=torch.tensor([0.0, value]))


def test_timesteps_accepts_both_ends_of_the_table():
    checks.timesteps(torch.tensor([0, 9]), 10)


def test_timesteps_accepts_the_clean_data_where_it_is_meant():
    checks.timesteps(torch.tensor([-1, 9]), 10, lowest=-1)


def test_timesteps_accepts_an_empty_batch():
    checks.timesteps(torch.zeros(0, dtype=torch.int64), 10)


@pytest.mark.parametrize("outside", [-1, 10])
def test_timesteps_refuses_indices_outside_the_table(outside, refusal):
    with refusal(r"t: expected timesteps in \[0, 9\], got timesteps in"):
        checks.timesteps(torch.tensor([3, outside]), 10)


def test_timesteps_refuses_two_before_the_table(refusal):
    with refusal(r"t_prev: expected timesteps in \[-1, 9\], got timesteps in \[-2, 3\]"):
        checks.timesteps(torch.tensor([3, -2]), 10, lowest=-1, name="t_prev")


@pytest.mark.parametrize("dtype", [torch.int32, torch.float32])
def test_timesteps_refuses_other_dtypes(dtype, refusal):
    with refusal("t: expected int64 timesteps"):
        checks.timesteps(torch.zeros(2, dtype=dtype), 10)


def test_one_timestep_each_accepts_a_vector_as_long_as_the_batch():
    checks.one_timestep_each(torch.zeros(3, 2), torch.zeros(3))


@pytest.mark.parametrize("shape", [(1,), (2,), (3, 1), ()])
def test_one_timestep_each_refuses_other_shapes(shape, refusal):
    with refusal(r"t: expected one timestep each, shape \(3,\)"):
        checks.one_timestep_each(torch.zeros(3, 2), torch.zeros(shape))


def test_one_timestep_each_refuses_data_without_a_batch(refusal):
    with refusal("expected one timestep each"):
        checks.one_timestep_each(torch.zeros(()), torch.zeros(1))
