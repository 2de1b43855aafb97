"""Does it pay to begin small and to grow? And what do Matryoshka's other choices do?

    python benchmarks/matryoshka_ablations.py

Trains the small nested networks of `edudiff.training.recipes.growing` (digits of 8 and 4 pixels) in
several ways, each with several seeds, and prints two tables: what every way came to at equal
operations, then progressive training against training from scratch on three axes (steps at full
resolution, floating-point operations, seconds of this process). Every training may use as many
operations as so many steps of the nested network. "progressive" spends a share of them on the
network for 4 pixels, grows it, and goes on with both.

Results are in a file, one line of JSON for each measurement. Trainings that are in it already are
not done again, so an interrupted run goes on where it was. `--table` only prints.

Intervals are Student's t over the seeds, at 95 %. A seed decides first weights, batches, timesteps
and noise, so differences between two ways are taken seed by seed.
"""

import argparse
import itertools
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel
from tqdm import tqdm

from edudiff.diffusion.multiscale import pyramid
from edudiff.evaluation.intervals import mean_interval
from edudiff.training import log
from edudiff.training.recipes import growing
from edudiff.training.recipes.growing import Choice

Row = dict[str, Any]

PAIR = ("scratch", "progressive")
"""These two come first, with every seed, and are measured on the way."""


@dataclass(frozen=True)
class Way:
    """One way to train.

    Attributes:
        choice: what the recipe is told.
        parts: into how many equal parts its operations are divided; it is measured after each.
        in_advance: how many of them are spent on the small network.
    """

    choice: Choice
    parts: int = 1
    in_advance: int = 0


WAYS = {
    "scratch": Way(Choice(), parts=5),
    "progressive": Way(Choice(), parts=5, in_advance=2),
    "power 0": Way(Choice(power=0.0)),
    "power 1": Way(Choice(power=1.0)),
    "pooled noise": Way(Choice(pooled=True)),
    "high loss only": Way(Choice(weights=(1.0, 0.0))),
    "half the batch low only": Way(Choice(mixed_ratio=(1, 1))),
}


class Training:
    """One way with one seed, and what it has used so far."""

    def __init__(self, way: Way, seed: int, x0: Tensor) -> None:
        torch.manual_seed(seed)
        self.base = growing.make_base()
        self.nested = growing.make_nested(self.base)  # first weights are those of the seed, always
        self.choice, self.x0 = way.choice, x0
        self.generator = Generator().manual_seed(seed)
        self.operations, self.seconds = 0, 0.0

    def run(self, model: growing.Doll, budget: int, marks: int) -> Iterator[tuple[int, Any]]:
        """Train until so many operations are used, yielding steps and average at each mark."""
        average, step = growing.prepare(model, self.x0, self.choice)
        each = growing.operations(model, self.choice)
        for mark in range(1, marks + 1):
            start = time.process_time()
            done, until = (round(budget * k / marks / each) for k in (mark - 1, mark))
            for _ in range(done, until):
                step(self.generator)
            self.seconds += time.process_time() - start
            self.operations += each * (until - done)
            yield until, average.module


def train(way: Way, seed: int, steps: int, x0: Tensor, real: Tensor) -> list[Row]:
    """Train in one way and measure on the way.

    Args:
        way: how.
        seed: of everything.
        steps: a training from scratch, on whole batches, has so many.
        x0: pictures to train on.
        real: pictures to measure against.

    Returns:
        A row for each measurement.
    """
    training = Training(way, seed, x0)
    model, rows = training.nested, []
    budget = steps * growing.operations(model, Choice())
    spent = budget * way.in_advance // way.parts
    if spent:
        for _, average in training.run(training.base, spent, 1):
            model.inner_unet.load_state_dict(average.state_dict())
    for done, average in training.run(model, budget - spent, way.parts - way.in_advance):
        levels = growing.draw(average, len(real), way.choice)
        used = {"gflop": training.operations / 1e9, "seconds": round(training.seconds, 2)}
        rows.append({"high_steps": done} | used | growing.measure(levels, real))
    return rows


def measure_all(path: Path, ways: Sequence[str], seeds: Sequence[int], steps: int) -> None:
    """Do every training that is not in the file yet, one seed after the other."""
    x0, real, others = growing.split()
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = log.read(path)
    if not any(row["way"] == "real pictures" for row in rows):
        found = growing.measure(pyramid(others, growing.RATIOS), real)
        log.write_line(path, {"way": "real pictures"} | found)
    there = {(row["way"], row.get("seed"), row.get("steps")) for row in rows}
    trainings = sorted(itertools.product(seeds, ways), key=lambda pair: pair[1] not in PAIR)
    for seed, name in tqdm(trainings):
        if (name, seed, steps) in there:
            continue
        for row in train(WAYS[name], seed, steps, x0, real):
            log.write_line(path, {"way": name, "seed": seed, "steps": steps} | row)


def last_rows(rows: Sequence[Row], way: str) -> dict[int, Row]:
    """The last measurement of each seed."""
    return {row["seed"]: row for row in rows if row["way"] == way}


def interval(values: Sequence[float]) -> str:
    """Mean and half the width of its interval."""
    if len(values) < 2:
        return f"{values[0]:.3f}"
    found = mean_interval(values)
    return f"{found.mean:.3f} ± {found.high - found.mean:.3f}"


def compare(rows: Sequence[Row], measure: str) -> None:
    """Print progressive minus scratch, at equal steps, equal operations and equal seconds."""
    print(f"\nprogressive − scratch, {measure}, seed by seed:")
    for axis in ("high_steps", "gflop", "seconds"):
        gaps: dict[int, list[float]] = {}
        for seed in last_rows(rows, "progressive"):
            other, ours = (
                [row for row in rows if (row["way"], row.get("seed")) == (way, seed)]
                for way in PAIR
            )
            for mark, row in enumerate(ours, start=1):
                at = between(other, axis, row[axis], measure)
                if at is not None:
                    gaps.setdefault(mark, []).append(row[measure] - at)
        for mark, values in gaps.items():
            print(f"  equal {axis:10}, measurement {mark}: {interval(values)}")


def between(rows: Sequence[Row], axis: str, at: float, measure: str) -> float | None:
    """What a training had at some point, in a straight line between two measurements."""
    for before, after in itertools.pairwise(rows):
        if before[axis] * 0.999 <= at <= after[axis] * 1.001:
            share = (at - before[axis]) / (after[axis] - before[axis])
            return before[measure] + share * (after[measure] - before[measure])
    return None


def print_tables(rows: Sequence[Row]) -> None:
    """Print every way's last measurement, then the comparison on three axes."""
    names = ("distance", "low", "apart", "sharpness")
    print(f"{'':24}" + "".join(f"{name:>16}" for name in ("seconds", *names)))
    for way in ("real pictures", *WAYS):
        found = [row for row in rows if row["way"] == way]
        if found and "seed" in found[0]:
            found = list(last_rows(rows, way).values())
        if found:
            cells = [interval([row[name] for row in found]) for name in names]
            seconds = sum(row.get("seconds", 0.0) for row in found) / len(found)
            print(f"{way:24}{seconds:16.0f}" + "".join(f"{cell:>16}" for cell in cells))
    compare(rows, "distance")


def main() -> None:
    """Parse the command line, train what is missing, print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--results", type=Path, default=growing.RESULTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=200, help="of a training from scratch")
    parser.add_argument("--ways", nargs="+", default=list(WAYS), choices=list(WAYS))
    parser.add_argument("--table", action="store_true", help="only print what is in the file")
    options = parser.parse_args()
    torch.set_num_threads(1)
    if not options.table:
        with sdpa_kernel(SDPBackend.MATH):
            measure_all(options.results, options.ways, range(options.seeds), options.steps)
    print_tables(log.read(options.results))


if __name__ == "__main__":
    main()
