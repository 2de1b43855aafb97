import pytest
import torch
from diffusers import FlowMatchEulerDiscreteScheduler

from edudiff.diffusion.flow import flow_times, flow_velocity, sample_flow, straight_path


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or (4, 2, 3, 3), generator=generator, dtype=torch.float64)


def times(*values: float) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.float64)


def bend(xs: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
    """A velocity that is not constant along the way."""
    return 0.8 * xs.tanh() + 0.3 * s.reshape(-1, *[1] * (xs.ndim - 1))


# The path.


def test_liu_eq1_straight_path_by_hand():
    found = straight_path(times(2.0)[None], times(-3.0)[None], times(0.25))
    assert found.item() == 0.75 * 2 - 0.25 * 3


def test_the_path_begins_at_the_data_and_ends_at_the_noise():
    x0, eps = normal(1, 2, 5), normal(2, 2, 5)
    assert torch.equal(straight_path(x0, eps, times(0.0, 0.0)), x0)
    assert torch.equal(straight_path(x0, eps, times(1.0, 1.0)), eps)


def test_the_velocity_is_the_derivative_of_the_path():
    x0, eps = normal(1, 1, 5)[0], normal(2, 1, 5)[0]
    derivative = torch.autograd.functional.jacobian(
        lambda s: straight_path(x0[None], eps[None], s[None])[0], torch.tensor(0.3).double()
    )
    torch.testing.assert_close(flow_velocity(x0, eps), derivative)


def test_each_member_of_the_batch_has_its_own_time():
    x0, eps = normal(1), normal(2)
    s = times(0.0, 0.2, 0.7, 1.0)
    together = straight_path(x0, eps, s)
    alone = torch.cat(
        [straight_path(x0[i : i + 1], eps[i : i + 1], s[i : i + 1]) for i in range(4)]
    )
    assert torch.equal(together, alone)


@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_the_dtype_follows_the_data(dtype):
    x = torch.ones(2, 3, dtype=dtype)
    assert straight_path(x, x, torch.tensor([0.1, 0.9])).dtype == dtype


# The walk.


@pytest.mark.parametrize("num_inference_steps", [1, 3, 20])
def test_on_straight_lines_euler_is_exact_in_any_number_of_steps(num_inference_steps):
    x0, eps = normal(1), normal(2)
    u = flow_velocity(x0, eps)
    *_, found = sample_flow(lambda xs, s: u, eps, flow_times(num_inference_steps))
    torch.testing.assert_close(found, x0, atol=1e-12, rtol=0)


def test_the_ideal_flow_of_a_gaussian_converges_with_order_one():
    # Data N(m, d²): x_s has mean (1 − s) m and variance (1 − s)² d² + s², and goes straight on in
    # deviations from the mean; u = E[ε − x_0 | x_s].
    m, d = 0.7, 0.4

    def ideal(xs: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        s = s[:, None]
        variance = (1 - s) ** 2 * d**2 + s**2
        return (s - (1 - s) * d**2) / variance * (xs - (1 - s) * m) - m

    eps = normal(1, 50, 1)
    errors = []
    for steps in (64, 128, 256, 512):
        *_, found = sample_flow(ideal, eps, flow_times(steps))
        errors.append((found - (m + d * eps)).abs().max())
    orders = -torch.stack(errors).log2().diff()
    assert (orders - 1).abs().max() < 0.1


def test_one_state_is_yielded_for_each_step():
    assert len(list(sample_flow(bend, normal(1), flow_times(5)))) == 5


def test_the_model_is_asked_at_the_times_given():
    asked = []

    def model(xs: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        asked.append(s)
        return bend(xs, s)

    list(sample_flow(model, normal(1), times(1.0, 0.4)))
    assert torch.equal(torch.stack(asked), times(1.0, 0.4)[:, None].expand(2, 4))


def test_the_walk_builds_no_graph_through_the_model():
    linear = torch.nn.Linear(3, 3).double()
    states = sample_flow(lambda xs, s: linear(xs), normal(1), flow_times(2))
    assert not any(state.requires_grad for state in states)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_walk_keeps_the_dtype_of_the_noise(dtype):
    states = list(sample_flow(bend, normal(1).to(dtype), flow_times(3)))
    assert {state.dtype for state in states} == {dtype}


# The times.


def test_times_by_hand():
    assert flow_times(4).tolist() == [1.0, 0.75, 0.5, 0.25]


def test_esser_eq23_shift_by_hand():
    assert flow_times(2, shift=3.0).tolist() == [1.0, 0.75]


def test_a_shift_moves_every_time_but_the_first_towards_the_noise():
    plain, shifted = flow_times(10), flow_times(10, shift=3.0)
    assert shifted[0] == 1 and (shifted[1:] > plain[1:]).all()


def test_shifts_multiply():
    once = flow_times(10, shift=2.0)
    twice = 3 * once / (1 + 2 * once)
    torch.testing.assert_close(twice, flow_times(10, shift=6.0))


# In diffusers.


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("num_inference_steps", [1, 4, 28])
def test_the_walk_is_that_of_diffusers(shift, num_inference_steps):
    scheduler = FlowMatchEulerDiscreteScheduler(shift=shift)
    scheduler.set_timesteps(sigmas=flow_times(num_inference_steps).tolist())
    x = normal(1)
    ours = sample_flow(bend, normal(1), flow_times(num_inference_steps, shift))
    for state, t in zip(ours, scheduler.timesteps, strict=True):
        s = (t.double() / 1000).repeat(4)
        x = scheduler.step(bend(x, s), t, x).prev_sample
        # They step in float32.
        torch.testing.assert_close(state, x, atol=1e-5, rtol=1e-5)


def test_the_path_is_that_of_diffusers():
    scheduler = FlowMatchEulerDiscreteScheduler()
    scheduler.set_timesteps(sigmas=[0.7, 0.2])
    x0, eps = normal(1), normal(2)
    expected = scheduler.scale_noise(x0, scheduler.timesteps[:1].repeat(4), eps)
    found = straight_path(x0, eps, torch.full((4,), 0.7).double())
    torch.testing.assert_close(found, expected.double(), atol=1e-6, rtol=0)


# Refusals.


@pytest.mark.parametrize("function", [flow_velocity, straight_path])
def test_shapes_that_would_broadcast_are_refused(function, refusal):
    extra = (times(0.1, 0.2),) if function is straight_path else ()
    with refusal("eps: expected the shape of x0"):
        function(normal(1, 2, 3), normal(1, 1, 3), *extra)


@pytest.mark.parametrize("s", [-0.1, 1.1, float("nan")])
def test_times_outside_zero_and_one_are_refused(s, refusal):
    with refusal(r"s: expected values in \[0, 1\]"):
        straight_path(normal(1, 1, 3), normal(2, 1, 3), times(s))


def test_one_time_for_a_whole_batch_is_refused(refusal):
    with refusal("s: expected one timestep each"):
        straight_path(normal(1), normal(2), times(0.5))


@pytest.mark.parametrize("steps", [0, -1, 2.5])
def test_fewer_than_one_step_is_refused(steps, refusal):
    with refusal("num_inference_steps: expected a whole number ≥ 1"):
        flow_times(steps)


@pytest.mark.parametrize("shift", [0.0, -1.0, float("nan")])
def test_a_shift_that_is_not_above_zero_is_refused(shift, refusal):
    with refusal("shift: expected a number above 0"):
        flow_times(4, shift)


@pytest.mark.parametrize("stops", [[], [1.2, 0.5], [0.5, 0.5], [0.2, 0.5], [0.5, 0.0], [0.5, -1.0]])
def test_times_that_do_not_fall_from_one_towards_zero_are_refused(stops, refusal):
    with refusal(r"times: expected falling times in \(0, 1\]"):
        next(sample_flow(bend, normal(1), times(*stops)))


def test_an_answer_of_another_shape_is_refused(refusal):
    with refusal("model_output: expected the shape of x"):
        next(sample_flow(lambda xs, s: xs[:, :1], normal(1), flow_times(2)))
