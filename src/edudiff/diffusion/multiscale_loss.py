"""What a nested network is trained on: the error at all resolutions together, on mixed batches.

Lists go from the highest resolution to the lowest.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor

from edudiff import checks
from edudiff.diffusion.multiscale import one_each
from edudiff.diffusion.prediction import eps_from_velocity
from edudiff.diffusion.schedule import NoiseSchedule


def mixed_fractions(mixed_ratio: Sequence[int | float]) -> list[float]:
    """Which share of a batch exists at each resolution, from counts such as (2, 1).

    (2, 1) means: of three pictures, two at both resolutions and one at the lower one only. Low
    resolutions are cheap, so that more pictures are seen in the same time.

    Raises:
        ValueError: if there is no count, or one is not above 0.
    """
    if not mixed_ratio or any(not count > 0 for count in mixed_ratio):
        expected = "one number above 0 for each resolution"
        raise ValueError(f"mixed_ratio: expected {expected}, got {list(mixed_ratio)}")
    sums = list(itertools.accumulate(mixed_ratio))
    return [part / sums[-1] for part in sums]


def keep_mixed(levels: Sequence[Tensor], fractions: Sequence[float]) -> list[Tensor]:
    """The first so many pictures of each resolution.

    Args:
        levels: a batch at every resolution, of one length b.
        fractions: from `mixed_fractions`; resolution r keeps ⌊fraction_r b⌋.

    Raises:
        ValueError: if there is not one fraction for each, or one resolution would be left empty.
    """
    if len(levels) != len(fractions):
        expected = f"one for each of {len(levels)} resolutions"
        raise ValueError(f"fractions: expected {expected}, got {len(fractions)}")
    batch = len(levels[-1])
    counts = [int(fraction * batch) for fraction in fractions]
    if 0 in counts:
        expected = f"at least one of {batch} pictures at every resolution"
        raise ValueError(f"fractions: expected {expected}, got {counts}, high to low")
    return [level[:count] for level, count in zip(levels, counts, strict=True)]


def joint_loss(
    v_hats: Sequence[Float[Tensor, "_ c _ _"]],
    xts: Sequence[Float[Tensor, "_ c _ _"]],
    eps: Sequence[Float[Tensor, "_ c _ _"]],
    t: Int[Tensor, " b"],
    schedules: Sequence[NoiseSchedule],
    *,
    weights: Sequence[int | float] | None = None,
    fractions: Sequence[float] | None = None,
) -> Float[Tensor, " b"]:
    """The loss of each picture: the error in its noise, summed over the resolutions it has.

        L = Σ_r w_r / c_r · mean over pixels of (ε̂_r − ε_r)²,   ε̂ = √(1 − ᾱ_t) x_t + √ᾱ_t v̂

    The network answers with v̂, but the error is that of the noise, which is ᾱ_t times that of v.

    Args:
        v_hats: the network's answers.
        xts: the noisy pictures it saw.
        eps: the noise in them.
        t: timesteps, one for each picture of the lowest resolution.
        schedules: of each resolution.
        weights: w_r; 1 for each if not given.
        fractions: c_r, if the batch was mixed by `keep_mixed`: dividing by them makes the mean
            over the batch what it would be if no picture had been left out.

    Raises:
        ValueError: if one of the lists is not as long as the others, shapes differ, or a timestep
            is outside the table.

    Source:
        Gu et al. 2023 (arXiv:2310.15111) and its published code.
    """
    count = len(schedules)
    weights = [1.0] * count if weights is None else weights
    fractions = [1.0] * count if fractions is None else fractions
    one_each(count, v_hats=v_hats, xts=xts, eps=eps, weights=weights, fractions=fractions)
    total = torch.zeros(len(t), device=t.device)
    for v_hat, xt, noise, schedule, weight, fraction in zip(
        v_hats, xts, eps, schedules, weights, fractions, strict=True
    ):
        eps_hat = eps_from_velocity(v_hat.float(), xt.float(), t[: len(xt)], schedule)
        checks.same_shape(eps_hat=eps_hat, eps=noise)
        error = (eps_hat - noise).square().mean(dim=(1, 2, 3))
        total = total + F.pad(error * weight / fraction, (0, len(t) - len(error)))
    return total
