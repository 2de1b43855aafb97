"""A step in several parts is the step in one; that several processes are one is in `test_run`."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState, GradientState
from torch import Generator, Tensor, nn

from edudiff.layers.resnet import ResnetBlock
from edudiff.training.job import Every, Job, Recipe, Settings, Thrift
from edudiff.training.log import read
from edudiff.training.parallel import gather_rows
from edudiff.training.run import run

SETTINGS = Settings("toy", 12, batch_size=8)
EVERY = Every(log=1, checkpoint=3)


def prepare(seed: int, num_steps: int, **changes: Any) -> Job:
    """A convolutional network with a brick in it; momentum, a schedule, an average, clipping."""
    torch.manual_seed(seed)
    block = ResnetBlock(4, 4, groups=2)
    network = nn.Sequential(nn.Conv2d(1, 4, 3, padding=1), block, nn.Conv2d(4, 1, 1))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-2)

    def draw(batch_size: int, generator: Generator) -> dict[str, Tensor]:
        return {"x": torch.randn(batch_size, 1, 4, 4, generator=generator)}

    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        loss = (network(batch["x"]) - batch["x"].cumsum(-1)).square().mean()
        return {"loss": loss, "rows": torch.tensor(float(len(batch["x"])))}

    job = Job(
        network,
        optimizer,
        draw,
        losses,
        scheduler=torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, num_steps),
        ema_decay=0.9,
        max_grad_norm=0.5,
    )
    return replace(job, **changes)


def recipe(**changes: Any) -> Recipe:
    return Recipe("toy", 12, 8, lambda seed, steps: prepare(seed, steps, **changes))


@pytest.fixture(autouse=True)
def _fresh_accelerator() -> Iterator[None]:
    yield
    AcceleratorState._reset_state(True)
    GradientState._reset_state()


def curve(out: Path, name: str = "loss") -> Tensor:
    return torch.tensor([row[name] for row in read(out / "log.jsonl") if "quality" not in row])


def weights(out: Path) -> dict[str, Tensor]:
    return torch.load(out / "last.pt", weights_only=True)["parts"]["ema"]["module"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole")
    run(recipe(), out, SETTINGS, EVERY)
    return out


@pytest.mark.parametrize("parts", [2, 4, 8])
def test_the_same_batch_in_parts_gives_the_same_loss_curve_and_weights(parts, whole, tmp_path):
    run(recipe(), tmp_path, SETTINGS, EVERY, Thrift(accumulate=parts))
    assert curve(tmp_path, "rows").tolist() == [8 / parts] * 12
    assert curve(whole)[-1] < 0.9 * curve(whole)[0]
    torch.testing.assert_close(curve(tmp_path), curve(whole), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(weights(tmp_path), weights(whole), atol=1e-5, rtol=1e-4)


def test_recomputing_ends_with_the_same_bits(whole, tmp_path):
    made = []

    def watched(seed: int, steps: int) -> Job:
        made.append(prepare(seed, steps))
        return made[-1]

    run(Recipe("toy", 12, 8, watched), tmp_path, SETTINGS, EVERY, Thrift(recompute=True))
    assert "forward" in vars(made[0].network[1])  # so it was asked to
    assert torch.equal(curve(tmp_path), curve(whole))
    assert all(
        torch.equal(value, weights(whole)[name]) for name, value in weights(tmp_path).items()
    )


@pytest.mark.parametrize("stop", [1, 5, 16])
def test_broken_off_within_a_step_in_parts_it_ends_with_the_same_bits(stop, tmp_path):
    thrift = Thrift(accumulate=2, recompute=True)
    run(recipe(), tmp_path / "straight", SETTINGS, EVERY, thrift)
    job, calls = prepare(0, 12), []

    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        calls.append(1)
        if len(calls) > stop:
            raise KeyboardInterrupt
        return job.losses(batch)

    broken = Recipe("toy", 12, 8, lambda seed, steps: replace(job, losses=losses))
    with pytest.raises(KeyboardInterrupt):
        run(broken, tmp_path / "twice", SETTINGS, EVERY, thrift)
    run(recipe(), tmp_path / "twice", SETTINGS, EVERY, thrift)
    straight, twice = (weights(tmp_path / name) for name in ("straight", "twice"))
    assert all(torch.equal(straight[name], twice[name]) for name in straight)
    assert torch.equal(curve(tmp_path / "straight"), curve(tmp_path / "twice"))


def test_a_training_may_go_on_in_other_parts(whole, tmp_path):
    job, calls = prepare(0, 12), []

    def draw(batch_size: int, generator: Generator) -> dict[str, Tensor]:
        calls.append(1)
        if len(calls) > 7:
            raise KeyboardInterrupt
        return job.draw(batch_size, generator)

    with pytest.raises(KeyboardInterrupt):
        run(recipe(draw=draw), tmp_path, SETTINGS, EVERY)
    run(recipe(), tmp_path, SETTINGS, EVERY, Thrift(accumulate=4, recompute=True))
    torch.testing.assert_close(curve(tmp_path), curve(whole), atol=1e-5, rtol=1e-5)


def test_only_the_rows_of_a_part_are_fetched_at_a_time(tmp_path):
    fetched = []

    def fetch(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        fetched.append(len(batch["x"]))
        return batch

    once = replace(SETTINGS, num_steps=1)
    run(recipe(fetch=fetch), tmp_path, once, EVERY, Thrift(accumulate=4))
    assert fetched == [2, 2, 2, 2]


def test_nan_in_the_last_part_leaves_the_weights_untouched(tmp_path):
    job, calls = prepare(0, 3), []
    before = job.network[0].weight.clone()

    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        calls.append(1)
        return {"loss": job.losses(batch)["loss"] * (torch.nan if len(calls) == 2 else 1)}

    broken = Recipe("toy", 12, 8, lambda seed, steps: replace(job, losses=losses))
    with pytest.raises(FloatingPointError, match="loss: expected finite numbers, got {'loss': nan"):
        run(broken, tmp_path, SETTINGS, EVERY, Thrift(accumulate=2))
    assert torch.equal(job.network[0].weight, before)


def test_a_batch_that_cannot_be_cut_equally_is_refused(tmp_path, refusal):
    with refusal("batch_size: expected a multiple of 3, .* times 3 parts each, got 8"):
        run(recipe(), tmp_path, SETTINGS, EVERY, Thrift(accumulate=3))
    assert not (tmp_path / "settings.json").exists()


def test_a_loss_that_compares_rows_cannot_be_cut(tmp_path, refusal):
    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": gather_rows(batch["x"]).std()}

    with refusal("accumulate: expected 1 for a loss that compares the rows of a batch, got 2"):
        run(recipe(losses=losses), tmp_path, SETTINGS, EVERY, Thrift(accumulate=2))
