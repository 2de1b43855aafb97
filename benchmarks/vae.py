"""The autoencoder forwards and backwards: ours beside diffusers, equal weights, turn by turn.

    python benchmarks/vae.py

Prints the median of each and their ratio; above 1 ours is the faster.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from edudiff.models.vae import AutoencoderKL
from edudiff.models.vae_bridge import to_diffusers


def loss(posterior: Any, decode: Callable[[Tensor], Tensor], x: Tensor, noise: Tensor) -> Tensor:
    """Squared error plus KL, by which both are trained here."""
    x_hat = decode(posterior.mean + posterior.std * noise)
    return (x_hat - x).square().mean() + 1e-4 * posterior.kl().mean()


def seconds(turn: Callable[[], Tensor], model: nn.Module) -> float:
    """Wall time of one loss with its gradients."""
    model.zero_grad()
    start = time.perf_counter()
    turn().backward()
    return time.perf_counter() - start


def main() -> None:
    """Measure the two in turn, so that what else the machine does falls on both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    ours = AutoencoderKL()
    theirs = to_diffusers(ours).train()
    x = 2 * torch.rand(arguments.batch, 3, arguments.size, arguments.size) - 1
    noise = torch.randn_like(ours.encode(x).mean)
    turns = {
        "edudiff": (lambda: loss(ours.encode(x), ours.decode, x, noise), ours),
        "diffusers": (
            lambda: loss(theirs.encode(x).latent_dist, lambda z: theirs.decode(z).sample, x, noise),
            theirs,
        ),
    }
    torch.testing.assert_close(*(turn() for turn, _ in turns.values()), atol=1e-5, rtol=1e-5)
    times: dict[str, list[float]] = {name: [] for name in turns}
    for round_ in range(arguments.rounds + 2):
        for name, (turn, model) in turns.items():
            took = seconds(turn, model)
            if round_ >= 2:  # the first two warm the caches
                times[name].append(took)
    medians = {name: statistics.median(took) for name, took in times.items()}
    for name, median in medians.items():
        print(f"{name:>11}: {1000 * median:7.1f} ms")
    print(f"theirs/ours: {medians['diffusers'] / medians['edudiff']:7.2f}")


if __name__ == "__main__":
    main()
