"""Small nested networks for experiments on how to train them: digits of 8 and 4 pixels, no words.

What is varied is in `Choice`; everything else, down to the noise of a seed, is the same for all.
Trained on are the pictures that `split` gives first; the others are there to measure against.
"""

from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor
from torch.utils.flop_counter import FlopCounterMode

from edudiff.data import digits
from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.multiscale import draw_noise, pooled_noise, pyramid, shifted_schedules
from edudiff.diffusion.multiscale_loss import joint_loss, keep_mixed, mixed_fractions
from edudiff.diffusion.multiscale_sampling import multiscale_sample
from edudiff.diffusion.schedule import NoiseSchedule, cosine_betas
from edudiff.diffusion.spacing import spaced_timesteps
from edudiff.evaluation import comparison, distances
from edudiff.evaluation.sharpness import sharpness
from edudiff.models.doll import Doll
from edudiff.models.growth import grow
from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet
from edudiff.training import log
from edudiff.training.ema import EMA
from edudiff.training.loop import descend

SIZES, RATIOS = (8, 4), (2, 1)
BATCH_SIZE, LEARNING_RATE, WARM_UP = 32, 2e-3, 10
NUM_INFERENCE_STEPS, NUM_MEASURED = 10, 256
SCHEDULE = NoiseSchedule(cosine_betas())

RESULTS = comparison.FILE.with_name("matryoshka_ablations.jsonl")
"""What `python benchmarks/matryoshka_ablations.py` has measured."""

Digits = Float[Tensor, "_ 1 8 8"]


@dataclass(frozen=True)
class Choice:
    """How a nested network is trained.

    Attributes:
        power: how far the schedule of the high resolution is shifted.
        pooled: the low resolution has the high one's noise, averaged, and none of its own.
        weights: of the error at each resolution, high to low.
        mixed_ratio: see `mixed_fractions`; None for batches that exist at both resolutions.
    """

    power: float = 2.0
    pooled: bool = False
    weights: Sequence[float] = (1.0, 1.0)
    mixed_ratio: tuple[int, int] | None = None


def make_base() -> MatryoshkaUNet:
    """The untrained network for 4 pixels."""
    return MatryoshkaUNet(
        channels=1,
        block_out_channels=(48,),
        attention_layers=0,
        scale=SIZES[-1],
        num_heads=4,
        norm_num_groups=4,
    )


def make_nested(base: MatryoshkaUNet) -> NestedUNet:
    """The network for 8 and 4 pixels around a copy of another."""
    return grow(base, block_out_channels=(16, 32))


def split() -> tuple[Digits, Digits, Digits]:
    """Digits in random order: to train on, to measure against, and as many others.

    How far the last two are apart says how good drawn pictures can get.
    """
    images = digits.load().images
    images = images[torch.randperm(len(images), generator=Generator().manual_seed(100))]
    count = len(images) - 2 * NUM_MEASURED
    real, others = images[count:].chunk(2)
    return images[:count], real, others


def loss(
    model: Doll, x0: Float[Tensor, "b 1 8 8"], generator: Generator, choice: Choice
) -> Float[Tensor, ""]:
    """The joint loss of some pictures at the resolutions that the network has."""
    here = slice(-len(model.ratios), None)
    t = torch.randperm(len(x0), generator=generator) + torch.rand(len(x0), generator=generator)
    t = (t / len(x0) * SCHEDULE.num_train_timesteps).long()
    fractions = [1.0] * len(model.ratios)
    if choice.mixed_ratio is not None and len(fractions) > 1:
        fractions = mixed_fractions(choice.mixed_ratio)
    x0s = keep_mixed(pyramid(x0, RATIOS)[here], fractions)
    eps = keep_mixed(_noise(len(x0), generator, choice)[here], fractions)
    schedules = shifted_schedules(SCHEDULE, RATIOS, choice.power)[here]
    xts = [
        add_noise(each, noise, t[: len(each)], schedule)
        for each, noise, schedule in zip(x0s, eps, schedules, strict=True)
    ]
    v_hats, weights = model(xts, t), choice.weights[here]
    return joint_loss(v_hats, xts, eps, t, schedules, weights=weights, fractions=fractions).mean()


def _noise(count: int, generator: Generator, choice: Choice) -> list[Tensor]:
    shapes = [(1, side, side) for side in SIZES]
    eps = draw_noise(count, shapes, generator)
    return pooled_noise(eps[0], RATIOS) if choice.pooled else eps


def prepare(
    model: Doll, x0: Float[Tensor, "n 1 8 8"], choice: Choice
) -> tuple[EMA, Callable[[Generator], float]]:
    """The average of a network's weights, and the function that trains it by one step.

    Args:
        model: the network, which is changed.
        x0: the pictures to train on.
        choice: how.
    """
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.01, fused=True
    )
    slower = torch.optim.lr_scheduler.LinearLR(optimizer, 1 / WARM_UP, total_iters=WARM_UP)
    average = EMA(model, decay=0.98)

    def loss_fn(generator: Generator) -> Tensor:
        rows = torch.randint(len(x0), (BATCH_SIZE,), generator=generator)
        return loss(model, x0[rows], generator, choice)

    take = descend(loss_fn, model, optimizer, ema=average, max_grad_norm=1.0)

    def step(generator: Generator) -> float:
        found = take(generator)
        slower.step()
        return found

    return average, step


def operations(model: Doll, choice: Choice) -> int:
    """Floating-point operations of a step, forward and backward: two for each multiplication.

    Counted are convolutions and matrix products, nearly all there is.
    """
    x0 = torch.zeros(BATCH_SIZE, 1, SIZES[0], SIZES[0])
    with FlopCounterMode(display=False) as counter:
        loss(model, x0, Generator().manual_seed(0), choice).backward()
    model.zero_grad(set_to_none=True)
    return int(counter.get_total_flops())


def draw(
    model: Doll, count: int, choice: Choice, seed: int = 0, steps: int = NUM_INFERENCE_STEPS
) -> list[Float[Tensor, "n 1 _ _"]]:
    """Pictures out of noise at the resolutions that the network has, high to low, in [-1, 1]."""
    here = slice(-len(model.ratios), None)
    noise = _noise(count, Generator().manual_seed(seed), choice)[here]
    timesteps = spaced_timesteps(SCHEDULE.num_train_timesteps, steps, "trailing")
    schedules = shifted_schedules(SCHEDULE, RATIOS, choice.power)[here]
    walk = multiscale_sample(model, noise, timesteps, schedules, threshold="clip")
    return [x.clamp(-1, 1) for x in deque(walk, maxlen=1)[0]]


def measure(
    levels: Sequence[Float[Tensor, "n 1 _ _"]], real: Float[Tensor, "n 1 8 8"]
) -> dict[str, float]:
    """How drawn pictures differ from as many real ones.

    Returns:
        "distance": sliced Wasserstein between the pictures, root mean square over pixels;
        "low": the same for the low resolution;
        "apart": root mean square between the high resolution averaged and the low one;
        "sharpness": the mean one, divided by that of real pictures.
    """
    high, low = levels
    averaged = pyramid(high, RATIOS)[-1]
    return {
        "distance": _distance(high, real),
        "low": _distance(low, pyramid(real, RATIOS)[-1]),
        "apart": (averaged - low).square().mean().sqrt().item(),
        "sharpness": (sharpness(high).mean() / sharpness(real).mean()).item(),
    }


def _distance(x: Tensor, y: Tensor) -> float:
    generator = Generator().manual_seed(0)
    return distances.sliced_wasserstein(x.flatten(1), y.flatten(1), generator=generator).item()


def results(path: Path = RESULTS) -> list[dict[str, Any]]:
    """What was measured, a row for each measurement, as it was written.

    Returns:
        Rows with "way", the name of how was trained, and what `measure` returns. All but that of
        real pictures, measured against others, have "seed", "steps" (the budget, in steps of the
        whole network), "high_steps", "gflop" and "seconds", used until then.
    """
    return log.read(path)
