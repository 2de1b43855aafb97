import pytest
import torch

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.multiscale import shifted_schedules
from edudiff.diffusion.multiscale_sampling import (
    matryoshka_timesteps,
    multiscale_sample,
    multiscale_step,
)
from edudiff.diffusion.prediction import velocity
from edudiff.diffusion.samplers import ddim, ddpm
from edudiff.diffusion.schedule import make_schedule

SCHEDULES = shifted_schedules(make_schedule("cosine"), (2, 1))


def noise(batch=2):
    return [torch.randn(batch, 3, side, side) for side in (4, 2)]


def knows(x0s, schedules=SCHEDULES):
    """A network that knows the pictures, whatever it is shown."""

    def model(xs, t):
        answers = []
        for x, x0, schedule in zip(xs, x0s, schedules, strict=True):
            signal = schedule.alpha_bar(t, x)
            eps = ((x - signal.sqrt() * x0) / (1 - signal).sqrt()).float()
            answers.append(velocity(x0, eps, t, schedule))
        return answers

    return model


@pytest.mark.parametrize("eta", [0.0, 0.7, 1.0, None])
def test_a_network_that_knows_the_pictures_is_led_to_them_at_every_resolution(eta, generator):
    x0s = [x.clamp(-1, 1) for x in noise()]
    steps = list(
        multiscale_sample(
            knows(x0s),
            noise(),
            matryoshka_timesteps(1000, 7),
            SCHEDULES,
            eta=eta,
            generator=generator,
        )
    )
    assert len(steps) == 7
    for found, expected in zip(steps[-1], x0s, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("ratios", [(8, 4, 2, 1), (8, 2, 1), (8, 4, 1), (16, 1)])
@pytest.mark.parametrize("power", [0, 1, 2])
def test_deep_and_uneven_nestings_are_led_there_too(ratios, power, generator):
    schedules = shifted_schedules(make_schedule("cosine"), ratios, power)
    x0s = [torch.randn(2, 3, ratio, ratio).clamp(-1, 1) for ratio in ratios]
    starts = [torch.randn_like(x0) for x0 in x0s]
    model, timesteps = knows(x0s, schedules), matryoshka_timesteps(1000, 6)
    *_, last = multiscale_sample(
        model, starts, timesteps, schedules, eta=1.0, threshold="clip", generator=generator
    )
    for found, expected in zip(last, x0s, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=0)


@pytest.mark.parametrize("eta", [0.0, None])
def test_every_stream_walks_as_it_would_alone(eta):
    def model(xs, t):
        return [0.3 * x for x in xs]

    xs, timesteps = noise(batch=1), matryoshka_timesteps(1000, 5)
    walk = list(
        multiscale_sample(
            model, xs, timesteps, SCHEDULES, eta=eta, generator=torch.Generator().manual_seed(1)
        )
    )
    alone = ddim if eta == 0 else ddpm
    steps = alone(
        lambda x, t: 0.3 * x,
        xs[0],
        timesteps,
        SCHEDULES[0],
        prediction_type="v_prediction",
        generator=torch.Generator().manual_seed(1),
    )
    first = next(iter(steps))  # later noise is drawn for both resolutions in turn
    torch.testing.assert_close(walk[0][0], first, atol=1e-5, rtol=0)


def test_eps_is_derived_again_from_the_thresholded_estimate():
    t, t_prev = torch.tensor([600]), torch.tensor([300])
    x0s, eps = [torch.full((1, 1, 2, 2), 1.5), torch.zeros(1, 1, 1, 1)], noise(1)
    eps = [torch.randn_like(x0) for x0 in x0s]
    each = list(zip(x0s, eps, SCHEDULES, strict=True))
    xts = [add_noise(x0, e, t, s) for x0, e, s in each]
    v_hats = [velocity(x0, e, t, s) for x0, e, s in each]
    x0_hats, x_prevs = multiscale_step(v_hats, xts, t, t_prev, SCHEDULES, eps, threshold="clip")
    torch.testing.assert_close(x0_hats[0], torch.ones(1, 1, 2, 2))
    here, there = (SCHEDULES[0].alpha_bar(s, xts[0]) for s in (t, t_prev))
    derived = (xts[0] - here.sqrt()) / (1 - here).sqrt()
    expected = (there.sqrt() + (1 - there).sqrt() * derived).float()
    torch.testing.assert_close(x_prevs[0], expected, atol=1e-5, rtol=0)


def test_one_and_the_same_timestep_is_told_for_all_resolutions():
    told = []

    def model(xs, t):
        told.append(t.tolist())
        return [torch.zeros_like(x) for x in xs]

    list(multiscale_sample(model, noise(), torch.tensor([900, 20]), SCHEDULES))
    assert told == [[900, 900], [20, 20]]


def test_few_timesteps_begin_late_and_all_begin_at_the_end():
    assert matryoshka_timesteps(1000, 10)[0] == 909
    assert matryoshka_timesteps(1000, 1000).tolist() == list(range(999, -1, -1))


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_another_number_of_steps_than_1_to_t_is_refused(steps, refusal):
    with refusal("num_inference_steps: expected"):
        matryoshka_timesteps(1000, steps)


def test_an_unknown_threshold_is_refused(refusal):
    walk = multiscale_sample(
        knows(noise()), noise(), torch.tensor([5]), SCHEDULES, threshold="dynamik"
    )
    with refusal("unknown threshold: .* Did you mean 'dynamic'"):
        next(walk)


@pytest.mark.parametrize("eta", [0.5, None])
def test_a_missing_generator_is_refused_where_noise_is_needed(eta, refusal):
    walk = multiscale_sample(knows(noise()), noise(), torch.tensor([5]), SCHEDULES, eta=eta)
    with refusal("generator: expected a torch.Generator unless eta is 0, got None"):
        next(walk)


def test_another_number_of_schedules_is_refused(refusal):
    with refusal("xs: expected one for each of 1 schedules, got 2"):
        next(multiscale_sample(knows(noise()), noise(), torch.tensor([5]), SCHEDULES[:1]))
