"""What a denoising step costs among pixels and among latents: the same U-Net, turn by turn.

    python benchmarks/pixel_or_latent.py

Pictures are 64 × 64 in three colours, their latents 8 × 8 in four channels. Pixels need no decoder;
latents need it once, at the end. Prints medians for one picture, and how many times as long pixels
take, for a step and for a whole picture. The weights are random: the cost does not depend on them.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from edudiff.models.unet import UNet
from edudiff.models.vae import AutoencoderKL

CONTEXT = (24, 128)
"""Tokens of a prompt, and channels of each."""


def make_unet(channels: int) -> UNet:
    """The U-Net of the shipped pipeline, for so many channels."""
    return UNet(
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(64, 128),
        attention_levels=(True, True),
        context_dim=CONTEXT[1],
        num_heads=4,
    ).eval()


def seconds(turn: Callable[[], Tensor]) -> float:
    """Wall time of one turn."""
    start = time.perf_counter()
    turn()
    return time.perf_counter() - start


@torch.no_grad()
def main() -> None:
    """Measure the three in turn, so that what else the machine does falls on all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    vae = AutoencoderKL(block_out_channels=(16, 32, 64, 64)).eval()
    side = arguments.size // vae.downsampling_factor
    pixels = torch.randn(1, 3, arguments.size, arguments.size)
    latents = torch.randn(1, vae.latent_channels, side, side)
    in_pixels, in_latents = make_unet(3), make_unet(vae.latent_channels)
    context, t = torch.randn(1, *CONTEXT), torch.tensor([500])
    turns = {
        "step in pixels": lambda: in_pixels(pixels, t, context),
        "step in latents": lambda: in_latents(latents, t, context),
        "decoder": lambda: vae.decode(latents),
    }
    times: dict[str, list[float]] = {name: [] for name in turns}
    for round_ in range(arguments.rounds + 2):
        for name, turn in turns.items():
            took = seconds(turn)
            if round_ >= 2:  # the first two warm the caches
                times[name].append(took)
    pixel, latent, decoder = (statistics.median(times[name]) for name in turns)
    whole = arguments.steps * pixel, arguments.steps * latent + decoder
    for name, took in zip(turns, (pixel, latent, decoder), strict=True):
        print(f"{name:>24}: {1000 * took:8.1f} ms")
    for name, took in zip(("pixels", "latents"), whole, strict=True):
        print(f"{f'{arguments.steps} steps in {name}':>24}: {1000 * took:8.1f} ms")
    print(f"{'pixels/latents, a step':>24}: {pixel / latent:8.1f}")
    print(f"{'a picture':>24}: {whole[0] / whole[1]:8.1f}")


if __name__ == "__main__":
    main()
