"""The U-Net beside the libraries': equal weights and diffusers, equal size and lucidrains' own.

    python benchmarks/unet.py

Four comparisons, each printed with the median of ours, of theirs and their ratio; above 1 ours is
the faster. The third library is no part of the project; without it the last comparison is left out.
It needs the torchvision that belongs to the installed torch, for which pytorch.org has the command:

    pip install --no-deps --target /tmp/ddp denoising-diffusion-pytorch ema-pytorch pytorch-fid
    PYTHONPATH=/tmp/ddp python benchmarks/unet.py
"""

import argparse
import functools
import importlib
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from edudiff.models.unet import UNet
from edudiff.models.unet_bridge import to_diffusers

Turn = Callable[[], object]
Ask = Callable[[nn.Module], Tensor]

# What both are built with, and how many pictures of which size they see at a time.
SHAPES: dict[str, tuple[dict[str, Any], tuple[int, int, int]]] = {
    "tiny-sd": (
        {
            "block_out_channels": (64, 128),
            "attention_levels": (True, True),
            "context_dim": 128,
        },
        (64, 4, 8),
    ),
    "SD 1.x, a fifth as wide": (
        {
            "block_out_channels": (64, 128, 256, 256),
            "attention_levels": (True, True, True, False),
            "layers_per_block": 2,
            "norm_num_groups": 32,
            "context_dim": 768,
            "num_heads": 8,
        },
        (4, 4, 32),
    ),
}
WORDS = 32


def training_step(model: nn.Module, ask: Callable[[], Tensor], target: Tensor) -> Turn:
    """Squared error, its gradients and a step of AdamW."""
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def turn() -> None:
        optimiser.zero_grad()
        (ask() - target).square().mean().backward()
        optimiser.step()

    return turn


def inference(ask: Callable[[], Tensor]) -> Turn:
    """The answer alone."""

    def turn() -> None:
        with torch.no_grad():
            ask()

    return turn


def compare(title: str, turns: dict[str, Turn], rounds: int) -> None:
    """Time the two in turn, so that what else the machine does falls on both, and print."""
    times: dict[str, list[float]] = {name: [] for name in turns}
    for round_ in range(rounds + 2):
        for name in turns if round_ % 2 else reversed(turns):  # neither is always the second
            start = time.perf_counter()
            turns[name]()
            if round_ >= 2:  # the first two warm the caches
                times[name].append(time.perf_counter() - start)
    (ours, our_time), (theirs, their_time) = (
        (name, statistics.median(took)) for name, took in times.items()
    )
    print(
        f"{title:<42} {ours} {1000 * our_time:7.1f} ms   {theirs} {1000 * their_time:7.1f} ms"
        f"   theirs/ours {their_time / our_time:5.2f}",
        flush=True,
    )


def beside_diffusers(name: str, rounds: int) -> None:
    """Inference and training step at the same weights."""
    options, (batch, channels, size) = SHAPES[name]
    ours = UNet(in_channels=channels, out_channels=channels, **options)
    theirs = to_diffusers(ours).train()
    x, t = torch.randn(batch, channels, size, size), torch.randint(0, 1000, (batch,))
    words, target = torch.randn(batch, WORDS, options["context_dim"]), torch.randn_like(x)

    def ask_ours() -> Tensor:
        return ours(x, t, words)

    def ask_theirs() -> Tensor:
        return theirs(x, t, words).sample

    torch.testing.assert_close(ask_ours(), ask_theirs(), atol=1e-4, rtol=1e-4)
    turns = {"edudiff": inference(ask_ours), "diffusers": inference(ask_theirs)}
    compare(f"{name}, inference", turns, rounds)
    turns = {
        "edudiff": training_step(ours, ask_ours, target),
        "diffusers": training_step(theirs, ask_theirs, target),
    }
    compare(f"{name}, training step", turns, rounds)


def beside_denoising_diffusion(rounds: int) -> None:
    """A training step on 32 × 32 pictures at about equal parameter count."""
    try:
        library = importlib.import_module("denoising_diffusion_pytorch")
    except ImportError:
        print("denoising-diffusion-pytorch is not there; how to add it says --help")
        return
    # Theirs sees the pixels of the last level exactly, and those of the others by attention of
    # linear cost, which ours does not have. So ours is timed twice: with less and with more.
    x, t = torch.randn(16, 3, 32, 32), torch.randint(0, 1000, (16,))
    target = torch.randn_like(x)
    for name, levels in {
        "exact attention on the last level": (False, False, True),
        "exact attention on all levels": (True, True, True),
    }.items():
        theirs = library.Unet(dim=32, dim_mults=(1, 2, 4), flash_attn=True)
        ours = UNet(block_out_channels=(32, 64, 96), layers_per_block=2, attention_levels=levels)
        sizes = [sum(p.numel() for p in model.parameters()) for model in (ours, theirs)]
        print(f"{name}: " + " and ".join(f"{size / 1e6:.2f}" for size in sizes) + " M parameters")
        turns = {
            "edudiff": training_step(ours, functools.partial(ours, x, t), target),
            "d-d-p": training_step(theirs, functools.partial(theirs, x, t), target),
        }
        compare("  training step", turns, rounds)


def main() -> None:
    """Print one line for each comparison."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    for name in SHAPES:
        beside_diffusers(name, arguments.rounds)
    beside_denoising_diffusion(arguments.rounds)


if __name__ == "__main__":
    main()
