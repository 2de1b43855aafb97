"""One step from noisy to cleaner data, two ways: draw from the posterior, or go straight.

A step draws nothing: its noise is an argument, so that it can be tested exactly.
"""

from jaxtyping import Float, Int
from torch import Tensor

from edudiff import checks
from edudiff.diffusion.forward import posterior_mean_variance
from edudiff.diffusion.prediction import PredictionType, eps_from_x0, to_x0_and_eps
from edudiff.diffusion.schedule import NoiseSchedule


def ddpm_step(
    model_output: Float[Tensor, " b *shape"],
    xt: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    t_prev: Int[Tensor, " b"],
    schedule: NoiseSchedule,
    noise: Float[Tensor, " b *shape"],
    prediction_type: PredictionType = "epsilon",
    clip: float | None = None,
) -> Float[Tensor, " b *shape"]:
    """One ancestral step: estimate x_0, then draw x_prev from the posterior that has it.

        x_prev = mean(x̂_0, x_t) + √variance · noise

    At t_prev = −1 the variance is 0: the last step adds no noise.

    Args:
        model_output: the network's answer at (xt, t).
        xt: noisy data.
        t: timesteps in [0, T).
        t_prev: the cleaner timesteps to go to, in [-1, t).
        schedule: the noise tables.
        noise: standard normal noise.
        prediction_type: what the network predicts.
        clip: if given, x̂_0 is clamped to [-clip, clip] first (1 for pictures).

    Returns:
        The data at t_prev, in the dtype of `xt`.

    Raises:
        ValueError: if shapes differ, a timestep is outside the table, t_prev ≥ t, clip is not above
            0, or the prediction type is unknown.

    Source:
        Ho et al. 2020 (arXiv:2006.11239), algorithm 2 with σ_t² = β̃_t. In diffusers:
        `DDPMScheduler.step` with `variance_type="fixed_small"`.
    """
    checks.same_shape(xt=xt, model_output=model_output, noise=noise)
    x0_hat, _ = to_x0_and_eps(model_output, xt, t, schedule, prediction_type)
    if clip is not None:
        checks.positive(clip=clip)
        x0_hat = x0_hat.clamp(-clip, clip)
    mean, variance = posterior_mean_variance(x0_hat, xt, t, schedule, t_prev)
    return (mean + variance.sqrt() * noise).to(xt.dtype)


def ddim_step(
    model_output: Float[Tensor, " b *shape"],
    xt: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    t_prev: Int[Tensor, " b"],
    schedule: NoiseSchedule,
    noise: Float[Tensor, " b *shape"],
    prediction_type: PredictionType = "epsilon",
    clip: float | None = None,
    eta: float = 0.0,
) -> Float[Tensor, " b *shape"]:
    """Estimate x_0 and ε, then put them together again at a cleaner timestep.

        x_prev = √ᾱ_prev x̂_0 + √(1 − ᾱ_prev − σ²) ε̂ + σ · noise
        σ = η √((1 − ᾱ_prev) / (1 − ᾱ_t)) √(1 − ᾱ_t / ᾱ_prev)

    η = 0 uses no noise at all: the same start always gives the same end. η = 1 is `ddpm_step`.

    Args:
        model_output: the network's answer at (xt, t).
        xt: noisy data.
        t: timesteps in [0, T).
        t_prev: the cleaner timesteps to go to, in [-1, t).
        schedule: the noise tables.
        noise: standard normal noise; ignored when eta is 0.
        prediction_type: what the network predicts.
        clip: if given, x̂_0 is clamped to [-clip, clip], and ε̂ is made to agree with it.
        eta: share of the ancestral noise, in [0, 1].

    Returns:
        The data at t_prev, in the dtype of `xt`.

    Raises:
        ValueError: if shapes differ, a timestep is outside the table, t_prev ≥ t, eta is not in
            [0, 1], clip is not above 0, or the prediction type is unknown.

    Source:
        Song et al. 2021 (arXiv:2010.02502), eq. 12 and 16. In diffusers: `DDIMScheduler.step`.
    """
    checks.same_shape(xt=xt, model_output=model_output, noise=noise)
    if not 0 <= eta <= 1:
        raise ValueError(f"eta: expected a number in [0, 1], got {eta!r}")
    x0_hat, eps_hat = to_x0_and_eps(model_output, xt, t, schedule, prediction_type)
    if clip is not None:
        checks.positive(clip=clip)
        x0_hat = x0_hat.clamp(-clip, clip)
        eps_hat = eps_from_x0(x0_hat, xt, t, schedule)
    _, variance = posterior_mean_variance(x0_hat, xt, t, schedule, t_prev)
    alpha_bar_prev = schedule.alpha_bar(t_prev, xt)
    direction = (1 - alpha_bar_prev - eta**2 * variance).clamp(min=0).sqrt() * eps_hat
    return (alpha_bar_prev.sqrt() * x0_hat + direction + eta * variance.sqrt() * noise).to(xt.dtype)
