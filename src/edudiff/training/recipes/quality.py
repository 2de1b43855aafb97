"""How well pictures show what was asked for, whatever kind of model draws them."""

from collections.abc import Callable, Sequence
from statistics import mean

import torch
from torch import Generator, Tensor

from edudiff.evaluation import oracle
from edudiff.training.recipes import tiny_sd

CHUNK = 64
NAMED = ("count", "colour", "shape", "binding", "relation")
Draw = Callable[[Sequence[str], Generator], Tensor]


@torch.no_grad()
def judge(draw: Draw, prompts: Sequence[str], *, seed: int = 0) -> list[oracle.Verdict]:
    """What the oracle says of one picture for each prompt.

    Args:
        draw: (prompts, generator) → a picture in [-1, 1] for each.
        prompts: they are drawn some at a time.
        seed: of the generator.
    """
    generator, verdicts = Generator().manual_seed(seed), []
    for first in range(0, len(prompts), CHUNK):
        some = prompts[first : first + CHUNK]
        verdicts += oracle.judge(draw(some, generator).float().cpu(), some)
    return verdicts


def measure(draw: Draw, count: int = 500) -> dict[str, float]:
    """What `tiny_sd.measure` measures, on the same captions.

    Returns:
        "one" and "two", see `tiny_sd.shares`; "held_out": of captions with a combination of colour
        and shape, or a relation, that no training scene has; "count", "colour", "shape", "binding"
        and "relation": of the captions that say something of it, how often that alone holds.
    """
    prompts = tiny_sd.test_captions(count)
    strangers = tiny_sd.test_captions(count // 2, split="held_out")
    verdicts = judge(draw, prompts)
    found = tiny_sd.shares(prompts, verdicts)
    found["held_out"] = mean(bool(verdict.all) for verdict in judge(draw, strangers))
    for name in NAMED:
        said = [bool(verdict[name]) for verdict in verdicts if verdict[name] is not None]
        found[name] = mean(said)
    return found
