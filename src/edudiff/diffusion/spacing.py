"""Which of the trained timesteps a sampler visits, when it does not visit them all."""

from typing import Literal

import torch
from jaxtyping import Int
from torch import Tensor

from edudiff import checks

Spacing = Literal["leading", "trailing", "linspace"]


def spaced_timesteps(
    num_train_timesteps: int,
    num_inference_steps: int,
    spacing: Spacing = "leading",
    steps_offset: int = 0,
) -> Int[Tensor, " S"]:
    """S evenly spaced timesteps, from noisy to clean, in one of the three ways in use.

        leading:   (S−1)k, …, 2k, k, 0, with k = T // S and the offset added to each
        trailing:  round(T − i T/S) − 1 for i = 0 … S−1
        linspace:  S points from T−1 to 0, both included, rounded

    Sampling starts from pure noise, and only T−1 is (nearly) that. "leading" never visits it: a
    network is told there is less noise than there is. "trailing" starts at T−1 and spends no step
    at 0, where nothing is left to do. With S = T and no offset all three visit every timestep.

    Args:
        num_train_timesteps: T, the length of the schedule.
        num_inference_steps: S, how many of them to visit.
        spacing: "leading", "trailing" or "linspace".
        steps_offset: added by "leading" alone; Stable Diffusion's own settings say 1.

    Raises:
        ValueError: unless 1 ≤ S ≤ T, for an unknown spacing, an offset that is not a whole number
            ≥ 0, or one that leads beyond T − 1.

    Source:
        Lin et al. 2023 (arXiv:2305.08891), table 2. In diffusers: `timestep_spacing` of
        `DDPMScheduler` and `EulerDiscreteScheduler`. Its multistep solvers mean the same by
        "trailing", but by the other two S + 1 points of which they leave out the last.
    """
    checks.whole_at_least(1, num_inference_steps=num_inference_steps)
    checks.whole_at_least(0, steps_offset=steps_offset)
    if num_inference_steps > num_train_timesteps:
        raise ValueError(
            f"num_inference_steps: expected at most {num_train_timesteps}, the schedule's length, "
            f"got {num_inference_steps}"
        )
    rules = {"leading": _leading, "trailing": _trailing, "linspace": _linspace}
    timesteps = checks.choose("spacing", spacing, rules)(num_train_timesteps, num_inference_steps)
    if spacing == "leading":
        timesteps = timesteps + steps_offset
    checks.timesteps(timesteps, num_train_timesteps, name="timesteps with their offset")
    return timesteps


def leading_timesteps(num_train_timesteps: int, num_inference_steps: int) -> Int[Tensor, " S"]:
    """S evenly spaced timesteps from noisy to clean that end at 0: (S−1)k, …, 2k, k, 0.

    Raises:
        ValueError: unless 1 ≤ S ≤ T.
    """
    return spaced_timesteps(num_train_timesteps, num_inference_steps, "leading")


def _leading(num_train: int, num_inference: int) -> Tensor:
    return (torch.arange(num_inference) * (num_train // num_inference)).flip(0)


def _trailing(num_train: int, num_inference: int) -> Tensor:
    # The stride as numpy.arange(T, 0, −T/S) rounds it, so that ties fall as they do in diffusers.
    stride = num_train - (num_train - num_train / num_inference)
    taken = torch.arange(num_inference, dtype=torch.float64) * stride
    return (num_train - taken).round().long() - 1


def _linspace(num_train: int, num_inference: int) -> Tensor:
    points = torch.arange(num_inference, dtype=torch.float64) * (
        (num_train - 1) / max(1, num_inference - 1)
    )
    return points.round().long().flip(0)
