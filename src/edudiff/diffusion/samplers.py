"""From noise to data: the loop around a step, and all samplers by name.

A sampler is a generator. It is given standard normal noise and the timesteps to visit, and yields
the data after each step. Only those with noise draw, and only from the generator they are given.
"""

from collections.abc import Callable, Iterator

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff.diffusion.denoising import Denoiser, ask, draw, strides
from edudiff.diffusion.prediction import PredictionType
from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.solvers import dpm_solver_pp, euler, euler_ancestral, heun
from edudiff.diffusion.spacing import leading_timesteps
from edudiff.diffusion.steps import ddim_step, ddpm_step

__all__ = [
    "SAMPLERS",
    "Denoiser",
    "Sampler",
    "ddim",
    "ddim_step",
    "ddpm",
    "ddpm_step",
    "leading_timesteps",
    "sample",
]

Step = Callable[..., Tensor]
Sampler = Callable[..., Iterator[Tensor]]


def sample(
    model: Denoiser,
    shape: tuple[int, ...],
    schedule: NoiseSchedule,
    *,
    generator: Generator,
    num_inference_steps: int | None = None,
    step: Step = ddpm_step,
    prediction_type: PredictionType = "epsilon",
    clip: float | None = None,
    device: torch.device | str = "cpu",
) -> Iterator[Tensor]:
    """Walk from noise to data, yielding x at every stop: first the noise, last the samples.

    All noise is drawn on the CPU in float32 and then moved, so that a seed means the same on
    every device.

    Args:
        model: (xt, t) → the network's answer, with t int64 of shape (b,).
        shape: shape of the batch, (b, …).
        schedule: the noise tables the model was trained with.
        generator: the source of randomness, on the CPU.
        num_inference_steps: S, how many steps to take; all T of them if not given.
        step: `ddpm_step`, `ddim_step`, or `functools.partial(ddim_step, eta=…)`.
        prediction_type: what the network predicts.
        clip: if given, every x̂_0 is clamped to [-clip, clip] (1 for pictures).
        device: where the model lives.

    Yields:
        S + 1 tensors of the given shape.

    Raises:
        ValueError: unless 1 ≤ S ≤ T; and what `step` raises.
    """
    num_train_timesteps = schedule.num_train_timesteps
    if num_inference_steps is None:
        num_inference_steps = num_train_timesteps
    stops = leading_timesteps(num_train_timesteps, num_inference_steps)
    xt = torch.randn(shape, generator=generator).to(device)
    yield xt
    for t, t_prev in zip(stops.tolist(), [*stops[1:].tolist(), -1], strict=True):
        noise = torch.randn(shape, generator=generator).to(device)
        here, there = (torch.full(shape[:1], stop, device=device) for stop in (t, t_prev))
        with torch.no_grad():
            answer = model(xt, here)
            xt = step(answer, xt, here, there, schedule, noise, prediction_type, clip)
        yield xt


def ddpm(
    model: Denoiser,
    x: Float[Tensor, " b *shape"],
    timesteps: Int[Tensor, " S"],
    schedule: NoiseSchedule,
    *,
    prediction_type: PredictionType = "epsilon",
    generator: Generator | None = None,
) -> Iterator[Tensor]:
    """Draw every step from its posterior; `generator` is needed. Arguments as in `SAMPLERS`.

    Raises:
        ValueError: on the first step, if there is no generator, for timesteps that do not fall
            within the table, an unknown prediction type, or "epsilon" where ᾱ = 0.

    Source:
        Ho et al. 2020 (arXiv:2006.11239), algorithm 2. In diffusers: `DDPMScheduler`.
    """
    for t, t_prev in strides(timesteps, schedule):
        answer, here = ask(model, x, t)
        there, noise = torch.full_like(here, t_prev), draw(x, generator)
        x = ddpm_step(answer, x, here, there, schedule, noise, prediction_type)
        yield x


def ddim(
    model: Denoiser,
    x: Float[Tensor, " b *shape"],
    timesteps: Int[Tensor, " S"],
    schedule: NoiseSchedule,
    *,
    prediction_type: PredictionType = "epsilon",
    generator: Generator | None = None,
    eta: float = 0.0,
) -> Iterator[Tensor]:
    """Estimate x_0 and ε and put them together at the next timestep. Arguments as in `SAMPLERS`.

    With η = 0 nothing is drawn; above, `generator` is needed; η = 1 is `ddpm`.

    Raises:
        ValueError: as `ddpm`, or if eta is not in [0, 1]; a generator is missed only if η > 0.

    Source:
        Song et al. 2021 (arXiv:2010.02502), eq. 12. In diffusers: `DDIMScheduler`.
    """
    for t, t_prev in strides(timesteps, schedule):
        answer, here = ask(model, x, t)
        there = torch.full_like(here, t_prev)
        noise = draw(x, generator) if eta else torch.zeros_like(x)
        x = ddim_step(answer, x, here, there, schedule, noise, prediction_type, eta=eta)
        yield x


SAMPLERS: dict[str, Sampler] = {
    "ddpm": ddpm,
    "ddim": ddim,
    "euler": euler,
    "euler-ancestral": euler_ancestral,
    "heun": heun,
    "dpm-solver++": dpm_solver_pp,
}
"""Every sampler by name, all called alike:

    sampler(model, x, timesteps, schedule, prediction_type="epsilon", generator=None)

model: (xt, t) → the network's answer, with t int64 of shape (b,).
x: standard normal noise, taken for the data at the first timestep.
timesteps: S falling timesteps, from `spacing.spaced_timesteps`; the step after the last one goes
    to the clean data.
schedule: the noise tables the model was trained with.
prediction_type: what the model predicts.
generator: the source of noise, on the CPU, for "ddpm", "euler-ancestral", and "ddim" with η > 0.

Each yields S tensors in the scale x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε, the last one the estimate of x_0.
"""
