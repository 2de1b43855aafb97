"""Two processes that divide the weights, gradients and averages take the steps of one.

Run as a script, this file is one of several processes.
"""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from edudiff.layers.resnet import ResnetBlock
from edudiff.training import sharding
from edudiff.training.job import Every, Job, Recipe, Settings, Thrift
from edudiff.training.log import read
from edudiff.training.run import run

SETTINGS = Settings("toy", 8, batch_size=8)
EVERY = Every(log=1, sample=4, checkpoint=4)


def prepare(seed: int, num_steps: int, **changes: Any) -> Job:
    """Something frozen, a brick, an odd number of channels, an average, clipping, a picture."""
    torch.manual_seed(seed)
    block = ResnetBlock(6, 6, groups=2)
    network = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), block, nn.Conv2d(6, 1, 1))
    network[2].requires_grad_(False)
    learning = [p for p in network.parameters() if p.requires_grad]
    optimizer = torch.optim.Adam(learning, lr=3e-2)

    def draw(batch_size: int, generator: Generator) -> dict[str, Tensor]:
        return {"x": torch.randn(batch_size, 1, 4, 4, generator=generator)}

    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": (network(batch["x"]) - batch["x"].cumsum(-1)).square().mean()}

    job = Job(
        network,
        optimizer,
        draw,
        losses,
        scheduler=torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, num_steps),
        ema_decay=0.9,
        max_grad_norm=0.5,
        divisible=(network,),
        sample=lambda weights: weights(torch.ones(1, 1, 4, 4)).expand(1, 3, 4, 4),
        measure=lambda weights: {"answer": weights(torch.ones(1, 1, 4, 4)).sum().item()},
        export=lambda weights, folder: torch.save(weights.state_dict(), folder / "weights.pt"),
    )
    return replace(job, **changes)


def recipe(**changes: Any) -> Recipe:
    return Recipe("toy", 8, 8, lambda seed, steps: prepare(seed, steps, **changes))


def be_one_of_several(out: Path) -> None:
    """Train, and write down how many numbers of the weights, gradients and averages are here."""
    torch.set_num_threads(1)
    jobs: list[Job] = []

    def watched(seed: int, steps: int) -> Job:
        jobs.append(prepare(seed, steps))
        return jobs[-1]

    run(Recipe("toy", 8, 8, watched), out, SETTINGS, EVERY, Thrift(2, recompute=True, shard=True))
    held: list[Any] = list(jobs[0].network.parameters())
    held += [p.grad for p in jobs[0].network.parameters() if p.grad is not None]
    held += [each["exp_avg"] for each in jobs[0].optimizer.state.values()]
    numbers = sum(each.to_local().numel() for each in held), sum(each.numel() for each in held)
    (out / f"held-{os.environ['RANK']}.json").write_text(json.dumps(numbers))


if __name__ == "__main__":
    be_one_of_several(Path(sys.argv[1]))
    sys.exit()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    run(recipe(), folder / "alone", SETTINGS, EVERY)
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    environment = {**os.environ, "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, *words, str(folder / "divided")], check=True, env=environment, timeout=300
    )
    return folder


@pytest.mark.slow
def test_the_loss_curve_is_that_of_one_process(folder):
    found, alone = (
        torch.tensor([row["loss"] for row in read(folder / name / "log.jsonl") if "loss" in row])
        for name in ("divided", "alone")
    )
    assert len(alone) == 8 and alone[-1] < 0.95 * alone[0]
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_the_checkpoint_with_its_averages_is_that_of_one_process(folder):
    found, alone = (
        torch.load(folder / name / "last.pt", weights_only=True)["parts"]
        for name in ("divided", "alone")
    )
    for part in ("network", "ema", "optimizer", "scheduler"):
        torch.testing.assert_close(found[part], alone[part], atol=1e-5, rtol=1e-4)
    assert not torch.equal(alone["ema"]["module"]["0.weight"], alone["network"]["0.weight"])


@pytest.mark.slow
def test_the_exported_model_and_its_quality_are_those_of_one_process(folder):
    found, alone = (
        torch.load(folder / name / "model" / "weights.pt", weights_only=True)
        for name in ("divided", "alone")
    )
    torch.testing.assert_close(found, alone, atol=1e-5, rtol=1e-4)
    found, alone = (read(folder / name / "log.jsonl")[-1] for name in ("divided", "alone"))
    assert found["quality"] == pytest.approx(alone["quality"], rel=1e-4)


@pytest.mark.slow
def test_nobody_holds_everything_and_all_together_hold_it_once(folder):
    held = [json.loads((folder / "divided" / f"held-{rank}.json").read_text()) for rank in (0, 1)]
    (first, whole), (second, _) = held
    assert first + second == whole
    assert abs(first - second) < 0.1 * whole


def test_one_process_has_nobody_to_divide_with(tmp_path, refusal):
    with refusal("shard: expected several processes to divide the weights among, got one"):
        run(recipe(), tmp_path, SETTINGS, EVERY, Thrift(shard=True))


@pytest.mark.parametrize("divisible", [(), (nn.Linear(1, 1),)])
def test_a_recipe_whose_networks_cannot_be_divided_is_refused(divisible, tmp_path, refusal):
    with refusal("shard: expected a recipe whose networks can be divided, such as lora"):
        run(recipe(divisible=divisible), tmp_path, SETTINGS, EVERY, Thrift(shard=True))


@pytest.mark.parametrize(("word", "told"), [("true", True), ("false", False), (None, False)])
def test_a_configuration_of_accelerate_that_shards_is_taken_note_of(word, told, monkeypatch):
    if word is not None:
        monkeypatch.setenv(sharding.WORD, word)
    assert sharding.as_configured(Thrift(3)) == Thrift(3, shard=told)
    assert sharding.WORD not in os.environ
