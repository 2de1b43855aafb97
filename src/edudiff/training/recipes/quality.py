"""How well pictures show what was asked for, whatever kind of model draws them."""

from collections.abc import Callable, Sequence
from statistics import mean

import torch
from torch import Generator, Tensor

from edudiff.data import captions, scenes
from edudiff.evaluation import oracle, panel

CHUNK = 64
NAMED = ("count", "colour", "shape", "binding", "relation")
FIRST_TEST_SEED = scenes.FIRST_TEST_SEED
FIRST_TUNING_SEED = FIRST_TEST_SEED + 2**20
Draw = Callable[[Sequence[str], Generator], Tensor]


def test_captions(
    count: int, *, first_seed: int = FIRST_TEST_SEED, split: scenes.Split = "train"
) -> list[str]:
    """Captions of the first so many scenes from a seed on; no training sees them."""
    seeds = range(first_seed, first_seed + count)
    told = scenes.scenes(seeds, split=split)
    return [captions.describe(*pair) for pair in zip(told, seeds, strict=True)]


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


def shares(prompts: Sequence[str], verdicts: Sequence[oracle.Verdict]) -> dict[str, float]:
    """The share of pictures that show all that was asked, for one object and for two.

    Returns:
        "one": of prompts with one object; "two": of those with two and a relation.
    """
    groups = panel.by_number(prompts, verdicts)
    return {name: sum(right) / len(right) for name, right in groups.items() if right}


def measure(draw: Draw, count: int = 500) -> dict[str, float]:
    """How often a picture shows all its caption says, on captions that training never saw.

    Returns:
        "one" and "two", see `shares`; "held_out": of captions with a combination of colour
        and shape, or a relation, that no training scene has; "count", "colour", "shape", "binding"
        and "relation": of the captions that say something of it, how often that alone holds.
    """
    prompts = test_captions(count)
    strangers = test_captions(count // 2, split="held_out")
    verdicts = judge(draw, prompts)
    found = shares(prompts, verdicts)
    found["held_out"] = mean(bool(verdict.all) for verdict in judge(draw, strangers))
    for name in NAMED:
        said = [bool(verdict[name]) for verdict in verdicts if verdict[name] is not None]
        found[name] = mean(said)
    return found
