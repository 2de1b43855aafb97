import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler, DPMSolverMultistepScheduler

from edudiff.diffusion.samplers import leading_timesteps
from edudiff.diffusion.spacing import spaced_timesteps

SPACINGS = ["leading", "trailing", "linspace"]


def test_leading_by_hand():
    assert spaced_timesteps(10, 3, "leading").tolist() == [6, 3, 0]


def test_trailing_by_hand():
    assert spaced_timesteps(10, 3, "trailing").tolist() == [9, 6, 2]


def test_linspace_by_hand():
    assert spaced_timesteps(10, 3, "linspace").tolist() == [9, 4, 0]


def test_table2_of_lin_et_al():
    # The paper counts from 1, and has the offset of Stable Diffusion.
    assert (spaced_timesteps(1000, 10, "leading", steps_offset=1) + 1).tolist() == [
        902, 802, 702, 602, 502, 402, 302, 202, 102, 2
    ]  # fmt: skip
    assert (spaced_timesteps(1000, 10, "trailing") + 1).tolist() == list(range(1000, 0, -100))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("num_train_timesteps", [10, 50, 1000])
def test_timesteps_are_those_of_diffusers_at_every_number_of_steps(spacing, num_train_timesteps):
    options = {"num_train_timesteps": num_train_timesteps, "timestep_spacing": spacing}
    scheduler = DDPMScheduler(**options)
    for num_inference_steps in range(1, num_train_timesteps + 1):
        scheduler.set_timesteps(num_inference_steps)
        found = spaced_timesteps(num_train_timesteps, num_inference_steps, spacing)
        # For some numbers rounding gives theirs one timestep too many, −1, outside the table.
        assert torch.equal(found, scheduler.timesteps[:num_inference_steps])


@pytest.mark.parametrize("num_inference_steps", [1, 7, 10, 20, 25, 50])
def test_trailing_timesteps_are_those_of_diffusers_dpm_solver(num_inference_steps):
    scheduler = DPMSolverMultistepScheduler(timestep_spacing="trailing")
    scheduler.set_timesteps(num_inference_steps)
    found = spaced_timesteps(1000, num_inference_steps, "trailing")
    assert torch.equal(found, scheduler.timesteps)


@pytest.mark.parametrize("num_inference_steps", [1, 10, 50])
def test_the_offset_is_that_of_diffusers(num_inference_steps):
    scheduler = DDIMScheduler(timestep_spacing="leading", steps_offset=1)
    scheduler.set_timesteps(num_inference_steps)
    found = spaced_timesteps(1000, num_inference_steps, "leading", steps_offset=1)
    assert torch.equal(found, scheduler.timesteps)


@pytest.mark.parametrize("spacing", ["trailing", "linspace"])
def test_only_leading_looks_at_the_offset(spacing):
    with_offset = spaced_timesteps(1000, 10, spacing, steps_offset=1)
    assert torch.equal(with_offset, spaced_timesteps(1000, 10, spacing))


@pytest.mark.parametrize("spacing", SPACINGS)
def test_as_many_steps_as_timesteps_visit_every_timestep(spacing):
    assert spaced_timesteps(7, 7, spacing).tolist() == [6, 5, 4, 3, 2, 1, 0]


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("num_inference_steps", range(1, 41))
def test_timesteps_fall_strictly_within_the_table(spacing, num_inference_steps):
    found = spaced_timesteps(40, num_inference_steps, spacing)
    assert found.dtype == torch.int64
    assert len(found) == num_inference_steps
    assert (found.diff() < 0).all() and 0 <= found[-1] and found[0] < 40


@pytest.mark.parametrize("num_inference_steps", [1, 10, 999])
def test_trailing_always_starts_at_the_noisiest_timestep(num_inference_steps):
    assert spaced_timesteps(1000, num_inference_steps, "trailing")[0] == 999


@pytest.mark.parametrize("num_inference_steps", [1, 10, 50])
def test_leading_never_visits_the_noisiest_timesteps(num_inference_steps):
    assert spaced_timesteps(1000, num_inference_steps)[0] == 1000 - 1000 // num_inference_steps


def test_leading_timesteps_is_the_leading_spacing():
    assert torch.equal(leading_timesteps(1000, 30), spaced_timesteps(1000, 30, "leading"))


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("num_inference_steps", [0, -1, 2.5])
def test_fewer_than_one_step_is_refused(spacing, num_inference_steps, refusal):
    with refusal("num_inference_steps: expected a whole number ≥ 1"):
        spaced_timesteps(10, num_inference_steps, spacing)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_more_steps_than_timesteps_are_refused(spacing, refusal):
    with refusal("num_inference_steps: expected at most 10, the schedule's length, got 11"):
        spaced_timesteps(10, 11, spacing)


@pytest.mark.parametrize("num_inference_steps", [0, 11])
def test_leading_timesteps_refuses_too_few_or_too_many_steps(num_inference_steps, refusal):
    with refusal("num_inference_steps: expected"):
        leading_timesteps(10, num_inference_steps)


def test_an_unknown_spacing_is_refused(refusal):
    with refusal("unknown spacing.*Did you mean 'trailing'"):
        spaced_timesteps(10, 3, "tailing")


@pytest.mark.parametrize("offset", [-1, 0.5])
def test_an_offset_that_is_not_a_whole_number_is_refused(offset, refusal):
    with refusal("steps_offset: expected a whole number ≥ 0"):
        spaced_timesteps(10, 3, "leading", offset)


def test_an_offset_beyond_the_table_is_refused(refusal):
    with refusal(r"offset: expected timesteps in \[0, 9\], got timesteps in \[1, 10\]"):
        spaced_timesteps(10, 10, "leading", 1)
