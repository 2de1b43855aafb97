import math
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from diffusers import (
    DPMSolverMultistepScheduler,
    EulerAncestralDiscreteScheduler,
    EulerDiscreteScheduler,
    HeunDiscreteScheduler,
)

from edudiff.diffusion.samplers import ddim, ddpm
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule
from edudiff.diffusion.solvers import dpm_solver_pp, euler, euler_ancestral, heun
from edudiff.diffusion.spacing import spaced_timesteps

LINEAR = make_schedule("linear")
BY_HAND = NoiseSchedule(torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64))
TYPES = ["epsilon", "sample", "v_prediction"]
SPACINGS = ["leading", "trailing", "linspace"]
NUMBERS = [1, 2, 3, 10, 30]


def normal(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(4, 2, 3, 3, generator=generator, dtype=torch.float64)


def one(value: float) -> torch.Tensor:
    return torch.tensor([[value]], dtype=torch.float64)


def bend(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """A denoiser that is not linear and depends on the time."""
    return 0.8 * xt.tanh() + 0.0003 * t.reshape(-1, *[1] * (xt.ndim - 1))


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(1)


# By hand: ᾱ is 0.36 and 0.72 at the two stops, so σ is 4/3 and √(7/18).

STOPS = torch.tensor([2, 1])
SIGMA, SIGMA_NEXT = 4 / 3, math.sqrt(0.28 / 0.72)


def twice(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    return 2 * xt


def test_euler_by_hand():
    state, _ = euler(twice, one(0.3), STOPS, BY_HAND)
    y = 0.3 / 0.6 + (SIGMA_NEXT - SIGMA) * 0.6
    assert state.item() == pytest.approx(math.sqrt(0.72) * y, abs=1e-12)


def test_euler_ancestral_by_hand():
    state, _ = euler_ancestral(twice, one(0.3), STOPS, BY_HAND, generator=seeded())
    up = math.sqrt(SIGMA_NEXT**2 * (SIGMA**2 - SIGMA_NEXT**2) / SIGMA**2)
    down = math.sqrt(SIGMA_NEXT**2 - up**2)
    noise = torch.randn(1, 1, generator=seeded()).item()
    y = 0.3 / 0.6 + (down - SIGMA) * 0.6 + up * noise
    assert state.item() == pytest.approx(math.sqrt(0.72) * y, abs=1e-12)


def test_heun_by_hand():
    state, _ = heun(twice, one(0.3), STOPS, BY_HAND)
    y_try = 0.3 / 0.6 + (SIGMA_NEXT - SIGMA) * 0.6
    slope = (0.6 + 2 * math.sqrt(0.72) * y_try) / 2
    y = 0.3 / 0.6 + (SIGMA_NEXT - SIGMA) * slope
    assert state.item() == pytest.approx(math.sqrt(0.72) * y, abs=1e-12)


def test_algorithm2_of_lu_et_al_by_hand():
    stops = torch.tensor([2, 1, 0])
    answers = iter([one(0.5), one(0.2), one(-0.1)])
    first, second, last = dpm_solver_pp(
        lambda xt, t: next(answers), one(0.3), stops, BY_HAND, prediction_type="sample"
    )
    alphas = [math.sqrt(value) for value in (0.36, 0.72, 0.9)]
    sigmas = [math.sqrt(1 - value) for value in (0.36, 0.72, 0.9)]
    lambdas = [math.log(a / s) for a, s in zip(alphas, sigmas, strict=True)]
    h = [lambdas[1] - lambdas[0], lambdas[2] - lambdas[1]]
    x1 = sigmas[1] / sigmas[0] * 0.3 - alphas[1] * (math.exp(-h[0]) - 1) * 0.5
    r = h[0] / h[1]
    d = (1 + 1 / (2 * r)) * 0.2 - 1 / (2 * r) * 0.5
    x2 = sigmas[2] / sigmas[1] * x1 - alphas[2] * (math.exp(-h[1]) - 1) * d
    assert first.item() == pytest.approx(x1, abs=1e-12)
    assert second.item() == pytest.approx(x2, abs=1e-12)
    assert last.item() == pytest.approx(-0.1, abs=1e-12)


def test_the_ode_is_solved_but_for_one_integral():
    # Data N(0, 0.5²), whose ideal guess and whose curve are known: x keeps its number of
    # standard deviations. The integral over λ is taken by Gauss and Legendre's rule.
    def spread(alpha, sigma):
        return np.sqrt(0.25 * alpha**2 + sigma**2)

    log_ratio, log_ratio_next = -1.5, 0.8
    nodes, weights = np.polynomial.legendre.leggauss(60)
    half = (log_ratio_next - log_ratio) / 2
    between = log_ratio + half * (nodes + 1)
    ratios = np.array([log_ratio, log_ratio_next, *between])
    alphas, sigmas = 1 / np.sqrt(1 + np.exp(-2 * ratios)), 1 / np.sqrt(1 + np.exp(2 * ratios))
    x = 1.3 * spread(alphas, sigmas)
    x0_hat = 0.25 * alphas / spread(alphas, sigmas) ** 2 * x
    integral = half * (weights * np.exp(between) * x0_hat[2:]).sum()
    found = sigmas[1] / sigmas[0] * x[0] + sigmas[1] * integral
    assert found == pytest.approx(x[1], rel=1e-12)


def test_where_the_guess_is_constant_one_step_solves_the_ode():
    # The curve from x_t at σ to the next stop is a straight line in y = x / √ᾱ.
    step = dpm_solver_pp(
        lambda xt, t: 0 * xt + 0.4,
        one(0.3),
        torch.tensor([2, 1]),
        BY_HAND,
        prediction_type="sample",
    )
    y = 0.4 + SIGMA_NEXT / SIGMA * (0.3 / 0.6 - 0.4)
    assert next(step).item() == pytest.approx(math.sqrt(0.72) * y, abs=1e-12)


# What is the same as what.


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("num_inference_steps", NUMBERS)
@pytest.mark.parametrize("prediction_type", TYPES)
def test_euler_in_sigma_is_ddim(spacing, num_inference_steps, prediction_type):
    timesteps = spaced_timesteps(1000, num_inference_steps, spacing)
    arguments = (bend, normal(1), timesteps, LINEAR)
    ours = euler(*arguments, prediction_type=prediction_type)
    other = ddim(*arguments, prediction_type=prediction_type)
    for a, b in zip(ours, other, strict=True):
        torch.testing.assert_close(a, b, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("num_inference_steps", NUMBERS)
def test_euler_ancestral_in_sigma_is_ddpm(num_inference_steps):
    arguments = (bend, normal(1), spaced_timesteps(1000, num_inference_steps), LINEAR)
    ours = euler_ancestral(*arguments, generator=seeded())
    other = ddpm(*arguments, generator=seeded())
    for a, b in zip(ours, other, strict=True):
        torch.testing.assert_close(a, b, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("sampler", [heun, dpm_solver_pp])
@pytest.mark.parametrize("num_inference_steps", [1])
def test_with_a_single_step_every_solver_is_euler(sampler, num_inference_steps):
    arguments = (bend, normal(1), spaced_timesteps(1000, num_inference_steps, "trailing"), LINEAR)
    torch.testing.assert_close(*[list(each(*arguments))[0] for each in (sampler, euler)])


def test_the_first_step_of_dpm_solver_is_that_of_ddim():
    arguments = (bend, normal(1), spaced_timesteps(1000, 10), LINEAR)
    torch.testing.assert_close(next(dpm_solver_pp(*arguments)), next(ddim(*arguments)))


# Order of convergence, on the Gaussian N(MEAN, STD²), whose way back is known exactly.

MEAN, STD = 0.7, 0.4


def even_in_lambda(doublings: int = 10) -> NoiseSchedule:
    """2^doublings + 1 timesteps between which log(√ᾱ / √(1 − ᾱ)) falls evenly from 3 to −3."""
    lambdas = torch.linspace(3, -3, 2**doublings + 1, dtype=torch.float64)
    alphas_cumprod = (2 * lambdas).sigmoid()
    before = torch.cat([torch.ones(1, dtype=torch.float64), alphas_cumprod[:-1]])
    return NoiseSchedule(1 - alphas_cumprod / before)


FINE = even_in_lambda()


def ideal(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """E[ε | x_t], in closed form."""
    alpha_bar_t = FINE.alpha_bar(t, xt)
    variance = alpha_bar_t * STD**2 + 1 - alpha_bar_t
    return (1 - alpha_bar_t).sqrt() * (xt - alpha_bar_t.sqrt() * MEAN) / variance


def exact(xt: torch.Tensor, t: int, t_next: int) -> torch.Tensor:
    """Where the exact way back from t is at t_next: as many deviations from the mean as before."""
    here, there = FINE.alphas_cumprod[[t, t_next]]
    deviations = (xt - here.sqrt() * MEAN) / (here * STD**2 + 1 - here).sqrt()
    return there.sqrt() * MEAN + (there * STD**2 + 1 - there).sqrt() * deviations


def error(sampler: object, num_steps: int) -> float:
    """Largest distance from the exact way at t = 0, before the jump to the clean data."""
    last = FINE.num_train_timesteps - 1
    timesteps = torch.arange(last, -1, -(last // num_steps))
    *_, found, _ = sampler(ideal, normal(1), timesteps, FINE)
    return (found - exact(normal(1), last, 0)).abs().max().item()


@pytest.mark.parametrize(("sampler", "order"), [(euler, 1), (heun, 2), (dpm_solver_pp, 2)])
def test_twice_the_steps_make_the_error_smaller_by_two_to_the_order(sampler, order):
    errors = torch.tensor([error(sampler, 2**k) for k in (5, 6, 7, 8)], dtype=torch.float64)
    orders = -errors.log2().diff()
    # The order is reached in the limit; by 256 steps it is within 4 %.
    assert (orders - order).abs().max() < 0.15
    assert orders[-1].item() == pytest.approx(order, abs=0.04 * order)


def test_at_64_steps_a_second_order_solver_is_twenty_times_better():
    errors = {sampler: error(sampler, 64) for sampler in (euler, heun, dpm_solver_pp)}
    assert errors[euler] > 20 * max(errors[heun], errors[dpm_solver_pp])


# The same walks in diffusers.


def theirs(scheduler_class: type, timesteps: torch.Tensor, **options: object) -> object:
    """A scheduler of diffusers with our float64 tables, so that only the maths is compared."""
    scheduler = scheduler_class(**options)
    scheduler.alphas_cumprod = LINEAR.alphas_cumprod
    scheduler.set_timesteps(timesteps=timesteps.tolist())
    return scheduler


def walk_theirs(
    scheduler: EulerDiscreteScheduler, x: torch.Tensor, **options: object
) -> Iterator[torch.Tensor]:
    """Their states in our scale. They hold x_0 + σ ε and scale it for the network."""
    y = x * (1 + scheduler.sigmas[0].double() ** 2).sqrt()
    for i, t in enumerate(scheduler.timesteps):
        answer = bend(scheduler.scale_model_input(y, t), t.long().repeat(len(y)))
        y = scheduler.step(answer, t, y, **options).prev_sample
        yield y / (1 + scheduler.sigmas[i + 1].double() ** 2).sqrt()


@pytest.mark.parametrize("num_inference_steps", NUMBERS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("prediction_type", TYPES)
def test_euler_walks_as_that_of_diffusers(num_inference_steps, spacing, prediction_type):
    timesteps = spaced_timesteps(1000, num_inference_steps, spacing)
    scheduler = theirs(EulerDiscreteScheduler, timesteps, prediction_type=prediction_type)
    ours = euler(bend, normal(1), timesteps, LINEAR, prediction_type=prediction_type)
    for a, b in zip(ours, walk_theirs(scheduler, normal(1)), strict=True):
        # They step in float32 with numbers up to σ = 158.
        torch.testing.assert_close(a, b, atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("num_inference_steps", NUMBERS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
def test_euler_ancestral_walks_as_that_of_diffusers(
    num_inference_steps, spacing, prediction_type, monkeypatch
):
    def draw(shape: torch.Size, generator: torch.Generator, **like: object) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(**like)

    module = "diffusers.schedulers.scheduling_euler_ancestral_discrete"
    monkeypatch.setattr(f"{module}.randn_tensor", draw)  # in float32, as we draw
    timesteps = spaced_timesteps(1000, num_inference_steps, spacing)
    scheduler = EulerAncestralDiscreteScheduler(prediction_type=prediction_type)
    scheduler.alphas_cumprod = LINEAR.alphas_cumprod
    set_by_hand(scheduler, timesteps)
    options = {"prediction_type": prediction_type, "generator": seeded()}
    ours = euler_ancestral(bend, normal(1), timesteps, LINEAR, **options)
    others = walk_theirs(scheduler, normal(1), generator=seeded())
    for a, b in zip(ours, others, strict=True):
        # They step in float32 with numbers up to σ = 158.
        torch.testing.assert_close(a, b, atol=5e-5, rtol=1e-5)


def set_by_hand(scheduler: EulerAncestralDiscreteScheduler, timesteps: torch.Tensor) -> None:
    """This scheduler takes no timesteps from outside; what `set_timesteps` would set, we set."""
    scheduler.set_timesteps(len(timesteps))
    sigmas = ((1 - LINEAR.alphas_cumprod) / LINEAR.alphas_cumprod).sqrt()[timesteps]
    scheduler.sigmas = torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)])
    scheduler.timesteps = timesteps.float()


@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("scheduler_class", [EulerDiscreteScheduler, HeunDiscreteScheduler])
def test_the_sigmas_diffusers_chooses_itself_are_those_of_our_timesteps(spacing, scheduler_class):
    scheduler = scheduler_class(timestep_spacing=spacing, beta_end=0.02, beta_start=1e-4)
    scheduler.set_timesteps(10)
    timesteps = spaced_timesteps(1000, 10, spacing)
    sigmas = ((1 - LINEAR.alphas_cumprod) / LINEAR.alphas_cumprod).sqrt()[timesteps]
    found = torch.tensor(sorted(set(scheduler.sigmas.tolist()), reverse=True)[:-1])
    torch.testing.assert_close(found.double(), sigmas, atol=0, rtol=1e-3)


@pytest.mark.parametrize("num_inference_steps", NUMBERS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("prediction_type", TYPES)
def test_heun_walks_as_that_of_diffusers(num_inference_steps, spacing, prediction_type):
    timesteps = spaced_timesteps(1000, num_inference_steps, spacing)
    scheduler = theirs(HeunDiscreteScheduler, timesteps, prediction_type=prediction_type)
    sigmas = ((1 - LINEAR.alphas_cumprod) / LINEAR.alphas_cumprod).sqrt()[timesteps]
    sigmas = torch.cat([sigmas, torch.zeros(1, dtype=torch.float64)])
    scheduler.sigmas = torch.cat([sigmas[:1], sigmas[1:-1].repeat_interleave(2), sigmas[-1:]])
    ours = heun(bend, normal(1), timesteps, LINEAR, prediction_type=prediction_type)
    # Their states stand for two questions each but the last: the try, then the step.
    others = list(walk_theirs(scheduler, normal(1)))
    for a, b in zip(ours, [*others[1::2], others[-1]], strict=True):
        torch.testing.assert_close(a, b, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("num_inference_steps", NUMBERS)
@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("prediction_type", TYPES)
def test_dpm_solver_walks_as_that_of_diffusers(num_inference_steps, spacing, prediction_type):
    timesteps = spaced_timesteps(1000, num_inference_steps, spacing)
    options = {"algorithm_type": "dpmsolver++", "solver_order": 2, "final_sigmas_type": "zero"}
    scheduler = theirs(
        DPMSolverMultistepScheduler, timesteps, prediction_type=prediction_type, **options
    )
    ours = dpm_solver_pp(bend, normal(1), timesteps, LINEAR, prediction_type=prediction_type)
    x = normal(1)
    for state, t in zip(ours, scheduler.timesteps, strict=True):
        x = scheduler.step(bend(x, t.repeat(4)), t, x).prev_sample
        # They step in float32, and their σ is a float32 number.
        torch.testing.assert_close(state, x, atol=5e-5, rtol=1e-5)


@pytest.mark.parametrize("num_inference_steps", [2, 20])
def test_dpm_solver_with_diffusers_own_trailing_timesteps_and_its_own_table(num_inference_steps):
    options = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
    scheduler = DPMSolverMultistepScheduler(
        timestep_spacing="trailing", prediction_type="v_prediction", **options
    )
    scheduler.set_timesteps(num_inference_steps)
    x = normal(1).float()
    timesteps = spaced_timesteps(1000, num_inference_steps, "trailing")
    schedule = make_schedule("scaled_linear")
    *_, ours = dpm_solver_pp(bend, x, timesteps, schedule, prediction_type="v_prediction")
    for t in scheduler.timesteps:
        x = scheduler.step(bend(x, t.repeat(4)), t, x).prev_sample
    torch.testing.assert_close(ours, x, atol=1e-4, rtol=1e-4)


# Refusals that these samplers share are in test_samplers.py.


@pytest.mark.parametrize("sampler", [euler, euler_ancestral, heun])
def test_an_infinite_sigma_is_refused(sampler, refusal):
    schedule = NoiseSchedule(torch.tensor([0.1, 1.0], dtype=torch.float64))
    with refusal("timesteps: expected a start with ᾱ > 0"):
        next(sampler(bend, normal(1), torch.tensor([1, 0]), schedule, generator=seeded()))
