"""How often the oracle sees a picture entirely as it is, and how often it names what is no shape.

    python benchmarks/oracle.py

Prints each share with the number of pictures and its 95 % Wilson interval.
"""

import argparse
import io
import time
from collections.abc import Callable

import numpy as np
import torch
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor

from edudiff.data.drawing import draw
from edudiff.data.scenes import RICH_WORLD, SMALL_WORLD, World, scenes
from edudiff.evaluation.oracle import agrees, look

FIRST_SEED = 2**31  # test scenes


def report(name: str, right: int, total: int, seconds: float) -> None:
    """One line: a share, its interval, and milliseconds a picture."""
    low, high = binomtest(right, total).proportion_ci(method="wilson")
    share, spread = f"{right / total:7.2%}", f"[{low:.2%}, {high:.2%}]"
    print(f"{name:26} {share} of {total:5}  {spread:18} {1000 * seconds / total:6.1f} ms")


def clean(pictures: Tensor) -> Tensor:
    """The pictures as they are."""
    return pictures


def noisy(pictures: Tensor) -> Tensor:
    """Gaussian noise of 25 dB; the peak is 2."""
    noise = torch.randn(pictures.shape, generator=torch.Generator().manual_seed(0))
    return (pictures + noise * 2 / 10 ** (25 / 20)).clamp(-1, 1)


def blurred(pictures: Tensor) -> Tensor:
    """A Gaussian blur of 0.7 pixels."""
    kernel = torch.exp(-torch.arange(-3, 4.0).square() / (2 * 0.7**2))
    kernel = (kernel[:, None] * kernel / kernel.sum() ** 2).expand(3, 1, 7, 7)
    padded = torch.nn.functional.pad(pictures, (3, 3, 3, 3), mode="replicate")
    return torch.nn.functional.conv2d(padded, kernel, groups=3)


def through_jpeg(pictures: Tensor) -> Tensor:
    """A JPEG file of quality 60 and back."""
    passed = []
    for pixels in ((pictures + 1) * 127.5).round().byte().permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=60)
        passed.append(torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1) / 127.5 - 1)
    return torch.stack(passed)


def wavy_discs(number: int, depth: float, size: int = 64) -> Tensor:
    """Red discs whose outline waves in and out by that share of the radius."""
    generator = torch.Generator().manual_seed(0)
    phase, radius = torch.rand(2, number, 1, 1, generator=generator)
    radius = 0.15 + 0.2 * radius
    waves = torch.arange(number)[:, None, None] % 4 + 2
    x = (torch.arange(size) + 0.5) / size - 0.5
    angle = waves * torch.atan2(x[:, None], x) + 2 * torch.pi * phase
    rim = radius * (1 + depth * torch.cos(angle))
    covered = (0.5 - (torch.hypot(x[:, None], x) - rim) * size).clamp(0, 1)[:, None]
    red = torch.tensor([0.86, 0.12, 0.14])[:, None, None]
    return 2 * torch.lerp(torch.full_like(red, 0.12), red, covered) - 1


def main() -> None:
    """Every kind of picture in turn."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=300, help="pictures of each kind")
    number = parser.parse_args().number
    torch.set_num_threads(1)
    kinds: list[tuple[str, int, Callable[[Tensor], Tensor], World, str]] = [
        ("train", 64, clean, SMALL_WORLD, "train"),
        ("held_out", 64, clean, SMALL_WORLD, "held_out"),
        ("noise of 25 dB", 64, noisy, SMALL_WORLD, "all"),
        ("blur of 0.7 pixels", 64, blurred, SMALL_WORLD, "all"),
        ("JPEG of quality 60", 64, through_jpeg, SMALL_WORLD, "all"),
        ("32 pixels", 32, clean, SMALL_WORLD, "all"),
        ("128 pixels", 128, clean, SMALL_WORLD, "all"),
        ("RICH_WORLD", 64, clean, RICH_WORLD, "all"),
    ]
    print("seen entirely as it is")
    for name, size, change, world, split in kinds:
        true = scenes(range(FIRST_SEED, FIRST_SEED + number), world, split)
        pictures = change(draw(true, size))
        start = time.process_time()
        sights = look(pictures, world)
        seconds = time.process_time() - start
        right = sum(agrees(sight, one) for sight, one in zip(sights, true, strict=True))
        report(name, right, number, seconds)
    print("named, although it is no shape")
    for depth in (0.05, 0.1, 0.15, 0.2):
        start = time.process_time()
        sights = look(wavy_discs(number, depth))
        named = sum(any(thing.shape for thing in sight.objects) for sight in sights)
        report(f"disc with waves of {depth:.0%}", named, number, time.process_time() - start)


if __name__ == "__main__":
    main()
