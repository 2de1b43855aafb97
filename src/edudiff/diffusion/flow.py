"""Rectified flow: the straight way from data to noise, and a walk back along it.

Time s runs from 0, the data, to 1, the noise, as a real number; there is no table.
"""

from collections.abc import Callable, Iterator
from itertools import pairwise

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from edudiff import checks

FlowModel = Callable[[Tensor, Tensor], Tensor]


def straight_path(
    x0: Float[Tensor, " b *shape"],
    eps: Float[Tensor, " b *shape"],
    s: Float[Tensor, " b"],
) -> Float[Tensor, " b *shape"]:
    """The point at time s on the straight line from data to noise.

        x_s = (1 − s) x_0 + s ε

    Args:
        x0: clean data.
        eps: standard normal noise.
        s: times in [0, 1], one for each member of the batch.

    Raises:
        ValueError: if shapes differ or a time is outside [0, 1].

    Source:
        Liu et al. 2022 (arXiv:2209.03003), eq. 1; Lipman et al. 2022 (arXiv:2210.02747), eq. 20
        with σ_min = 0. Both let time run the other way. In diffusers:
        `FlowMatchEulerDiscreteScheduler.scale_noise`.
    """
    checks.same_shape(x0=x0, eps=eps)
    checks.one_timestep_each(x0, s, name="s")
    checks.in_range(0.0, 1.0, s=s)
    s = s.reshape(-1, *[1] * (x0.ndim - 1)).to(x0.dtype)
    return (1 - s) * x0 + s * eps


def flow_velocity(
    x0: Float[Tensor, " b *shape"], eps: Float[Tensor, " b *shape"]
) -> Float[Tensor, " b *shape"]:
    """What a flow network is trained to answer: dx_s/ds = ε − x_0, the same all along the line.

    Not the v of `prediction.velocity`, which belongs to a path on a circle.

    Raises:
        ValueError: if shapes differ.

    Source:
        Liu et al. 2022 (arXiv:2209.03003), eq. 1.
    """
    checks.same_shape(x0=x0, eps=eps)
    return eps - x0


def flow_times(num_inference_steps: int, shift: float = 1.0) -> Float64[Tensor, " S"]:
    """S times from 1 down to 1/S, evenly spaced, then shifted towards the noise.

        s ← shift · s / (1 + (shift − 1) s)

    Larger pictures need more noise to be hidden; a shift above 1 spends more steps there.

    Raises:
        ValueError: if there is not at least one step, or the shift is not above 0.

    Source:
        Esser et al. 2024 (arXiv:2403.03206), eq. 23. In diffusers:
        `FlowMatchEulerDiscreteScheduler(shift=…)`.
    """
    checks.whole_at_least(1, num_inference_steps=num_inference_steps)
    checks.positive(shift=shift)
    s = torch.arange(num_inference_steps, 0, -1, dtype=torch.float64) / num_inference_steps
    return shift * s / (1 + (shift - 1) * s)


def sample_flow(
    model: FlowModel, x: Float[Tensor, " b *shape"], times: Float[Tensor, " S"]
) -> Iterator[Tensor]:
    """Euler's method from noise to data, yielding x after each of the S steps.

        x ← x + (s_next − s) u(x, s)

    Args:
        model: (x, s) → the estimated velocity ε − x_0, with s of shape (b,) in the dtype of x.
        x: standard normal noise, if the first time is 1.
        times: falling times in (0, 1]; the step after the last one goes to 0, the data.

    Raises:
        ValueError: on the first step, if there is no time, one is outside (0, 1], they do not fall
            strictly, or an answer is not shaped like `x`.

    Source:
        Liu et al. 2022 (arXiv:2209.03003), section 2.2. In diffusers:
        `FlowMatchEulerDiscreteScheduler`.
    """
    stops = [*times.tolist(), 0.0]
    if len(stops) < 2 or stops[0] > 1 or not all(s > s_next for s, s_next in pairwise(stops)):
        raise ValueError(f"times: expected falling times in (0, 1], got {times.tolist()}")
    for s, s_next in pairwise(stops):
        here = torch.full(x.shape[:1], s, device=x.device, dtype=x.dtype)
        with torch.no_grad():
            u = model(x, here)
        checks.same_shape(x=x, model_output=u)
        x = x + (s_next - s) * u
        yield x
