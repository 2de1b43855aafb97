"""What a network may predict, ε, x_0 or v, and how each follows from the others.

All three say the same thing about the line x_t = √ᾱ_t x_0 + √(1 − ᾱ_t) ε once x_t is known.
"""

from typing import Literal, get_args

from jaxtyping import Float, Int
from torch import Tensor

from edudiff import checks
from edudiff.diffusion.schedule import NoiseSchedule

PredictionType = Literal["epsilon", "sample", "v_prediction"]


def _signal_noise(like: Tensor, t: Tensor, schedule: NoiseSchedule) -> tuple[Tensor, Tensor]:
    """√ᾱ_t and √(1 − ᾱ_t), shaped to broadcast over `like`."""
    checks.timesteps(t, schedule.num_train_timesteps)
    alpha_bar_t = schedule.alpha_bar(t, like)
    return alpha_bar_t.sqrt(), (1 - alpha_bar_t).sqrt()


def x0_from_eps(
    eps: Float[Tensor, " b *shape"],
    xt: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
) -> Float[Tensor, " b *shape"]:
    """x_0 = (x_t − √(1 − ᾱ_t) ε) / √ᾱ_t, eq. 15 of Ho et al. 2020 (arXiv:2006.11239).

    Raises:
        ValueError: if shapes differ, a dtype is not floating, a timestep is outside [0, T), or
            ᾱ_t = 0 at one: x_t is ε there, whatever x_0 was.
    """
    checks.same_shape(xt=xt, eps=eps)
    checks.floating(xt=xt, eps=eps)
    signal, noise = _signal_noise(xt, t, schedule)
    if bool((signal == 0).any()):
        raise ValueError(
            "eps: expected timesteps with ᾱ > 0, got one where nothing of the data is left and the "
            "noise says nothing of x_0; predict 'v_prediction' or 'sample' there"
        )
    return ((xt - noise * eps) / signal).to(xt.dtype)


def eps_from_x0(
    x0: Float[Tensor, " b *shape"],
    xt: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
) -> Float[Tensor, " b *shape"]:
    """ε = (x_t − √ᾱ_t x_0) / √(1 − ᾱ_t): the same equation solved for the noise.

    Raises:
        ValueError: if shapes differ, a dtype is not floating, or a timestep is outside [0, T).
    """
    checks.same_shape(xt=xt, x0=x0)
    checks.floating(xt=xt, x0=x0)
    signal, noise = _signal_noise(xt, t, schedule)
    return ((xt - signal * x0) / noise).to(xt.dtype)


def velocity(
    x0: Float[Tensor, " b *shape"],
    eps: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
) -> Float[Tensor, " b *shape"]:
    """v = √ᾱ_t ε − √(1 − ᾱ_t) x_0.

    x_t and v are x_0 and ε turned by the same angle, so x_t² + v² = x_0² + ε².

    Raises:
        ValueError: if shapes differ, a dtype is not floating, or a timestep is outside [0, T).

    Source:
        Salimans and Ho 2022 (arXiv:2202.00512), section 4. In diffusers: `get_velocity`.
    """
    checks.same_shape(x0=x0, eps=eps)
    checks.floating(x0=x0, eps=eps)
    signal, noise = _signal_noise(x0, t, schedule)
    return (signal * eps - noise * x0).to(x0.dtype)


def x0_from_velocity(
    v: Float[Tensor, " b *shape"],
    xt: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
) -> Float[Tensor, " b *shape"]:
    """x_0 = √ᾱ_t x_t − √(1 − ᾱ_t) v: turn back by the angle.

    Raises:
        ValueError: if shapes differ, a dtype is not floating, or a timestep is outside [0, T).
    """
    checks.same_shape(xt=xt, v=v)
    checks.floating(xt=xt, v=v)
    signal, noise = _signal_noise(xt, t, schedule)
    return (signal * xt - noise * v).to(xt.dtype)


def eps_from_velocity(
    v: Float[Tensor, " b *shape"],
    xt: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
) -> Float[Tensor, " b *shape"]:
    """ε = √(1 − ᾱ_t) x_t + √ᾱ_t v: turn back by the angle.

    Raises:
        ValueError: if shapes differ, a dtype is not floating, or a timestep is outside [0, T).
    """
    checks.same_shape(xt=xt, v=v)
    checks.floating(xt=xt, v=v)
    signal, noise = _signal_noise(xt, t, schedule)
    return (noise * xt + signal * v).to(xt.dtype)


def training_target(
    x0: Float[Tensor, " b *shape"],
    eps: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
    prediction_type: PredictionType = "epsilon",
) -> Float[Tensor, " b *shape"]:
    """What a network of this prediction type should have answered.

    Raises:
        ValueError: for an unknown prediction type, shapes that differ, a dtype that is not floating
            or a timestep outside [0, T).
    """
    targets = {"epsilon": eps, "sample": x0, "v_prediction": velocity(x0, eps, t, schedule)}
    return checks.choose("prediction type", prediction_type, targets)


def to_x0_and_eps(
    model_output: Float[Tensor, " b *shape"],
    xt: Float[Tensor, " b *shape"],
    t: Int[Tensor, " b"],
    schedule: NoiseSchedule,
    prediction_type: PredictionType = "epsilon",
) -> tuple[Float[Tensor, " b *shape"], Float[Tensor, " b *shape"]]:
    """Read a network's answer, whatever it predicts, as (x0_hat, eps_hat).

    Args:
        model_output: ε̂, x̂_0 or v̂, as `prediction_type` says.
        xt: the noisy data the network saw.
        t: timesteps in [0, T).
        schedule: the noise tables.
        prediction_type: "epsilon", "sample" (the *clean* data) or "v_prediction".

    Raises:
        ValueError: for an unknown prediction type, shapes that differ, a dtype that is not
            floating, a timestep outside [0, T), or "epsilon" where ᾱ_t = 0.
    """
    if prediction_type == "epsilon":
        return x0_from_eps(model_output, xt, t, schedule), model_output
    if prediction_type == "sample":
        return model_output, eps_from_x0(model_output, xt, t, schedule)
    _refuse_unknown(prediction_type)
    return (
        x0_from_velocity(model_output, xt, t, schedule),
        eps_from_velocity(model_output, xt, t, schedule),
    )


def _refuse_unknown(prediction_type: str) -> None:
    names = {name: name for name in get_args(PredictionType)}
    checks.choose("prediction type", prediction_type, names)
