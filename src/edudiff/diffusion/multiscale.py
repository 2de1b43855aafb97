"""Matryoshka's space: a picture at all resolutions, each with its own noise, at one common t.

Lists go from the highest resolution to the lowest. `ratios` are sides as multiples of the lowest
one's, such as (16, 4, 1).
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Generator, Tensor

from edudiff import checks
from edudiff.diffusion.schedule import NoiseSchedule


def pyramid(x0: Float[Tensor, " b c h w"], ratios: Sequence[int]) -> list[Tensor]:
    """The picture at every resolution, each the next higher one with squares of pixels averaged.

    Args:
        x0: pictures at the highest resolution.
        ratios: falling whole numbers, each a multiple of the next, the last one 1.

    Raises:
        ValueError: if the ratios are not such numbers, or the sides no multiples of the first.

    Source:
        Gu et al. 2023 (arXiv:2310.15111) and its published code.
    """
    check_ratios(ratios)
    if any(side % ratios[0] for side in x0.shape[2:]):
        expected, got = f"sides divisible by {ratios[0]}", tuple(x0.shape[2:])
        raise ValueError(f"x0: expected {expected}, got {got}")
    levels = [x0]
    for higher, lower in itertools.pairwise(ratios):
        levels.append(F.avg_pool2d(levels[-1], higher // lower))
    return levels


def draw_noise(batch: int, shapes: Sequence[tuple[int, ...]], generator: Generator) -> list[Tensor]:
    """Standard normal noise, independent at every resolution; one picture after the other.

    So a picture's noise does not depend on how many come after it.

    Args:
        batch: number of pictures.
        shapes: (c, h, w) of each resolution.
        generator: the source of randomness, on the CPU.
    """
    each = [[torch.randn(shape, generator=generator) for shape in shapes] for _ in range(batch)]
    return [torch.stack(level) for level in zip(*each, strict=True)]


def pooled_noise(eps: Float[Tensor, " b c h w"], ratios: Sequence[int]) -> list[Tensor]:
    """The noise of the highest resolution, averaged and scaled to variance 1: not independent.

    For an experiment only. With the schedule shifted by power 2 the lower streams would then say
    nothing that the highest does not.

    Raises:
        ValueError: as `pyramid`.
    """
    levels = pyramid(eps, ratios)
    return [level * (ratios[0] // ratio) for level, ratio in zip(levels, ratios, strict=True)]


def shifted(schedule: NoiseSchedule, ratio: int, power: int | float = 1.0) -> NoiseSchedule:
    """More noise at the same t, for a higher resolution: SNR_t ← SNR_t / ratio^power.

    Averaging s × s pixels divides the variance of their noise by s². With power 2 an averaged high
    resolution is therefore exactly as noisy as the low one; with power 1 it is less so, and with
    power 0 nothing is shifted.

    Args:
        schedule: that of the lowest resolution.
        ratio: how many times the lowest one's side this one's is.
        power: 1 in the published model for 256 pixels, 2 in that for 1024.

    Raises:
        ValueError: if the ratio is no whole number ≥ 1, or the power below 0.

    Source:
        Hoogeboom et al. 2023 (arXiv:2301.11093); Gu et al. 2023 (arXiv:2310.15111) and its
        published code.
    """
    checks.whole_at_least(1, ratio=ratio)
    if not power >= 0:
        raise ValueError(f"power: expected a number ≥ 0, got {power!r}")
    alpha_bar = schedule.alphas_cumprod
    alpha_bar = alpha_bar / (alpha_bar + (1 - alpha_bar) * ratio**power)
    before = torch.cat([torch.ones(1, dtype=alpha_bar.dtype), alpha_bar[:-1]])
    return NoiseSchedule(1 - alpha_bar / before)


def shifted_schedules(
    schedule: NoiseSchedule, ratios: Sequence[int], power: int | float = 1.0
) -> list[NoiseSchedule]:
    """A schedule for each resolution; see `shifted`.

    Raises:
        ValueError: as `pyramid` and `shifted`.
    """
    check_ratios(ratios)
    return [shifted(schedule, ratio, power) for ratio in ratios]


def check_ratios(ratios: Sequence[int]) -> None:
    """Refuse anything but falling whole numbers, each a multiple of the next, the last one 1.

    Raises:
        ValueError: with what came; a list from low to high is named as such.
    """
    checks.whole_at_least(1, **{f"ratios[{i}]": ratio for i, ratio in enumerate(ratios)})
    falling = all(a > b and a % b == 0 for a, b in itertools.pairwise(ratios))
    if not ratios or ratios[-1] != 1 or not falling:
        hint = "" if not ratios or ratios[0] != 1 else "; is the list from low to high?"
        expected = "falling multiples of each other that end at 1, such as (16, 4, 1)"
        raise ValueError(f"ratios: expected {expected}, got {tuple(ratios)}{hint}")


def one_each(count: int, **lists: Sequence[object]) -> None:
    """Refuse lists that have not one entry for each of so many schedules.

    Raises:
        ValueError: naming the first such list and its length.
    """
    for name, entries in lists.items():
        if len(entries) != count:
            expected = f"one for each of {count} schedules"
            raise ValueError(f"{name}: expected {expected}, got {len(entries)}")
