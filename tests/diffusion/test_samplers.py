from collections.abc import Iterator
from functools import partial

import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler

from edudiff.diffusion.prediction import training_target
from edudiff.diffusion.samplers import SAMPLERS, ddim, ddim_step, ddpm, ddpm_step, sample
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule
from edudiff.diffusion.spacing import spaced_timesteps
from edudiff.diffusion.zero_snr import zero_terminal_snr

LINEAR = make_schedule("linear")
TYPES = ["epsilon", "sample", "v_prediction"]
STEPS = [ddpm_step, ddim_step, partial(ddim_step, eta=0.5)]
STEP_NAMES = ["ddpm", "ddim", "ddim_half"]
NOISY = ["ddpm", "euler-ancestral"]
QUIET = ["ddim", "euler", "heun", "dpm-solver++"]


def normal(seed: int, *shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(shape or (4, 2, 3, 3), generator=generator, dtype=torch.float64)


def at(t: int) -> torch.Tensor:
    return torch.tensor([t])


# The loop.

SHORT = make_schedule("cosine", 12)


def shrink(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """A denoiser whose answer depends on the data and on the time."""
    return 0.5 * xt + 0.01 * t[:, None]


def walk(seed: int = 1, **options: object) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return list(sample(shrink, (3, 2), SHORT, generator=generator, **options))


def test_sample_yields_the_start_and_one_state_for_each_step():
    assert len(walk(num_inference_steps=4)) == 5


def test_sample_takes_every_timestep_unless_told_otherwise():
    assert len(walk()) == 13


def test_sample_starts_from_the_generators_first_noise():
    expected = torch.randn(3, 2, generator=torch.Generator().manual_seed(1))
    assert torch.equal(walk()[0], expected)


def test_sample_asks_the_model_at_the_leading_timesteps():
    asked = []

    def model(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        asked.append(t)
        return shrink(xt, t)

    list(sample(model, (3, 2), SHORT, generator=torch.Generator(), num_inference_steps=4))
    assert torch.equal(torch.stack(asked), torch.tensor([[9], [6], [3], [0]]).expand(4, 3))


def test_sample_asks_the_model_about_the_state_it_has_just_yielded():
    asked = []

    def model(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        asked.append(xt)
        return shrink(xt, t)

    *states, _ = sample(model, (3, 2), SHORT, generator=torch.Generator(), num_inference_steps=4)
    assert all(torch.equal(a, b) for a, b in zip(asked, states, strict=True))


@pytest.mark.parametrize("step", STEPS, ids=STEP_NAMES)
@pytest.mark.parametrize("prediction_type", TYPES)
@pytest.mark.parametrize("clip", [None, 0.2])
def test_sample_is_the_step_repeated_with_fresh_noise(step, prediction_type, clip):
    generator = torch.Generator().manual_seed(1)
    xt = torch.randn(3, 2, generator=generator)
    for t, t_prev in [(9, 6), (6, 3), (3, 0), (0, -1)]:
        noise, t, t_prev = torch.randn(3, 2, generator=generator), at(t), at(t_prev)
        answer = shrink(xt, t.expand(3))
        xt = step(answer, xt, t.expand(3), t_prev.expand(3), SHORT, noise, prediction_type, clip)
    *_, found = walk(num_inference_steps=4, step=step, prediction_type=prediction_type, clip=clip)
    assert torch.equal(found, xt)


def test_the_same_seed_gives_the_same_samples():
    assert torch.equal(walk()[-1], walk()[-1])


def test_another_seed_gives_other_samples():
    assert not torch.equal(walk(seed=1)[-1], walk(seed=2)[-1])


def test_sample_draws_from_its_generator_alone():
    before = torch.get_rng_state()
    walk()
    assert torch.equal(torch.get_rng_state(), before)


def test_sample_draws_the_same_noise_whatever_the_device(device):
    found = walk(num_inference_steps=4, device=device)[-1]
    expected = walk(num_inference_steps=4)[-1]
    torch.testing.assert_close(found.cpu(), expected, atol=1e-5, rtol=1e-5)


def test_sample_yields_a_new_tensor_each_time():
    assert len({state.data_ptr() for state in walk()}) == 13


def test_sample_builds_no_graph_through_the_model():
    model = torch.nn.Linear(2, 2)
    states = sample(
        lambda xt, t: model(xt), (3, 2), SHORT, generator=torch.Generator(), num_inference_steps=2
    )
    assert not any(state.requires_grad for state in states)


def test_gradients_stay_on_for_whoever_watches_the_samples():
    states = sample(shrink, (3, 2), SHORT, generator=torch.Generator(), num_inference_steps=2)
    assert all(torch.is_grad_enabled() for _ in states)


@pytest.mark.parametrize("num_inference_steps", [0, 13])
def test_sample_refuses_too_few_or_too_many_steps(num_inference_steps, refusal):
    with refusal("num_inference_steps: expected"):
        walk(num_inference_steps=num_inference_steps)


def test_sample_passes_on_what_the_step_refuses(refusal):
    with refusal("unknown prediction type"):
        walk(prediction_type="eps")


def ideal_for_a_gaussian(
    mean: float, std: float, schedule: NoiseSchedule, prediction_type: str
) -> partial:
    """The best answer there is if the data are N(mean, std²): known in closed form."""

    def answer(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        alpha_bar_t = schedule.alpha_bar(t, xt)
        gain = std**2 * alpha_bar_t.sqrt() / (std**2 * alpha_bar_t + 1 - alpha_bar_t)
        x0_hat = mean + gain * (xt - alpha_bar_t.sqrt() * mean)
        eps_hat = (xt - alpha_bar_t.sqrt() * x0_hat) / (1 - alpha_bar_t).sqrt()
        return training_target(x0_hat.float(), eps_hat.float(), t, schedule, prediction_type)

    return answer


@pytest.mark.parametrize(
    ("step", "prediction_type"), list(zip(STEPS, TYPES, strict=True)), ids=STEP_NAMES
)
def test_the_ideal_denoiser_of_a_gaussian_samples_that_gaussian(step, prediction_type, generator):
    schedule = make_schedule("linear", 1000)
    model = ideal_for_a_gaussian(0.8, 0.5, schedule, prediction_type)
    *_, found = sample(
        model,
        (20_000, 1),
        schedule,
        generator=generator,
        num_inference_steps=250,
        step=step,
        prediction_type=prediction_type,
    )
    # Four standard errors are 0.014 and 0.01; that there are only 250 steps makes samples too
    # narrow by about 0.012.
    assert found.mean().item() == pytest.approx(0.8, abs=0.018)
    assert found.std().item() == pytest.approx(0.5, abs=0.024)


def test_clip_keeps_every_sample_within_bounds(generator):
    *_, found = sample(shrink, (500, 2), SHORT, generator=generator, clip=0.3)
    assert found.abs().max() <= 0.3


# All samplers by name.

STOPS = torch.tensor([11, 7, 2])


def bend(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
    """A denoiser that is not linear and depends on the time."""
    return 0.8 * xt.tanh() + 0.0003 * t.reshape(-1, *[1] * (xt.ndim - 1))


def run(name: str, x: torch.Tensor, seed: int = 1, **options: object) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    timesteps = options.pop("timesteps", STOPS)
    model = options.pop("model", bend)
    schedule = options.pop("schedule", SHORT)
    return list(SAMPLERS[name](model, x, timesteps, schedule, generator=generator, **options))


def test_there_are_six_samplers():
    assert sorted(SAMPLERS) == sorted([*NOISY, *QUIET])


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_yields_one_state_for_each_step(name):
    assert [state.shape for state in run(name, normal(1))] == [(4, 2, 3, 3)] * 3


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("prediction_type", TYPES)
def test_every_sampler_ends_on_its_last_estimate_of_x0(name, prediction_type):
    answers = []

    def model(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        x0_hat = bend(xt, t)
        answers.append(x0_hat)
        eps_hat = (xt - SHORT.alpha_bar(t, xt).sqrt() * x0_hat) / (
            1 - SHORT.alpha_bar(t, xt)
        ).sqrt()
        return training_target(x0_hat, eps_hat, t, SHORT, prediction_type)

    *_, found = run(name, normal(1), model=model, prediction_type=prediction_type)
    torch.testing.assert_close(found, answers[-1], atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_network_that_knows_x0_leads_every_sampler_to_it(name):
    x0 = normal(3)
    *_, found = run(name, normal(1), model=lambda xt, t: x0, prediction_type="sample")
    torch.testing.assert_close(found, x0, atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", QUIET)
def test_without_noise_a_network_that_knows_both_ends_follows_their_line(name):
    x0, eps = normal(3), normal(4)
    first, *others = STOPS.tolist()

    def between(t: int) -> torch.Tensor:
        alpha_bar = SHORT.alphas_cumprod[t] if t >= 0 else torch.ones(())
        return alpha_bar.sqrt() * x0 + (1 - alpha_bar).sqrt() * eps

    states = run(name, between(first), model=lambda xt, t: eps)
    for state, t in zip(states, [*others, -1], strict=True):
        torch.testing.assert_close(state, between(t), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_asks_at_every_timestep_it_is_given(name):
    asked = []

    def model(xt: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        assert (t.dtype, t.shape) == (torch.int64, (4,))
        asked.extend(t[:1].tolist())
        return bend(xt, t)

    run(name, normal(1), model=model)
    assert list(dict.fromkeys(asked)) == STOPS.tolist()
    assert len(asked) == (5 if name == "heun" else 3)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.float32, torch.float64])
def test_a_samplers_dtype_follows_the_noise(name, dtype):
    assert {state.dtype for state in run(name, normal(1).to(dtype))} == {dtype}


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_runs_on_the_device_of_the_noise(name, device):
    found = run(name, normal(1).float().to(device))[-1]
    expected = run(name, normal(1).float())[-1]
    torch.testing.assert_close(found.cpu(), expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("name", QUIET)
def test_a_member_of_a_samplers_batch_does_not_depend_on_the_others(name):
    together = run(name, normal(1))[-1]
    alone = run(name, normal(1)[2:3])[-1]
    torch.testing.assert_close(alone, together[2:3], atol=1e-12, rtol=0)


@pytest.mark.parametrize("name", QUIET)
def test_a_sampler_without_noise_needs_no_generator(name):
    without = list(SAMPLERS[name](bend, normal(1), STOPS, SHORT))[-1]
    assert torch.equal(without, run(name, normal(1))[-1])


@pytest.mark.parametrize("name", NOISY)
def test_a_sampler_with_noise_follows_its_seed(name):
    once, again, other = (run(name, normal(1), seed)[-1] for seed in (1, 1, 2))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_leaves_the_global_state_alone(name):
    before = torch.get_rng_state()
    run(name, normal(1))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_leaves_the_noise_it_was_given_as_it_was(name):
    x = normal(1)
    run(name, x)
    assert torch.equal(x, normal(1))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_builds_no_graph_through_the_model(name):
    linear = torch.nn.Linear(3, 3).double()
    states = run(name, normal(1), model=lambda xt, t: linear(xt))
    assert not any(state.requires_grad for state in states)


def test_ddpm_by_name_is_sample_with_ddpm_step():
    generator = torch.Generator().manual_seed(3)
    expected = list(sample(shrink, (3, 2), SHORT, generator=generator, num_inference_steps=4))
    generator = torch.Generator().manual_seed(3)
    x = torch.randn(3, 2, generator=generator)
    stops = spaced_timesteps(12, 4)
    found = list(ddpm(shrink, x, stops, SHORT, generator=generator))
    assert all(torch.equal(a, b) for a, b in zip(found, expected[1:], strict=True))


def test_ddim_by_name_is_sample_with_ddim_step():
    generator = torch.Generator().manual_seed(3)
    options = {"generator": generator, "num_inference_steps": 4, "step": ddim_step}
    first, *expected = sample(shrink, (3, 2), SHORT, **options)
    found = list(ddim(shrink, first, spaced_timesteps(12, 4), SHORT))
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@pytest.mark.parametrize("prediction_type", TYPES)
def test_ddim_with_eta_one_walks_as_ddpm(prediction_type):
    options = {"prediction_type": prediction_type}
    ancestral = run("ddpm", normal(1), **options)[-1]
    implicit = run("ddim", normal(1), eta=1.0, **options)[-1]
    torch.testing.assert_close(implicit, ancestral, atol=1e-10, rtol=0)


# The law that comes out, where it is known.


@pytest.mark.parametrize(
    ("name", "prediction_type"), list(zip(SAMPLERS, [*TYPES, *TYPES], strict=True))
)
def test_every_sampler_draws_the_gaussian_whose_ideal_denoiser_it_is_given(
    name, prediction_type, generator
):
    model = ideal_for_a_gaussian(0.8, 0.5, LINEAR, prediction_type)
    *_, found = SAMPLERS[name](
        model,
        torch.randn(20_000, 1, generator=generator),
        spaced_timesteps(1000, 250, "trailing"),
        LINEAR,
        prediction_type=prediction_type,
        generator=generator,
    )
    # Four standard errors are 0.014 and 0.01, and 250 steps make samples too narrow by up to 0.012.
    assert found.mean().item() == pytest.approx(0.8, abs=0.018)
    assert found.std().item() == pytest.approx(0.5, abs=0.024)


# The same walks in diffusers.


def theirs(scheduler_class: type, **options: object) -> DDPMScheduler | DDIMScheduler:
    """A scheduler of diffusers with our float64 table, so that only the maths is compared."""
    scheduler = scheduler_class(clip_sample=False, **options)
    scheduler.alphas_cumprod = LINEAR.alphas_cumprod
    return scheduler


def same_noise(monkeypatch: pytest.MonkeyPatch, module: str) -> None:
    """Let diffusers draw in float32, as we do, whatever the dtype of the data."""

    def draw(shape: torch.Size, generator: torch.Generator, **like: object) -> torch.Tensor:
        return torch.randn(shape, generator=generator).to(**like)

    monkeypatch.setattr(f"diffusers.schedulers.{module}.randn_tensor", draw)


def walk_theirs(
    scheduler: DDPMScheduler | DDIMScheduler, x: torch.Tensor, **options: object
) -> Iterator[torch.Tensor]:
    for t in scheduler.timesteps:
        answer = bend(x, t.repeat(len(x)))
        x = scheduler.step(answer, int(t), x, **options).prev_sample
        yield x


@pytest.mark.parametrize("num_inference_steps", [3, 10, 50])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("prediction_type", TYPES)
def test_ddpm_walks_as_that_of_diffusers(
    num_inference_steps, spacing, prediction_type, monkeypatch
):
    same_noise(monkeypatch, "scheduling_ddpm")
    timesteps = spaced_timesteps(1000, num_inference_steps, spacing)
    scheduler = theirs(DDPMScheduler, prediction_type=prediction_type)
    scheduler.set_timesteps(timesteps=timesteps.tolist())
    generator = torch.Generator().manual_seed(1)
    expected = list(walk_theirs(scheduler, normal(1), generator=generator))
    options = {"timesteps": timesteps, "schedule": LINEAR, "prediction_type": prediction_type}
    found = run("ddpm", normal(1), **options)
    for ours, other in zip(found, expected, strict=True):
        # On their last step they clamp the variance, which is 0, to 1e-20: noise of 1e-10.
        torch.testing.assert_close(ours, other, atol=1e-8, rtol=1e-8)


@pytest.mark.parametrize("eta", [0.0, 0.6])
@pytest.mark.parametrize("num_inference_steps", [4, 10, 50])
@pytest.mark.parametrize("spacing", ["leading", "trailing"])
@pytest.mark.parametrize("prediction_type", TYPES)
def test_ddim_walks_as_that_of_diffusers(
    eta, num_inference_steps, spacing, prediction_type, monkeypatch
):
    # They take t − T // S for the next stop, whatever the spacing: right if S divides T.
    same_noise(monkeypatch, "scheduling_ddim")
    options = {"timestep_spacing": spacing, "prediction_type": prediction_type}
    scheduler = theirs(DDIMScheduler, **options)
    scheduler.set_timesteps(num_inference_steps)
    generator = torch.Generator().manual_seed(1)
    expected = list(walk_theirs(scheduler, normal(1), generator=generator, eta=eta))
    timesteps = spaced_timesteps(1000, num_inference_steps, spacing)
    options = {"timesteps": timesteps, "schedule": LINEAR, "prediction_type": prediction_type}
    found = run("ddim", normal(1), eta=eta, **options)
    for ours, other in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, other, atol=1e-8, rtol=1e-8)


# Refusals.


@pytest.mark.parametrize("name", NOISY)
def test_a_sampler_with_noise_refuses_to_go_without_a_generator(name, refusal):
    with refusal("generator: expected a torch.Generator"):
        next(SAMPLERS[name](bend, normal(1), STOPS, SHORT))


def test_ddim_with_eta_refuses_to_go_without_a_generator(refusal):
    with refusal("generator: expected a torch.Generator"):
        next(ddim(bend, normal(1), STOPS, SHORT, eta=0.5))


@pytest.mark.parametrize("eta", [-0.1, 1.1])
def test_ddim_by_name_refuses_an_eta_outside_zero_and_one(eta, refusal):
    with refusal(r"eta: expected a number in \[0, 1\]"):
        run("ddim", normal(1), eta=eta)


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("timesteps", [[], [2, 2], [2, 7], [[7], [2]]])
def test_a_sampler_refuses_timesteps_that_do_not_fall(name, timesteps, refusal):
    with refusal("timesteps: expected"):
        run(name, normal(1), timesteps=torch.tensor(timesteps, dtype=torch.int64))


@pytest.mark.parametrize("name", SAMPLERS)
@pytest.mark.parametrize("timesteps", [[12, 3], [5, -1]])
def test_a_sampler_refuses_timesteps_outside_the_table(name, timesteps, refusal):
    with refusal(r"timesteps: expected timesteps in \[0, 11\]"):
        run(name, normal(1), timesteps=torch.tensor(timesteps))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_refuses_timesteps_that_are_not_whole(name, refusal):
    with refusal("timesteps: expected int64 timesteps"):
        run(name, normal(1), timesteps=torch.tensor([7.5, 2.5]))


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_refuses_an_unknown_prediction_type(name, refusal):
    with refusal("unknown prediction type"):
        run(name, normal(1), prediction_type="noise")


@pytest.mark.parametrize("name", SAMPLERS)
def test_a_sampler_refuses_an_answer_of_another_shape(name, refusal):
    with refusal("model_output: expected the shape of xt"):
        run(name, normal(1), model=lambda xt, t: xt[:, :1])


# A schedule that ends in pure noise.

PURE = NoiseSchedule(zero_terminal_snr(SHORT.betas))
FROM_NOTHING = ["ddpm", "ddim", "dpm-solver++"]


@pytest.mark.parametrize("name", FROM_NOTHING)
@pytest.mark.parametrize("prediction_type", ["sample", "v_prediction"])
def test_some_samplers_start_where_nothing_of_the_data_is_left(name, prediction_type):
    states = run(name, normal(1), schedule=PURE, prediction_type=prediction_type)
    assert all(state.isfinite().all() for state in states)


@pytest.mark.parametrize("name", FROM_NOTHING)
def test_the_first_step_from_pure_noise_takes_x0_from_the_answer_alone(name):
    x0 = normal(3)
    state, *_ = run(
        name, normal(1), schedule=PURE, model=lambda xt, t: x0, prediction_type="sample"
    )
    signal = PURE.alphas_cumprod[STOPS[1]].sqrt()
    noise = (1 - signal.square()).sqrt()
    left = (state - signal * x0) / noise
    # What is left is the noise of the start, or a fresh one.
    if name == "ddpm":
        left = left.float()
        drawn = torch.randn(4, 2, 3, 3, generator=torch.Generator().manual_seed(1))
        torch.testing.assert_close(left, drawn, atol=1e-5, rtol=0)
    else:
        torch.testing.assert_close(left, normal(1), atol=1e-10, rtol=0)


@pytest.mark.parametrize("name", FROM_NOTHING)
def test_a_network_that_predicts_noise_cannot_start_from_pure_noise(name, refusal):
    with refusal("expected timesteps with ᾱ > 0, got one where nothing of the data is left"):
        run(name, normal(1), schedule=PURE)


@pytest.mark.parametrize("name", ["euler", "euler-ancestral", "heun"])
def test_samplers_written_in_sigma_refuse_to_start_at_infinity(name, refusal):
    with refusal("timesteps: expected a start with ᾱ > 0.*ddpm, ddim and dpm-solver"):
        run(name, normal(1), schedule=PURE, prediction_type="v_prediction")
