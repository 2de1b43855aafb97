"""A training's log: one line of JSON every so many steps, also across interruptions."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edudiff import checks
from edudiff.training import checkpoint


class Log:
    """Averages loss terms over `every` steps and writes them down.

    A line holds "step", each loss term (its mean over the steps since the line before), "seconds"
    of training up to here, earlier sessions included, and "pictures_per_second". It is part of a
    checkpoint: when a training is resumed, lines written after the checkpoint are taken back.

    Args:
        path: the file; None to write nothing, as all processes but one do.
        every: steps between two lines.
        batch_size: pictures in a step.
        num_steps: steps in all; the last one gets a line too.

    Raises:
        ValueError: if a count is below 1.
    """

    def __init__(self, path: Path | None, every: int, batch_size: int, num_steps: int) -> None:
        checks.whole_at_least(1, every=every, batch_size=batch_size, num_steps=num_steps)
        self.path, self.every = path, every
        self.batch_size, self.num_steps = batch_size, num_steps
        self.step, self.num_summed = 0, 0
        self.sums: dict[str, float] = {}
        self.begin_clock(0.0)

    def begin(self) -> None:
        """Begin or go on at the present step: take back what was written after it."""
        kept = [row for row in read(self.path) if row["step"] <= self.step and "quality" not in row]
        if self.path is not None:
            lines = "".join(json.dumps(row) + "\n" for row in kept)
            checkpoint.write_whole(self.path, lambda file: file.write(lines.encode()))
        self.begin_clock(kept[-1]["seconds"] if kept else 0.0)

    def begin_clock(self, seconds_before: float) -> None:
        """Measure from now on."""
        self.seconds_before, self.steps_since = seconds_before, 0
        self.start = self.last_line = time.perf_counter()

    def add(self, terms: Mapping[str, float]) -> None:
        """Count a step with these loss terms."""
        self.step += 1
        self.num_summed += 1
        self.steps_since += 1
        self.sums = {name: self.sums.get(name, 0.0) + value for name, value in terms.items()}
        if self.step % self.every == 0 or self.step == self.num_steps:
            self._write_means()

    def _write_means(self) -> None:
        now = time.perf_counter()
        means = {name: value / self.num_summed for name, value in self.sums.items()}
        speed = self.batch_size * self.steps_since / max(now - self.last_line, 1e-9)
        clock = {
            "seconds": round(self.seconds_before + now - self.start, 3),
            "pictures_per_second": round(speed, 1),
        }
        if self.path is not None:
            write_line(self.path, {"step": self.step, **means, **clock})
        self.sums, self.num_summed = {}, 0
        self.last_line, self.steps_since = now, 0

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint must hold to go on; the time taken is in the file."""
        return {"step": self.step, "num_summed": self.num_summed, "sums": dict(self.sums)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.step, self.num_summed = state["step"], state["num_summed"]
        self.sums = dict(state["sums"])


def write_line(path: Path, row: Mapping[str, Any]) -> None:
    """Append a line to a log."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read(path: Path | None) -> list[dict[str, Any]]:
    """The lines of a log; a last line that a kill cut short is left out.

    Raises:
        ValueError: if another line is not JSON.
    """
    if path is None or not path.exists():
        return []
    lines = path.read_text(encoding="utf-8").split("\n")
    rows = []
    for number, line in enumerate(lines[:-1], start=1):
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError as error:
            raise ValueError(f"{path}, line {number}: expected JSON, got {line[:60]!r}") from error
    return rows
