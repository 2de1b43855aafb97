"""Does the larger model draw more of what is asked? SDXL, with and without refiner, beside SD.

    python benchmarks/sdxl_against_sd.py            the same 1,000 prompts for each; fifteen minutes
    python benchmarks/sdxl_against_sd.py --show     what was found
    python benchmarks/sdxl_against_sd.py --tune     guidance scales, on other prompts

Each model draws with the settings its own recipe measures it with; the guidance scale of each was
chosen by `--tune`, on prompts that are not among these. Prints shares with their 95 % Wilson
intervals, and the mean difference to Stable Diffusion, prompt for prompt, with its interval. The
result lies in src/edudiff/evaluation/measured/sdxl_against_sd.jsonl, which chapter 12 reads. A
model whose weights are what they were is not measured again.
"""

import argparse
import json
from functools import partial
from typing import Any

import torch
from scipy.stats import binomtest

from edudiff.checkpoints import registry
from edudiff.evaluation import comparison, oracle
from edudiff.evaluation.intervals import mean_interval
from edudiff.pipelines import text_to_image, text_to_image_xl
from edudiff.pipelines.refine import generate_refined
from edudiff.training import log
from edudiff.training.recipes import contest, quality, tiny_sd

RESULTS = comparison.FILE.with_name("sdxl_against_sd.jsonl")
NUM_PROMPTS, NUM_TUNING = 1000, 384
SCALES = (1.5, 2.0, 2.5, 3.0)
TAKING_PART = {
    "tiny-sd": ("tiny-sd",),
    "tiny-sdxl": ("tiny-sdxl",),
    "tiny-sdxl with its refiner": ("tiny-sdxl", "tiny-sdxl-refiner"),
}
"""Name among the contestants → the weights that draw. Differences are taken to the first."""


def verdicts_of(draw: quality.Draw, prompts: list[str]) -> list[oracle.Verdict]:
    """What the oracle says of one picture for each prompt."""
    contestant = contest.Contestant(draw, parameters=0)
    return oracle.judge(contest.draw(contestant, prompts), prompts)


def measure(name: str, prompts: list[str]) -> dict[str, Any]:
    """One row: whether each picture has everything right, and the statements that hold.

    Returns:
        "right": of each prompt, 1 or 0; and of each statement (held, asked).
    """
    verdicts = verdicts_of(contest.enter(name).draw, prompts)
    row: dict[str, Any] = {
        "name": name,
        "drawn_with": TAKING_PART[name],
        "weights": registry.digest(*TAKING_PART[name]),
        "right": [int(bool(verdict.all)) for verdict in verdicts],
    }
    for statement in quality.NAMED:
        said = [bool(each[statement]) for each in verdicts if each[statement] is not None]
        row[statement] = [sum(said), len(said)]
    return row


def is_true(row: dict[str, Any] | None, count: int) -> bool:
    """Whether a row was measured with the weights of today, on as many prompts."""
    if row is None:
        return False
    return (row["weights"], len(row["right"])) == (registry.digest(*row["drawn_with"]), count)


def share(name: str, right: int, asked: int) -> str:
    """A share and its interval."""
    low, high = binomtest(right, asked).proportion_ci(method="wilson")
    return f"{name:34} {right / asked:6.1%} of {asked:4}  [{low:.1%}, {high:.1%}]"


def show(rows: list[dict[str, Any]]) -> None:
    """Print shares and differences."""
    first = rows[0]["right"]
    for row in rows:
        print(share(row["name"], sum(row["right"]), len(row["right"])))
        for statement in quality.NAMED:
            print(share(f"  {statement}", *row[statement]))
        if row is not rows[0]:
            more = mean_interval([b - a for a, b in zip(first, row["right"], strict=True)])
            between = f"[{more.low:+.1%}, {more.high:+.1%}]"
            print(f"  more than {rows[0]['name']}: {more.mean:+.1%} {between}")


def tune(count: int) -> None:
    """Guidance scales side by side, for each model, on prompts of their own."""
    prompts = quality.test_captions(count, first_seed=quality.FIRST_TUNING_SEED)
    sd = text_to_image.load(registry.path("tiny-sd"))
    xl, refiner = (
        text_to_image_xl.load(registry.path(name)) for name in ("tiny-sdxl", "tiny-sdxl-refiner")
    )
    draws: dict[str, quality.Draw] = {}
    for s in SCALES:
        draws[f"tiny-sd, {s:g}"] = partial(tiny_sd.draw, sd, guidance_scale=s)
        draws[f"tiny-sdxl, {s:g}"] = lambda p, g, s=s: text_to_image_xl.generate(
            xl, p, generator=g, guidance_scale=s
        )
        draws[f"tiny-sdxl with its refiner, {s:g}"] = lambda p, g, s=s: generate_refined(
            xl, refiner, p, generator=g, guidance_scale=s
        )
    for name, draw in draws.items():
        right = [bool(verdict.all) for verdict in verdicts_of(draw, prompts)]
        print(share(name, sum(right), count), flush=True)


def main() -> None:
    """Read the command line and do what it says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--show", action="store_true", help="measure nothing")
    parser.add_argument("--tune", action="store_true", help="compare guidance scales")
    parser.add_argument("--count", type=int, help=f"prompts ({NUM_PROMPTS}, or {NUM_TUNING})")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.tune:
        tune(options.count or NUM_TUNING)
        return
    if not options.show:
        prompts = quality.test_captions(options.count or NUM_PROMPTS)
        before = {row["name"]: row for row in log.read(RESULTS)}
        rows = [
            before[name] if is_true(before.get(name), len(prompts)) else measure(name, prompts)
            for name in TAKING_PART
        ]
        lines = [json.dumps(row, ensure_ascii=False) for row in rows]
        RESULTS.write_text("\n".join(lines) + "\n", encoding="utf-8")
    show(log.read(RESULTS))


if __name__ == "__main__":
    main()
