"""What every sampler does at every stop: ask the network, read its answer, perhaps draw noise."""

from collections.abc import Callable
from itertools import pairwise

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff import checks
from edudiff.diffusion.prediction import PredictionType, to_x0_and_eps
from edudiff.diffusion.schedule import NoiseSchedule

Denoiser = Callable[[Tensor, Tensor], Tensor]


def strides(timesteps: Int[Tensor, " S"], schedule: NoiseSchedule) -> list[tuple[int, int]]:
    """(t, t_prev) for each step; the last one goes to −1, the clean data.

    Raises:
        ValueError: if there is no timestep, one is not int64 or outside [0, T), or they do not
            fall strictly.
    """
    if timesteps.ndim != 1 or not len(timesteps):
        got = tuple(timesteps.shape)
        raise ValueError(f"timesteps: expected a vector of at least one timestep, got shape {got}")
    checks.timesteps(timesteps, schedule.num_train_timesteps, name="timesteps")
    if bool((timesteps.diff() >= 0).any()):
        raise ValueError(f"timesteps: expected falling timesteps, got {timesteps.tolist()}")
    return list(pairwise([*timesteps.tolist(), -1]))


def ask(
    model: Denoiser, xt: Float[Tensor, " b *shape"], t: int
) -> tuple[Float[Tensor, " b *shape"], Int[Tensor, " b"]]:
    """The network's answer, in the dtype of `xt`, with every member at timestep t; and t, (b,).

    Raises:
        ValueError: if the answer is not shaped like `xt`.
    """
    here = torch.full(xt.shape[:1], t, device=xt.device)
    with torch.no_grad():
        answer = model(xt, here).to(xt.dtype)
    checks.same_shape(xt=xt, model_output=answer)
    return answer, here


def estimate(
    model: Denoiser,
    xt: Float[Tensor, " b *shape"],
    t: int,
    schedule: NoiseSchedule,
    prediction_type: PredictionType = "epsilon",
) -> tuple[Float[Tensor, " b *shape"], Float[Tensor, " b *shape"]]:
    """Ask the network and read its answer as (x0_hat, eps_hat).

    Raises:
        ValueError: if the answer is not shaped like `xt`, t is outside [0, T), or the prediction
            type is unknown, or "epsilon" where ᾱ_t = 0.
    """
    answer, here = ask(model, xt, t)
    return to_x0_and_eps(answer, xt, here, schedule, prediction_type)


def draw(like: Tensor, generator: Generator | None) -> Tensor:
    """Standard normal noise, drawn on the CPU in float32 so that a seed means the same everywhere.

    Raises:
        ValueError: if there is no generator; nothing is drawn from the global state.
    """
    if generator is None:
        raise ValueError("generator: expected a torch.Generator for a sampler with noise, got None")
    return torch.randn(like.shape, generator=generator).to(like)
