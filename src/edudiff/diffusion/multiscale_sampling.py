"""From noise to pictures at all resolutions: the network is asked once, every stream steps."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff import checks
from edudiff.diffusion.denoising import strides
from edudiff.diffusion.multiscale import draw_noise, one_each
from edudiff.diffusion.prediction import x0_from_velocity
from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.steps import ddim_step, ddpm_step
from edudiff.diffusion.threshold import THRESHOLDS

MultiscaleDenoiser = Callable[[list[Tensor], Tensor], list[Tensor]]


def matryoshka_timesteps(num_train_timesteps: int, num_inference_steps: int) -> Int[Tensor, " S"]:
    """S timesteps as Matryoshka's code spaces them: round(i (T + 1) / (S + 1)) − 1, i = S … 1.

    They never begin at T − 1: ten steps of a thousand begin at 909, where the network expects to
    see something of the picture, but is given pure noise. With S = T all are visited.

    Raises:
        ValueError: unless 1 ≤ S ≤ T.

    Source:
        Gu et al. 2023 (arXiv:2310.15111), its published code, which counts timesteps from 1.
    """
    checks.whole_at_least(1, num_inference_steps=num_inference_steps)
    if num_inference_steps > num_train_timesteps:
        expected = f"at most {num_train_timesteps}, the schedule's length"
        raise ValueError(f"num_inference_steps: expected {expected}, got {num_inference_steps}")
    stride = (num_train_timesteps + 1) / (num_inference_steps + 1)
    points = torch.arange(1, num_inference_steps + 1, dtype=torch.float64) * stride
    return points.round().long().flip(0) - 1


def multiscale_step(
    v_hats: Sequence[Float[Tensor, "b c _ _"]],
    xts: Sequence[Float[Tensor, "b c _ _"]],
    t: Int[Tensor, " b"],
    t_prev: Int[Tensor, " b"],
    schedules: Sequence[NoiseSchedule],
    noises: Sequence[Float[Tensor, "b c _ _"]],
    *,
    eta: float | None = 0.0,
    threshold: str = "none",
) -> tuple[list[Tensor], list[Tensor]]:
    """One step of every stream, each by its own schedule; nothing makes them agree but the network.

    Args:
        v_hats: the network's answers at (xts, t).
        xts: noisy pictures.
        t: timesteps in [0, T).
        t_prev: the cleaner timesteps to go to, in [-1, t).
        schedules: of each resolution.
        noises: standard normal noise; ignored when eta is 0.
        eta: η of DDIM, see `ddim_step`; None for DDPM.
        threshold: one of `THRESHOLDS`, applied to x̂_0; ε̂ is made to agree with the result.

    Returns:
        (x̂_0 of every resolution, the pictures at t_prev).

    Raises:
        ValueError: if the threshold is unknown, the lists are not of one length, and what
            `ddim_step` raises.
    """
    keep = checks.choose("threshold", threshold, THRESHOLDS)
    one_each(len(schedules), v_hats=v_hats, xts=xts, noises=noises)
    step: Callable[..., Tensor] = ddpm_step if eta is None else partial(ddim_step, eta=eta)
    x0_hats = [
        keep(x0_from_velocity(v_hat, xt, t, schedule))
        for v_hat, xt, schedule in zip(v_hats, xts, schedules, strict=True)
    ]
    x_prevs = [
        step(x0_hat, xt, t, t_prev, schedule, noise, "sample")
        for x0_hat, xt, schedule, noise in zip(x0_hats, xts, schedules, noises, strict=True)
    ]
    return x0_hats, x_prevs


def multiscale_sample(
    model: MultiscaleDenoiser,
    xs: Sequence[Float[Tensor, "b c _ _"]],
    timesteps: Int[Tensor, " S"],
    schedules: Sequence[NoiseSchedule],
    *,
    eta: float | None = 0.0,
    threshold: str = "none",
    generator: Generator | None = None,
) -> Iterator[list[Tensor]]:
    """Walk from noise to pictures at all resolutions at once.

    Args:
        model: (xs, t) → v̂ at every resolution, with t int64 of shape (b,).
        xs: standard normal noise at every resolution.
        timesteps: S falling timesteps; the step after the last one goes to the clean data.
        schedules: of each resolution.
        eta: η of DDIM; None for DDPM.
        threshold: one of `THRESHOLDS`.
        generator: the source of further noise, on the CPU; needed unless η = 0.

    Yields:
        S lists, the pictures after each step.

    Raises:
        ValueError: on the first step, if there is no generator although noise is needed, and what
            `strides` and `multiscale_step` raise.

    Source:
        Gu et al. 2023 (arXiv:2310.15111) and its published code.
    """
    one_each(len(schedules), xs=xs)
    xts = list(xs)
    for t, t_prev in strides(timesteps, schedules[0]):
        here = torch.full((len(xts[0]),), t, device=xts[0].device)
        with torch.no_grad():
            v_hats = [v.to(x.dtype) for v, x in zip(model(xts, here), xts, strict=True)]
        noises = [torch.zeros_like(x) for x in xts] if eta == 0 else _draw_like(xts, generator)
        there = torch.full_like(here, t_prev)
        _, xts = multiscale_step(
            v_hats, xts, here, there, schedules, noises, eta=eta, threshold=threshold
        )
        yield xts


def _draw_like(xts: Sequence[Tensor], generator: Generator | None) -> list[Tensor]:
    if generator is None:
        raise ValueError("generator: expected a torch.Generator unless eta is 0, got None")
    noises = draw_noise(len(xts[0]), [tuple(x.shape[1:]) for x in xts], generator)
    return [noise.to(x) for noise, x in zip(noises, xts, strict=True)]
