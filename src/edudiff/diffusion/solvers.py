"""Samplers that treat the way back as a differential equation, each as short as its algorithm.

Divide x_t by √ᾱ_t and what is left is clean data plus noise of level σ,

    y = x_t / √ᾱ_t = x_0 + σ ε,   σ = √((1 − ᾱ_t) / ᾱ_t),   x_t = y / √(1 + σ²),

and the whole equation is dy/dσ = ε̂(y, σ): move along the estimated noise. Euler, Heun and the
ancestral sampler are written in y. DPM-Solver++ is written in its paper's variables.

Source:
    Song et al. 2021 (arXiv:2010.02502), eq. 14; Karras et al. 2022 (arXiv:2206.00364), eq. 1 and 3.
"""

import math
from collections.abc import Iterator
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff.diffusion.denoising import Denoiser, draw, estimate, strides
from edudiff.diffusion.prediction import PredictionType
from edudiff.diffusion.schedule import NoiseSchedule


def euler(
    model: Denoiser,
    x: Float[Tensor, " b *shape"],
    timesteps: Int[Tensor, " S"],
    schedule: NoiseSchedule,
    *,
    prediction_type: PredictionType = "epsilon",
    generator: Generator | None = None,
) -> Iterator[Tensor]:
    """Euler's method: follow the slope at the start of each step.

        y_next = y + (σ_next − σ) ε̂(y, σ)

    Algebra makes this DDIM with η = 0. Arguments as in `samplers.SAMPLERS`; draws nothing.

    Raises:
        ValueError: on the first step, for timesteps that do not fall within the table, an unknown
            prediction type, or a start at ᾱ = 0, where σ is infinite.

    Source:
        Karras et al. 2022 (arXiv:2206.00364), algorithm 1 without its correction. In diffusers:
        `EulerDiscreteScheduler`, whose pipelines begin at σ ε rather than √(1 + σ²) ε unless the
        spacing is "leading".
    """
    sigmas = _sigmas(timesteps, schedule)
    y = x * math.hypot(1, sigmas[0])
    for t, (sigma, sigma_next) in zip(timesteps.tolist(), pairwise(sigmas), strict=True):
        slope = _slope(model, y, t, sigma, schedule, prediction_type)
        y = y + (sigma_next - sigma) * slope
        yield y / math.hypot(1, sigma_next)


def euler_ancestral(
    model: Denoiser,
    x: Float[Tensor, " b *shape"],
    timesteps: Int[Tensor, " S"],
    schedule: NoiseSchedule,
    *,
    prediction_type: PredictionType = "epsilon",
    generator: Generator | None = None,
) -> Iterator[Tensor]:
    """Euler's method that goes down too far, to σ_down, and adds noise to be at σ_next again.

        σ_up² = σ_next² (σ² − σ_next²) / σ²,   σ_down² = σ_next² − σ_up²
        y_next = y + (σ_down − σ) ε̂(y, σ) + σ_up · noise

    Algebra makes this DDPM. Arguments as in `samplers.SAMPLERS`; `generator` is needed.

    Raises:
        ValueError: on the first step, if there is no generator; and as `euler`.

    Source:
        k-diffusion, `sample_euler_ancestral`. In diffusers: `EulerAncestralDiscreteScheduler`.
    """
    sigmas = _sigmas(timesteps, schedule)
    y = x * math.hypot(1, sigmas[0])
    for t, (sigma, sigma_next) in zip(timesteps.tolist(), pairwise(sigmas), strict=True):
        sigma_up = sigma_next * math.sqrt(1 - (sigma_next / sigma) ** 2)
        sigma_down = sigma_next**2 / sigma
        slope = _slope(model, y, t, sigma, schedule, prediction_type)
        y = y + (sigma_down - sigma) * slope + sigma_up * draw(y, generator)
        yield y / math.hypot(1, sigma_next)


def heun(
    model: Denoiser,
    x: Float[Tensor, " b *shape"],
    timesteps: Int[Tensor, " S"],
    schedule: NoiseSchedule,
    *,
    prediction_type: PredictionType = "epsilon",
    generator: Generator | None = None,
) -> Iterator[Tensor]:
    """Heun's method: try Euler's step, look at the slope there, and go with the mean of the two.

        y_try = y + (σ_next − σ) ε̂(y, σ)
        y_next = y + (σ_next − σ) (ε̂(y, σ) + ε̂(y_try, σ_next)) / 2

    The last step is Euler's, for there is no slope at σ = 0: 2 S − 1 questions to the network.
    Arguments as in `samplers.SAMPLERS`; draws nothing.

    Raises:
        ValueError: as `euler`.

    Source:
        Karras et al. 2022 (arXiv:2206.00364), algorithm 1. In diffusers: `HeunDiscreteScheduler`.
    """
    sigmas = _sigmas(timesteps, schedule)
    y = x * math.hypot(1, sigmas[0])
    for (t, t_next), (sigma, sigma_next) in zip(
        strides(timesteps, schedule), pairwise(sigmas), strict=True
    ):
        slope = _slope(model, y, t, sigma, schedule, prediction_type)
        if sigma_next > 0:
            y_try = y + (sigma_next - sigma) * slope
            there = _slope(model, y_try, t_next, sigma_next, schedule, prediction_type)
            slope = (slope + there) / 2
        y = y + (sigma_next - sigma) * slope
        yield y / math.hypot(1, sigma_next)


def dpm_solver_pp(
    model: Denoiser,
    x: Float[Tensor, " b *shape"],
    timesteps: Int[Tensor, " S"],
    schedule: NoiseSchedule,
    *,
    prediction_type: PredictionType = "epsilon",
    generator: Generator | None = None,
) -> Iterator[Tensor]:
    """DPM-Solver++ 2M: solve the linear part exactly, and remember the last x̂_0 to see it bend.

        α = √ᾱ, σ = √(1 − ᾱ), λ = log(α / σ), h = λ_next − λ, r = h_before / h
        D = x̂_0 + (x̂_0 − x̂_0,before) / (2 r)
        x_next = (σ_next / σ) x − α_next (e^{−h} − 1) D

    One question per step. The first step has no memory and takes D = x̂_0, and so does the last:
    h is infinite there. Works from ᾱ = 0 too. Arguments as in `samplers.SAMPLERS`; draws nothing.

    Raises:
        ValueError: on the first step, for timesteps that do not fall within the table, an unknown
            prediction type, or "epsilon" where ᾱ = 0.

    Source:
        Lu et al. 2022 (arXiv:2211.01095), algorithm 2. In diffusers: `DPMSolverMultistepScheduler`
        with `algorithm_type="dpmsolver++"`, `solver_order=2` and `final_sigmas_type="zero"`.
    """
    alphas, sigmas, lambdas = _dpm_tables(timesteps, schedule)
    x0_before, h_before = None, 0.0
    for i, t in enumerate(timesteps.tolist()):
        x0_hat, _ = estimate(model, x, t, schedule, prediction_type)
        h = lambdas[i + 1] - lambdas[i]
        direction = x0_hat
        if x0_before is not None and sigmas[i + 1] > 0:
            direction = x0_hat + (x0_hat - x0_before) * (h / (2 * h_before))
        x = (sigmas[i + 1] / sigmas[i]) * x - alphas[i + 1] * math.expm1(-h) * direction
        x0_before, h_before = x0_hat, h
        yield x


def _slope(
    model: Denoiser,
    y: Tensor,
    t: int,
    sigma: float,
    schedule: NoiseSchedule,
    prediction_type: PredictionType,
) -> Tensor:
    """dy/dσ, which is the estimated noise."""
    return estimate(model, y / math.hypot(1, sigma), t, schedule, prediction_type)[1]


def _alpha_bars(timesteps: Tensor, schedule: NoiseSchedule) -> Tensor:
    """ᾱ at every stop, S + 1 numbers, the last one 1."""
    strides(timesteps, schedule)  # refuses what is no way back
    there = schedule.alphas_cumprod[timesteps.cpu()]
    return torch.cat([there, torch.ones(1, dtype=torch.float64)])


def _sigmas(timesteps: Tensor, schedule: NoiseSchedule) -> list[float]:
    """σ at every stop, S + 1 numbers, the last one 0."""
    alpha_bars = _alpha_bars(timesteps, schedule)
    if alpha_bars[0] == 0:
        raise ValueError(
            "timesteps: expected a start with ᾱ > 0, because σ = √((1 − ᾱ) / ᾱ) must be finite; "
            f"got {int(timesteps[0])}, where ᾱ = 0. ddpm, ddim and dpm-solver++ can start there."
        )
    return ((1 - alpha_bars) / alpha_bars).sqrt().tolist()


def _dpm_tables(
    timesteps: Tensor, schedule: NoiseSchedule
) -> tuple[list[float], list[float], list[float]]:
    """α, σ and λ = log(α / σ) at every stop; λ ends at infinity."""
    alpha_bars = _alpha_bars(timesteps, schedule)
    alphas, sigmas = alpha_bars.sqrt(), (1 - alpha_bars).sqrt()
    return alphas.tolist(), sigmas.tolist(), (alphas / sigmas).log().tolist()
