import pytest

from edudiff.training.job import Every, Settings, Thrift


@pytest.mark.parametrize("name", ["num_steps", "batch_size"])
def test_a_count_below_one_is_refused(name, refusal):
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        Settings(**{"recipe": "toy", "num_steps": 3, "batch_size": 2, name: 0})


def test_a_negative_seed_is_refused(refusal):
    with refusal("seed: expected a whole number ≥ 0, got -1"):
        Settings("toy", 3, 2, seed=-1)


def test_an_unknown_precision_is_refused_with_the_nearest_one(refusal):
    with refusal("got 'bf61'. Did you mean 'bf16'?"):
        Settings("toy", 3, 2, mixed_precision="bf61")


@pytest.mark.parametrize("name", ["log", "sample", "checkpoint"])
def test_an_interval_below_one_is_refused(name, refusal):
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        Every(**{name: 0})


def test_less_than_one_part_is_refused(refusal):
    with refusal("accumulate: expected a whole number ≥ 1, got 0"):
        Thrift(accumulate=0)
