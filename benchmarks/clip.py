"""CLIP forwards and backwards: ours beside transformers, equal weights, turn by turn.

    python benchmarks/clip.py

Prints the median of each and their ratio; above 1 ours is the faster.
"""

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from edudiff.models.clip import CLIP, contrastive_loss
from edudiff.models.clip_bridge import to_transformers
from edudiff.models.clip_towers import TextTransformer, VisionTransformer

VOCAB_SIZE = 600


def seconds(loss: Callable[[], Tensor], parameters: list[Tensor]) -> float:
    """Wall time of one loss with its gradients."""
    for parameter in parameters:
        parameter.grad = None
    start = time.perf_counter()
    loss().backward()
    return time.perf_counter() - start


def main() -> None:
    """Measure the two in turn, so that what else the machine does falls on both."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)

    text, vision = TextTransformer(VOCAB_SIZE, VOCAB_SIZE - 1), VisionTransformer()
    ours = CLIP(text, vision)
    theirs = to_transformers(ours).train()
    pictures = 2 * torch.rand(arguments.batch, 3, 64, 64) - 1
    input_ids = torch.randint(0, VOCAB_SIZE - 1, (arguments.batch, text.context_length))
    input_ids[:, -1] = VOCAB_SIZE - 1

    losses = {
        "edudiff": (lambda: contrastive_loss(*ours(pictures, input_ids)), ours),
        "transformers": (
            lambda: theirs(input_ids=input_ids, pixel_values=pictures, return_loss=True).loss,
            theirs,
        ),
    }
    torch.testing.assert_close(*(loss() for loss, _ in losses.values()), atol=1e-5, rtol=1e-5)
    times: dict[str, list[float]] = {name: [] for name in losses}
    for round_ in range(arguments.rounds + 2):
        for name, (loss, model) in losses.items():
            took = seconds(loss, list(model.parameters()))
            if round_ >= 2:  # the first two warm the caches
                times[name].append(took)
    medians = {name: statistics.median(took) for name, took in times.items()}
    for name, median in medians.items():
        print(f"{name:>12}: {1000 * median:7.1f} ms")
    print(f"theirs/ours : {medians['transformers'] / medians['edudiff']:7.2f}")


if __name__ == "__main__":
    main()
