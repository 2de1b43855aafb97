"""From data to noise: one step, the closed form for any number of steps, and the posterior."""

from jaxtyping import Float, Int
from torch import Tensor

from edudiff import checks
from edudiff.diffusion.schedule import NoiseSchedule


def forward_step(
    x_prev: Float[Tensor, " b *shape"],
    eps: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
) -> Float[Tensor, " b *shape"]:
    """One step of the chain: shrink a little, add a little noise.

        x_t = √(1 − β_t) x_{t−1} + √β_t ε

    Args:
        x_prev: the state before the step; for t = 0 the clean data in [-1, 1].
        eps: standard normal noise.
        t: timesteps in [0, T).
        schedule: the noise tables.

    Returns:
        The state after step t, in the dtype of `x_prev`.

    Raises:
        ValueError: if shapes differ, a dtype is not floating, or a timestep is outside [0, T).

    Source:
        Ho et al. 2020 (arXiv:2006.11239), eq. 2.
    """
    checks.same_shape(x_prev=x_prev, eps=eps)
    checks.floating(x_prev=x_prev, eps=eps)
    checks.timesteps(t, schedule.num_train_timesteps)
    kept = schedule.alpha_bar(t, x_prev) / schedule.alpha_bar(t - 1, x_prev)
    return (kept.sqrt() * x_prev + (1 - kept).sqrt() * eps).to(x_prev.dtype)


def add_noise(
    x0: Float[Tensor, " b *shape"],
    eps: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
) -> Float[Tensor, " b *shape"]:
    """Jump from clean data to timestep t at once.

        x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε

    Args:
        x0: clean data, pictures in [-1, 1].
        eps: standard normal noise.
        t: timesteps in [0, T); the paper counts from 1.
        schedule: the noise tables.

    Returns:
        The noisy data, of unit variance if `x0` is, in the dtype of `x0`.

    Raises:
        ValueError: if shapes differ, a dtype is not floating, or a timestep is outside [0, T).

    Source:
        Ho et al. 2020 (arXiv:2006.11239), eq. 4. In diffusers: `DDPMScheduler.add_noise`.
    """
    checks.same_shape(x0=x0, eps=eps)
    checks.floating(x0=x0, eps=eps)
    checks.timesteps(t, schedule.num_train_timesteps)
    alpha_bar_t = schedule.alpha_bar(t, x0)
    return (alpha_bar_t.sqrt() * x0 + (1 - alpha_bar_t).sqrt() * eps).to(x0.dtype)


def posterior_mean_variance(
    x0: Float[Tensor, " b *shape"],
    xt: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
    t_prev: Int[Tensor, " b"] | None = None,
) -> tuple[Float[Tensor, " b *shape"], Tensor]:
    """Where x_{t−1} was, if both ends x_0 and x_t are known: a Gaussian, by Bayes' rule.

        mean = √ᾱ_{t−1} β_t / (1 − ᾱ_t) x_0 + √α_t (1 − ᾱ_{t−1}) / (1 − ᾱ_t) x_t
        variance = (1 − ᾱ_{t−1}) / (1 − ᾱ_t) β_t

    With `t_prev` further back than t − 1, α_t and β_t are those of the whole stride,
    α = ᾱ_t / ᾱ_prev and β = 1 − α; the formulas stay the same.

    Args:
        x0: clean data, known or estimated.
        xt: noisy data at timestep t.
        t: timesteps in [0, T).
        schedule: the noise tables.
        t_prev: the cleaner timesteps, -1 ≤ t_prev < t; t − 1 if not given. −1 is the clean data.

    Returns:
        The mean, in the dtype of `xt`, and the variance, (b, 1, …), in float64.

    Raises:
        ValueError: if shapes differ, a dtype is not floating, a timestep is outside the table or
            a `t_prev` is not below its t.

    Source:
        Ho et al. 2020 (arXiv:2006.11239), eq. 6 and 7. In diffusers: inside `DDPMScheduler.step`.
    """
    checks.same_shape(x0=x0, xt=xt)
    checks.floating(x0=x0, xt=xt)
    checks.timesteps(t, schedule.num_train_timesteps)
    t_prev = t - 1 if t_prev is None else t_prev
    if t_prev.shape == t.shape and bool((t_prev >= t).any()):
        raise ValueError(f"t_prev: expected timesteps below t, {t.tolist()}, got {t_prev.tolist()}")
    alpha_bar_t, alpha_bar_prev = schedule.alpha_bar(t, xt), schedule.alpha_bar(t_prev, xt)
    alpha_t = alpha_bar_t / alpha_bar_prev
    beta_t = 1 - alpha_t
    x0_weight = alpha_bar_prev.sqrt() * beta_t / (1 - alpha_bar_t)
    xt_weight = alpha_t.sqrt() * (1 - alpha_bar_prev) / (1 - alpha_bar_t)
    variance = (1 - alpha_bar_prev) / (1 - alpha_bar_t) * beta_t
    return (x0_weight * x0 + xt_weight * xt).to(xt.dtype), variance
