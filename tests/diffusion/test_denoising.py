import pytest
import torch

from edudiff.diffusion.denoising import ask, draw, estimate, strides
from edudiff.diffusion.prediction import to_x0_and_eps
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule
from edudiff.diffusion.zero_snr import zero_terminal_snr

SHORT = make_schedule("linear", 12)
STARTS = torch.ones(3, 2)


def test_strides_go_from_stop_to_stop_and_then_to_the_data():
    assert strides(torch.tensor([9, 4, 0]), SHORT) == [(9, 4), (4, 0), (0, -1)]


def test_the_network_is_asked_at_one_timestep_for_everyone():
    answer, t = ask(lambda xt, t: xt * t[:, None], STARTS, 5)
    assert torch.equal(t, torch.tensor([5, 5, 5]))
    assert torch.equal(answer, 5 * STARTS)


def test_asking_builds_no_graph():
    linear = torch.nn.Linear(2, 2)
    assert not ask(lambda xt, t: linear(xt), STARTS, 5)[0].requires_grad


@pytest.mark.parametrize("prediction_type", ["epsilon", "sample", "v_prediction"])
def test_an_estimate_is_the_answer_read(prediction_type):
    found = estimate(lambda xt, t: 0.3 * xt, STARTS, 5, SHORT, prediction_type)
    t = torch.tensor([5, 5, 5])
    expected = to_x0_and_eps(0.3 * STARTS, STARTS, t, SHORT, prediction_type)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_drawn_noise_has_the_dtype_of_the_data_but_the_numbers_of_the_seed(dtype):
    expected = torch.randn(3, 2, generator=torch.Generator().manual_seed(1)).to(dtype)
    found = draw(STARTS.to(dtype), torch.Generator().manual_seed(1))
    assert found.dtype == dtype and torch.equal(found, expected)


def test_drawn_noise_lies_on_the_device_of_the_data_and_is_the_same_there(device):
    found = draw(STARTS.to(device), torch.Generator().manual_seed(1))
    assert found.device.type == device.type
    assert torch.equal(found.cpu(), draw(STARTS, torch.Generator().manual_seed(1)))


def test_noise_from_nowhere_is_refused(refusal):
    with refusal("generator: expected a torch.Generator for a sampler with noise, got None"):
        draw(STARTS, None)


def test_an_answer_of_another_shape_is_refused(refusal):
    with refusal("model_output: expected the shape of xt"):
        ask(lambda xt, t: xt[:1], STARTS, 5)


@pytest.mark.parametrize("timesteps", [[3, 3], [3, 5]])
def test_timesteps_that_do_not_fall_are_refused(timesteps, refusal):
    with refusal("timesteps: expected falling timesteps"):
        strides(torch.tensor(timesteps), SHORT)


@pytest.mark.parametrize("timesteps", [torch.zeros(0, dtype=torch.int64), torch.tensor([[3]])])
def test_anything_but_a_vector_of_timesteps_is_refused(timesteps, refusal):
    with refusal("timesteps: expected a vector of at least one timestep"):
        strides(timesteps, SHORT)


@pytest.mark.parametrize("timesteps", [[12, 3], [3, -1]])
def test_timesteps_outside_the_table_are_refused(timesteps, refusal):
    with refusal(r"timesteps: expected timesteps in \[0, 11\]"):
        strides(torch.tensor(timesteps), SHORT)


def test_timesteps_that_are_not_int64_are_refused(refusal):
    with refusal("timesteps: expected int64"):
        strides(torch.tensor([3.0, 1.0]), SHORT)


def test_an_estimate_outside_the_table_is_refused(refusal):
    with refusal(r"t: expected timesteps in \[0, 11\]"):
        estimate(lambda xt, t: xt, STARTS, 12, SHORT)


def test_an_estimate_of_an_unknown_kind_is_refused(refusal):
    with refusal("unknown prediction type"):
        estimate(lambda xt, t: xt, STARTS, 5, SHORT, "noise")


def test_an_estimate_from_noise_where_there_is_nothing_else_is_refused(refusal):
    pure = NoiseSchedule(zero_terminal_snr(SHORT.betas))
    with refusal("expected timesteps with ᾱ > 0"):
        estimate(lambda xt, t: xt, STARTS, 11, pure)
