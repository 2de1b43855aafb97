import itertools

import pytest
import torch

from edudiff.diffusion.flow import flow_times, flow_velocity, sample_flow, straight_path
from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.prediction import to_x0_and_eps, training_target, velocity
from edudiff.diffusion.rosetta import (
    alpha_bar_from_sigma,
    path_time_from_sigma,
    read,
    sigma_from_alpha_bar,
    sigma_from_path_time,
    translate,
    write,
)
from edudiff.diffusion.samplers import ddim
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule

LINEAR = make_schedule("linear")
KINDS = ["epsilon", "sample", "v_prediction", "score", "flow"]
PAIRS = list(itertools.product(KINDS, KINDS))
SIGMAS = torch.tensor([0.01, 0.3, 1.0, 2.0, 50.0], dtype=torch.float64)
SCALES = ["preserving", "exploding", "straight"]


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or (5, 2, 3), generator=generator, dtype=torch.float64)


def scale(name: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Signal a and noise b at SIGMAS, one for each member of a batch of five."""
    if name == "preserving":
        alpha_bar = alpha_bar_from_sigma(SIGMAS)
        a, b = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    elif name == "exploding":
        a, b = torch.ones_like(SIGMAS), SIGMAS
    else:
        s = path_time_from_sigma(SIGMAS)
        a, b = 1 - s, s
    return a[:, None, None], b[:, None, None]


# Scales.


def test_scales_by_hand():
    assert sigma_from_alpha_bar(torch.tensor(0.2)).item() == pytest.approx(2)
    assert alpha_bar_from_sigma(torch.tensor(2.0)).item() == pytest.approx(0.2)
    assert path_time_from_sigma(torch.tensor(3.0)).item() == pytest.approx(0.75)
    assert sigma_from_path_time(torch.tensor(0.75)).item() == pytest.approx(3)


def test_alpha_bar_and_sigma_are_inverses():
    alpha_bar = LINEAR.alphas_cumprod
    torch.testing.assert_close(alpha_bar_from_sigma(sigma_from_alpha_bar(alpha_bar)), alpha_bar)


def test_path_time_and_sigma_are_inverses():
    torch.testing.assert_close(sigma_from_path_time(path_time_from_sigma(SIGMAS)), SIGMAS)


def test_the_ends_of_all_scales_meet():
    inf = torch.tensor(torch.inf)
    assert sigma_from_alpha_bar(torch.tensor(0.0)) == inf == sigma_from_path_time(torch.tensor(1.0))
    assert alpha_bar_from_sigma(inf) == 0 and path_time_from_sigma(inf) == 1
    assert sigma_from_alpha_bar(torch.tensor(1.0)) == 0 == sigma_from_path_time(torch.tensor(0.0))


def test_the_three_scales_show_the_same_picture_up_to_a_factor():
    x0, eps = normal(1), normal(2)
    pictures = []
    for name in SCALES:
        a, b = scale(name)
        pictures.append((a * x0 + b * eps) / a)
    torch.testing.assert_close(pictures[0], pictures[1])
    torch.testing.assert_close(pictures[2], pictures[1])


def test_variance_preserving_is_exploding_divided_by_the_root_of_one_plus_sigma_squared():
    x0, eps, t = normal(1), normal(2), torch.tensor([0, 10, 300, 700, 999])
    sigma = sigma_from_alpha_bar(LINEAR.alphas_cumprod[t])[:, None, None]
    expected = (x0 + sigma * eps) / (1 + sigma.square()).sqrt()
    torch.testing.assert_close(add_noise(x0, eps, t, LINEAR), expected)


# Answers.


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize("kind", KINDS)
def test_what_is_written_can_be_read(name, kind):
    (a, b), x0, eps = scale(name), normal(1), normal(2)
    found = read(write(x0, eps, a, b, kind), a * x0 + b * eps, a, b, kind)
    torch.testing.assert_close(found, (x0, eps), atol=1e-9, rtol=1e-9)


@pytest.mark.parametrize("name", SCALES)
@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_a_translation_says_what_the_original_says(name, source, target):
    (a, b), x0, eps = scale(name), normal(1), normal(2)
    x = a * x0 + b * eps
    found = translate(write(x0, eps, a, b, source), x, a, b, source=source, target=target)
    torch.testing.assert_close(found, write(x0, eps, a, b, target), atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize(("source", "target"), PAIRS)
def test_translating_there_and_back_changes_nothing_even_if_the_answer_is_wrong(source, target):
    (a, b), x, wrong = scale("preserving"), normal(1), normal(2)
    there = translate(wrong, x, a, b, source=source, target=target)
    back = translate(there, x, a, b, source=target, target=source)
    torch.testing.assert_close(back, wrong, atol=1e-7, rtol=1e-7)


@pytest.mark.parametrize("kind", ["epsilon", "sample", "v_prediction"])
def test_in_the_preserving_scale_the_dictionary_agrees_with_prediction(kind):
    x0, eps, t = normal(1), normal(2), torch.tensor([0, 10, 300, 700, 999])
    alpha_bar = LINEAR.alphas_cumprod[t][:, None, None]
    a, b = alpha_bar.sqrt(), (1 - alpha_bar).sqrt()
    torch.testing.assert_close(
        write(x0, eps, a, b, kind), training_target(x0, eps, t, LINEAR, kind)
    )
    answer, xt = normal(3), normal(4)
    expected = to_x0_and_eps(answer, xt, t, LINEAR, kind)
    torch.testing.assert_close(read(answer, xt, a, b, kind), expected)


def test_v_is_the_same_in_every_scale():
    x0, eps = normal(1), normal(2)
    found = [write(x0, eps, *scale(name), "v_prediction") for name in SCALES]
    torch.testing.assert_close(found[0], found[1])
    torch.testing.assert_close(found[0], found[2])


def test_v_is_that_of_the_schedule_with_the_same_sigma():
    betas = 1 - alpha_bar_from_sigma(SIGMAS[1:2])
    schedule, x0, eps = NoiseSchedule(betas), normal(1, 1, 3), normal(2, 1, 3)
    expected = velocity(x0, eps, torch.tensor([0]), schedule)
    found = write(x0, eps, torch.ones(1).double(), SIGMAS[1:2], "v_prediction")
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("name", SCALES)
def test_flow_is_epsilon_minus_x0_in_every_scale(name):
    x0, eps = normal(1), normal(2)
    torch.testing.assert_close(write(x0, eps, *scale(name), "flow"), flow_velocity(x0, eps))


@pytest.mark.parametrize("name", SCALES)
def test_the_score_is_the_gradient_of_the_log_density(name):
    # Two points with equal chance: the density of x is a sum of two bells, differentiated by
    # autograd; the ideal guess of the noise is the mean over both.
    a, b = (each.flatten()[1:4] for each in scale(name))
    points = torch.tensor([-1.0, 0.6]).double()
    x = torch.tensor([0.2, -0.4, 0.1]).double().requires_grad_()
    exponents = -((x[:, None] - a[:, None] * points) ** 2) / (2 * b[:, None] ** 2)
    (score,) = torch.autograd.grad(exponents.logsumexp(dim=1).sum(), x)
    x0_hat = (exponents.softmax(dim=1) * points).sum(dim=1).detach()
    found = translate(x0_hat, x.detach(), a, b, source="sample", target="score")
    torch.testing.assert_close(found, score)


def test_in_pure_noise_v_and_flow_can_still_be_read():
    a, b, x0, eps = torch.zeros(1).double(), torch.ones(1).double(), normal(1), normal(2)
    for kind in ("v_prediction", "flow", "sample"):
        torch.testing.assert_close(read(write(x0, eps, a, b, kind), eps, a, b, kind), (x0, eps))


# One walk in two notations.


def test_ddim_and_the_straight_flow_are_the_same_walk():
    t = torch.tensor([999, 600, 300, 50])
    sigmas = sigma_from_alpha_bar(LINEAR.alphas_cumprod)
    s_of = dict(zip(path_time_from_sigma(sigmas[t]).tolist(), t.tolist(), strict=True))

    def x0_model(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        return (xt + 0.001 * t[:, None]).tanh()

    def flow_model(xs: torch.Tensor, s: torch.Tensor) -> torch.Tensor:
        stop = torch.full((len(xs),), s_of[s[0].item()])
        s = s[:, None]
        xt = xs / ((1 - s).square() + s.square()).sqrt()
        return translate(x0_model(xt, stop), xs, 1 - s, s, source="sample", target="flow")

    start = normal(1, 7, 3)
    s = path_time_from_sigma(sigmas[t])
    norms = [*((1 - s).square() + s.square()).sqrt().tolist(), 1.0]
    ours = ddim(x0_model, start, t, LINEAR, prediction_type="sample")
    others = sample_flow(flow_model, norms[0] * start, s)
    for a, b, norm in zip(ours, others, norms[1:], strict=True):
        torch.testing.assert_close(a, b / norm, atol=1e-9, rtol=1e-9)


def test_a_point_of_the_straight_path_is_read_with_its_own_signal_and_noise():
    x0, eps, s = normal(1), normal(2), flow_times(5)
    b = s[:, None, None]
    found = read(flow_velocity(x0, eps), straight_path(x0, eps, s), 1 - b, b, "flow")
    torch.testing.assert_close(found, (x0, eps))


# Refusals.


@pytest.mark.parametrize("alpha_bar", [-0.1, 1.1, float("nan")])
def test_an_alpha_bar_outside_zero_and_one_is_refused(alpha_bar, refusal):
    with refusal(r"alpha_bar: expected values in \[0, 1\]"):
        sigma_from_alpha_bar(torch.tensor([alpha_bar]))


@pytest.mark.parametrize("function", [alpha_bar_from_sigma, path_time_from_sigma])
def test_a_negative_sigma_is_refused(function, refusal):
    with refusal(r"sigma: expected values in \[0, inf\]"):
        function(torch.tensor([-0.1]))


@pytest.mark.parametrize("s", [-0.1, 1.1])
def test_a_path_time_outside_zero_and_one_is_refused(s, refusal):
    with refusal(r"s: expected values in \[0, 1\]"):
        sigma_from_path_time(torch.tensor([s]))


ONE, ZERO = torch.ones(1).double(), torch.zeros(1).double()


@pytest.mark.parametrize("kind", ["epsilon", "score"])
def test_noise_cannot_be_read_where_there_is_no_signal(kind, refusal):
    with refusal("a: expected a weight other than 0"):
        read(normal(1), normal(2), ZERO, ONE, kind)


def test_data_cannot_be_read_as_noise_where_there_is_none(refusal):
    with refusal("b: expected a weight other than 0"):
        read(normal(1), normal(2), ONE, ZERO, "sample")


def test_a_score_cannot_be_written_where_there_is_no_noise(refusal):
    with refusal("b: expected a weight other than 0"):
        write(normal(1), normal(2), ONE, ZERO, "score")


def test_an_unknown_kind_is_refused(refusal):
    with refusal("unknown kind of answer.*Did you mean 'epsilon'"):
        read(normal(1), normal(2), ONE, ONE, "epsilom")
    with refusal("unknown kind of answer"):
        write(normal(1), normal(2), ONE, ONE, "noise")
    with refusal("unknown kind of answer"):
        translate(normal(1), normal(2), ONE, ONE, source="flow", target="velocity")


def test_shapes_that_would_broadcast_are_refused(refusal):
    with refusal("answer: expected the shape of x"):
        read(normal(1)[:1], normal(2), ONE, ONE, "flow")
    with refusal("eps: expected the shape of x0"):
        write(normal(1), normal(2)[:1], ONE, ONE, "flow")
