"""Training is killed, for real and at bad moments, and must end with the bits it would have had.

Run as a script, this file is the victim: one process that imports torch once and then, for each
line it reads, starts a training as a fork of itself, which the tests kill with SIGKILL.
"""

import contextlib
import os
import random
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from edudiff.data import points
from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.schedule import make_schedule
from edudiff.models.mlp import MLP
from edudiff.training import checkpoint
from edudiff.training.ema import EMA
from edudiff.training.loop import descend, train

NUM_STEPS = 40
CHECKPOINT = "last.pt"


def new_parts() -> dict[str, Any]:
    torch.manual_seed(0)
    network = MLP(width=64, depth=1)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
    return {"network": network, "optimizer": optimizer, "ema": EMA(network, decay=0.9)}


def train_to_the_end(folder: Path) -> None:
    """Everything that an interruption could lose: momentum, an average, two randomnesses."""
    parts, schedule = new_parts(), make_schedule("cosine", 50)
    network = parts["network"]

    def loss_fn(generator: Generator) -> Tensor:
        x0 = points.sample("moons", 16, generator=generator)
        eps = torch.randn(16, 2, generator=generator)
        t = torch.randint(50, (16,), generator=generator)
        xt = nn.functional.dropout(add_noise(x0, eps, t, schedule), 0.1)  # from the global state
        return (network(xt, t) - eps).square().mean()

    steps = train(
        descend(loss_fn, network, parts["optimizer"], ema=parts["ema"]),
        num_steps=NUM_STEPS,
        generator=Generator().manual_seed(1),
        parts=parts,
        checkpoint_path=folder / CHECKPOINT,
        checkpoint_every=2,
    )
    for _ in steps:
        time.sleep(0.002)


def stand_ready() -> None:
    """Start a training for each folder read, say its process id, and then how it ended."""
    torch.set_num_threads(1)
    new_parts()["optimizer"].step()  # imports what torch puts off until the first step
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            train_to_the_end(Path(line.strip()))
            os._exit(0)
        print(process, flush=True)
        _, status = os.waitpid(process, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    stand_ready()
    sys.exit()


pytestmark = pytest.mark.skipif(
    not hasattr(os, "fork"), reason="Windows has neither fork nor SIGKILL"
)


class Victim:
    """The process above, seen from the tests."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0
        )
        self.seconds = 0.0  # that the last training took which nobody interrupted

    def train(self, folder: Path, until: Callable[[], bool]) -> bool:
        """Train until the end or until the moment to kill has come; say whether it was killed."""
        ask, answer = self.process.stdin, self.process.stdout
        ask.write(f"{folder}\n".encode())
        training, start = int(answer.readline()), time.monotonic()
        while not select.select([answer], [], [], 0.0002)[0]:
            if until():
                with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                    os.kill(training, signal.SIGKILL)
                break
        ending = int(answer.readline())
        assert ending in (0, -signal.SIGKILL)
        if ending == 0:
            self.seconds = time.monotonic() - start
        return ending != 0


@pytest.fixture(scope="module")
def victim() -> Iterator[Victim]:
    victim = Victim()
    yield victim
    victim.process.stdin.close()
    victim.process.wait(timeout=20)


@pytest.fixture(scope="module")
def uninterrupted(victim: Victim, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("uninterrupted")
    assert not victim.train(folder, until=lambda: False)
    return torch.load(folder / CHECKPOINT, weights_only=True)


def steps_done(folder: Path) -> int:
    """What a resumed training would start from; raises if the checkpoint is damaged."""
    return checkpoint.resume(folder / CHECKPOINT, new_parts(), Generator())


def same_bits(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_bits(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_bits, a, b))
    return a == b


def at_a_random_moment(folder: Path, chance: random.Random, seconds: float) -> Callable[[], bool]:
    moment = time.monotonic() + chance.uniform(0, 0.3) * seconds
    return lambda: time.monotonic() >= moment


def while_saving(folder: Path, chance: random.Random, seconds: float) -> Callable[[], bool]:
    unfinished = folder / f"{CHECKPOINT}.part"
    saves_to_let_pass = chance.randrange(2)
    seen = False

    def now() -> bool:
        nonlocal saves_to_let_pass, seen
        before, seen = seen, unfinished.exists()
        if seen and not before:
            saves_to_let_pass -= 1
        return saves_to_let_pass < 0

    return now


def just_after_saving(folder: Path, chance: random.Random, seconds: float) -> Callable[[], bool]:
    path = folder / CHECKPOINT

    def version() -> int:
        return path.stat().st_ino if path.exists() else 0

    before = version()
    return lambda: version() != before


MOMENTS = [at_a_random_moment, while_saving, just_after_saving]


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_killed_training_ends_with_the_same_bits(moment, victim, uninterrupted, tmp_path):
    chance, kills, done = random.Random(moment.__name__), 0, 0
    for _ in range(10):
        kills += victim.train(tmp_path, until=moment(tmp_path, chance, victim.seconds))
        before, done = done, steps_done(tmp_path)
        assert before <= done <= NUM_STEPS
    assert kills >= 3
    assert not victim.train(tmp_path, until=lambda: False)
    found = torch.load(tmp_path / CHECKPOINT, weights_only=True)
    assert found["step"] == uninterrupted["step"] == NUM_STEPS
    assert same_bits(found, uninterrupted)


def test_a_kill_while_saving_leaves_half_a_file_beside_a_whole_one(victim, tmp_path):
    chance = random.Random(2)
    left_behind = []
    for _ in range(5):
        victim.train(tmp_path, until=while_saving(tmp_path, chance, 0.0))
        left_behind.append((tmp_path / f"{CHECKPOINT}.part").exists())
        steps_done(tmp_path)
    assert any(left_behind)


def test_the_comparison_notices_a_single_bit(uninterrupted):
    other = {**uninterrupted, "generator": uninterrupted["generator"].clone()}
    other["generator"][0] ^= 1
    assert not same_bits(other, uninterrupted)


def test_everything_that_training_changes_is_compared(uninterrupted):
    assert set(uninterrupted) == {"step", "parts", "generator", "global_generator"}
    assert set(uninterrupted["parts"]) == {"network", "optimizer", "ema"}
