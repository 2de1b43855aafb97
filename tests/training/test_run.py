"""The training command's inside: interrupted, resumed, shared among processes, and what it leaves.

Run as a script, this file is one of several processes, or a training to be killed.
"""

import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from accelerate.state import AcceleratorState
from PIL import Image
from torch import Generator, Tensor, nn

from edudiff.training import parallel
from edudiff.training.job import Every, Job, Recipe, Settings
from edudiff.training.log import read
from edudiff.training.run import run

NUM_STEPS = 40
SETTINGS = Settings("toy", NUM_STEPS, batch_size=8)
EVERY = Every(log=4, sample=20, checkpoint=5)
STEP_BY_STEP = replace(EVERY, log=1)


def prepare(seed: int, num_steps: int, **changes: Any) -> Job:
    """Momentum, a falling learning rate, an average, clipping, and a loss that compares rows."""
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(2, 8), nn.Tanh(), nn.Linear(8, 2))
    optimizer = torch.optim.Adam(network.parameters(), lr=3e-2)

    def draw(batch_size: int, generator: Generator) -> dict[str, Tensor]:
        x = torch.randn(batch_size, 2, generator=generator)
        return {"x": x, "noise": torch.randn(batch_size, 2, generator=generator)}

    def fetch(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"x": batch["x"], "xt": batch["x"] + 0.3 * batch["noise"]}

    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        answers = network(batch["xt"])
        squared = (answers - batch["x"]).square().mean()
        logits = parallel.gather_rows(answers) @ parallel.gather_rows(batch["x"]).T
        contrast = nn.functional.cross_entropy(logits, torch.arange(len(logits)))
        return {"loss": squared + contrast, "squared": squared, "contrast": contrast}

    job = Job(
        network,
        optimizer,
        draw,
        losses,
        fetch=fetch,
        scheduler=torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.1, num_steps),
        ema_decay=0.9,
        max_grad_norm=0.5,
        sample=lambda weights: weights(torch.zeros(3, 2))[:, :1, None, None].expand(3, 3, 8, 8),
        measure=lambda weights: {"answer": weights(torch.ones(1, 2)).sum().item()},
        export=lambda weights, folder: torch.save(weights.state_dict(), folder / "weights.pt"),
    )
    return replace(job, **changes)


TOY = Recipe("toy", NUM_STEPS, 8, prepare)


def changed(**changes: Any) -> Recipe:
    return replace(TOY, prepare=lambda seed, steps: prepare(seed, steps, **changes))


def slowly(seed: int, num_steps: int) -> Job:
    job = prepare(seed, num_steps)

    def draw(batch_size: int, generator: Generator) -> dict[str, Tensor]:
        time.sleep(0.01)
        return job.draw(batch_size, generator)

    return replace(job, draw=draw)


def train_for_each_line() -> None:
    """The victim: one import of torch, then a fork for each folder read."""
    torch.set_num_threads(1)
    for line in sys.stdin:
        process = os.fork()
        if process == 0:
            run(replace(TOY, prepare=slowly), Path(line.strip()), SETTINGS, STEP_BY_STEP)
            os._exit(0)
        print(process, flush=True)
        os.waitpid(process, 0)
        print("ended", flush=True)


def stop_after(steps: int, out: Path, every: Every = STEP_BY_STEP) -> None:
    """Train in `out`, but break off after so many steps."""

    class Stop(Exception):
        pass

    job, drawn = prepare(SETTINGS.seed, NUM_STEPS), []

    def draw(batch_size: int, generator: Generator) -> dict[str, Tensor]:
        drawn.append(1)
        if len(drawn) > steps:
            raise Stop
        return job.draw(batch_size, generator)

    recipe = replace(TOY, prepare=lambda seed, num_steps: replace(job, draw=draw))
    with contextlib.suppress(Stop):
        run(recipe, out, SETTINGS, every)


def be_one_of_several(folder: Path) -> None:
    """Train from the start, breaking off in between; go on where one process was; be refused."""
    torch.set_num_threads(1)
    run(TOY, folder / "together", SETTINGS, STEP_BY_STEP)
    stop_after(20, folder / "first together")
    run(TOY, folder / "first alone", SETTINGS, STEP_BY_STEP)
    try:
        run(TOY, folder / "refused", replace(SETTINGS, batch_size=7))
    except ValueError as error:
        (folder / f"refused {os.environ['RANK']}.txt").write_text(str(error))


if __name__ == "__main__":
    be_one_of_several(Path(sys.argv[1])) if len(sys.argv) > 1 else train_for_each_line()
    sys.exit()


def same_bits(a: Any, b: Any) -> bool:
    if isinstance(a, Tensor):
        return a.dtype == b.dtype and torch.equal(a, b)
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same_bits(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same_bits, a, b))
    return a == b


def state(out: Path) -> dict[str, Any]:
    found = torch.load(out / "last.pt", weights_only=True)
    del found["global_generator"]  # no step looks at it
    return found


def losses_of(out: Path) -> Tensor:
    rows = [row for row in read(out / "log.jsonl") if "quality" not in row]
    return torch.tensor([[row["step"], row["loss"], row["squared"]] for row in rows])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("toy") / "new" / "folder"
    run(TOY, out, SETTINGS, STEP_BY_STEP)
    return out


def test_the_folder_holds_what_the_module_says(trained):
    assert {path.name for path in trained.iterdir()} == {
        "settings.json",
        "last.pt",
        "log.jsonl",
        "samples",
        "model",
    }


def test_the_loss_falls(trained):
    losses = losses_of(trained)[:, 1]
    assert losses[-8:].mean() < 0.8 * losses[:8].mean()


def test_a_picture_is_drawn_every_so_often_and_at_the_end(trained):
    pictures = sorted((trained / "samples").iterdir())
    assert [path.name for path in pictures] == ["step-000020.png", "step-000040.png"]
    assert Image.open(pictures[0]).size == (17, 17)  # two by two, a pixel between them


def test_a_single_picture_is_written_as_it_is(tmp_path):
    recipe = changed(sample=lambda weights: torch.zeros(3, 5, 9))
    run(recipe, tmp_path, replace(SETTINGS, num_steps=1))
    assert Image.open(tmp_path / "samples" / "step-000001.png").size == (9, 5)


def test_the_average_of_the_weights_is_exported(trained):
    exported = torch.load(trained / "model" / "weights.pt", weights_only=True)
    parts = state(trained)["parts"]
    assert same_bits(exported, parts["ema"]["module"])
    assert not same_bits(exported, parts["network"])


def test_without_an_average_the_network_itself_is_exported(tmp_path):
    run(changed(ema_decay=None), tmp_path, replace(SETTINGS, num_steps=3))
    exported = torch.load(tmp_path / "model" / "weights.pt", weights_only=True)
    assert same_bits(exported, state(tmp_path)["parts"]["network"])


def test_an_earlier_export_is_replaced_as_a_whole(trained, tmp_path):
    out = shutil.copytree(trained, tmp_path / "copy")
    (out / "model" / "of_an_older_version.txt").touch()
    (out / "model.part").mkdir()
    run(TOY, out, SETTINGS, EVERY)
    assert [path.name for path in (out / "model").iterdir()] == ["weights.pt"]


def test_the_quality_is_returned_logged_and_said_in_one_line(tmp_path, capsys):
    quality = run(TOY, tmp_path, SETTINGS, EVERY)
    assert read(tmp_path / "log.jsonl")[-1] == {"step": NUM_STEPS, "quality": quality}
    assert capsys.readouterr().out == f"toy: 40 steps, answer {quality['answer']:.4g}\n"


def test_nothing_but_a_loss_is_needed(tmp_path):
    bare = changed(scheduler=None, ema_decay=None, sample=None, measure=None, export=None)
    assert run(bare, tmp_path, replace(SETTINGS, num_steps=2)) == {}
    assert not (tmp_path / "model").exists()


def test_weights_are_looked_at_in_evaluation_mode_without_gradients(tmp_path):
    seen, network = [], nn.Sequential(nn.Linear(2, 2), nn.Dropout())

    def look(weights: nn.Module) -> Tensor:
        seen.append((weights.training, torch.is_grad_enabled()))
        torch.rand(3)  # must not move the randomness of the training
        return torch.zeros(1, 3, 4, 4)

    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        seen.append(network.training)
        return {"loss": network(batch["x"]).square().mean()}

    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    job = Job(network, optimizer, prepare(0, 3).draw, losses, sample=look)
    recipe = replace(TOY, prepare=lambda seed, num_steps: job)
    before = torch.get_rng_state()
    run(recipe, tmp_path, replace(SETTINGS, num_steps=1), replace(EVERY, sample=1))
    dropout_drew = torch.get_rng_state()
    run(recipe, tmp_path / "2", replace(SETTINGS, num_steps=2), replace(EVERY, sample=1))
    assert seen == [True, (False, False), True, (False, False), True, (False, False)]
    torch.set_rng_state(before)
    nn.functional.dropout(torch.zeros(8, 2))
    assert torch.equal(torch.get_rng_state(), dropout_drew)


def test_frozen_networks_reach_the_device_and_do_not_learn(tmp_path):
    frozen = nn.Linear(2, 2)
    before = frozen.weight.clone()
    run(changed(frozen=(frozen,)), tmp_path, replace(SETTINGS, num_steps=2))
    assert torch.equal(frozen.weight, before)


def test_each_step_draws_with_a_generator_of_its_own(tmp_path):
    """Its batch does not depend on how much the steps before it drew."""
    first_draws, job = [], prepare(0, NUM_STEPS)

    def draw(batch_size: int, generator: Generator) -> dict[str, Tensor]:
        first_draws.append(torch.rand((), generator=generator).item())
        return job.draw(batch_size, generator)

    run(changed(draw=draw), tmp_path / "1", replace(SETTINGS, num_steps=3))
    run(changed(draw=draw), tmp_path / "2", replace(SETTINGS, num_steps=3, batch_size=100))
    assert first_draws[:3] == first_draws[3:]
    assert len(set(first_draws)) == 3


def test_the_same_seed_ends_with_the_same_bits_and_another_with_others(trained, tmp_path):
    for seed, same in (0, True), (1, False):
        run(TOY, tmp_path / str(seed), replace(SETTINGS, seed=seed), EVERY)
        before, after = state(trained)["parts"], state(tmp_path / str(seed))["parts"]
        assert same_bits(before["network"], after["network"]) is same


def test_everything_that_training_changes_is_in_the_checkpoint(trained):
    assert set(state(trained)["parts"]) == {"network", "optimizer", "scheduler", "ema", "log"}


@pytest.mark.parametrize("stop", [3, 5, 19, 20, 39])
def test_a_training_that_broke_off_ends_with_the_same_bits(stop, trained, tmp_path):
    stop_after(stop, tmp_path)
    run(TOY, tmp_path, SETTINGS, STEP_BY_STEP)
    assert same_bits(state(tmp_path), state(trained))


def test_the_log_of_a_training_that_broke_off_has_every_line_once(trained, tmp_path):
    stop_after(13, tmp_path, EVERY)
    run(TOY, tmp_path, SETTINGS, EVERY)
    run(TOY, tmp_path / "whole", SETTINGS, EVERY)
    assert torch.equal(losses_of(tmp_path), losses_of(tmp_path / "whole"))


def test_a_resumed_training_says_from_which_step(tmp_path, capsys):
    stop_after(13, tmp_path)
    assert "going on" not in capsys.readouterr().out
    run(TOY, tmp_path, SETTINGS, EVERY)
    assert "last.pt: going on after step 10 of 40\n" in capsys.readouterr().out


def test_a_finished_training_is_measured_again_but_not_logged_twice(trained, tmp_path):
    out = shutil.copytree(trained, tmp_path / "copy")
    run(TOY, out, SETTINGS, STEP_BY_STEP)
    assert read(out / "log.jsonl") == read(trained / "log.jsonl")


OTHERS = [
    ("recipe", "top"),
    ("num_steps", 50),
    ("batch_size", 16),
    ("seed", 1),
    ("mixed_precision", "bf16"),
]


@pytest.fixture
def _fresh_accelerator() -> Any:
    AcceleratorState._reset_state(True)
    yield
    AcceleratorState._reset_state(True)


@pytest.mark.usefixtures("_fresh_accelerator")
@pytest.mark.parametrize("setting, other", OTHERS)
def test_a_folder_with_other_settings_is_refused(setting, other, trained, refusal):
    expected = getattr(SETTINGS, setting)
    with refusal(rf"other settings \({setting}: expected {expected!r}, got {other!r}\)"):
        run(TOY, trained, replace(SETTINGS, **{setting: other}))


def test_a_folder_where_nothing_was_saved_may_be_used_with_other_settings(tmp_path):
    stop_after(2, tmp_path)
    run(TOY, tmp_path, replace(SETTINGS, num_steps=3))
    assert losses_of(tmp_path)[:, 0].tolist() == [3]


def test_a_checkpoint_without_its_settings_is_refused(trained, tmp_path, refusal):
    out = shutil.copytree(trained, tmp_path / "copy")
    (out / "settings.json").unlink()
    with refusal("recipe: expected None, got 'toy'"):
        run(TOY, out, SETTINGS)


def test_a_loss_that_is_not_finite_stops_before_the_weights_are_touched(tmp_path):
    job = prepare(0, 3)
    before = job.network[0].weight.clone()

    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"loss": job.network(batch["x"]).sum() * torch.nan}

    recipe = replace(TOY, prepare=lambda seed, steps: replace(job, losses=losses))
    with pytest.raises(FloatingPointError, match="loss: expected finite numbers, got {'loss': nan"):
        run(recipe, tmp_path, SETTINGS)
    assert torch.equal(job.network[0].weight, before)


def test_losses_without_a_loss_are_refused(tmp_path, refusal):
    with refusal(r"losses: expected a term named 'loss', got \['mse'\]"):
        run(changed(losses=lambda batch: {"mse": batch["x"].mean()}), tmp_path, SETTINGS)


def test_gradients_are_shortened_to_the_given_length(tmp_path):
    job = prepare(0, 1, scheduler=None, max_grad_norm=1e-3)
    before = nn.utils.parameters_to_vector(job.network.parameters()).detach()
    job = replace(job, optimizer=torch.optim.SGD(job.network.parameters(), lr=1.0))
    recipe = replace(TOY, prepare=lambda seed, steps: job)
    run(recipe, tmp_path, replace(SETTINGS, num_steps=1))
    moved = nn.utils.parameters_to_vector(job.network.parameters()) - before
    assert moved.norm().item() == pytest.approx(1e-3, rel=0.01)


@pytest.mark.usefixtures("_fresh_accelerator")
def test_in_mixed_precision_the_network_computes_in_bf16_and_learns_in_float32(tmp_path):
    dtypes, job = [], prepare(0, NUM_STEPS)

    def losses(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        dtypes.append(job.network(batch["x"]).dtype)
        return job.losses(batch)

    recipe = replace(TOY, prepare=lambda seed, steps: replace(job, losses=losses))
    run(recipe, tmp_path, replace(SETTINGS, num_steps=2, mixed_precision="bf16"))
    assert set(dtypes) == {torch.bfloat16}
    assert job.network[0].weight.dtype == torch.float32


@pytest.fixture
def victim():
    process = subprocess.Popen(
        [sys.executable, __file__],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TQDM_DISABLE": "1"},
        bufsize=0,
    )
    yield process
    process.stdin.close()
    process.wait(timeout=20)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="Windows has neither fork nor SIGKILL")
def test_a_killed_training_ends_with_the_same_bits(victim, trained, tmp_path):
    chance, log, done = random.Random(3), tmp_path / "log.jsonl", []
    for part in range(4):
        victim.stdin.write(f"{tmp_path}\n".encode())
        process, goal = int(victim.stdout.readline()), 8 * part + chance.randrange(6, 9)
        while not log.exists() or len(log.read_bytes().splitlines()) < goal:
            time.sleep(0.0005)
        with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
            os.kill(process, signal.SIGKILL)
        while victim.stdout.readline() != b"ended\n":
            pass
        done.append(state(tmp_path)["step"])
        assert done[-1] >= goal - 5
    assert done == sorted(done) and done[0] < done[1] < NUM_STEPS
    run(TOY, tmp_path, SETTINGS, STEP_BY_STEP)
    assert same_bits(state(tmp_path), state(trained))
    assert torch.equal(losses_of(tmp_path), losses_of(trained))


@pytest.fixture(scope="module")
def several(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made of it."""
    folder = tmp_path_factory.mktemp("several")
    stop_after(20, folder / "first alone")
    words = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    environment = {**os.environ, "TQDM_DISABLE": "1", "OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, *words, str(folder)], check=True, env=environment, timeout=120)
    run(TOY, folder / "first together", SETTINGS, STEP_BY_STEP)
    return folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["together", "first together", "first alone"])
def test_two_processes_take_the_steps_of_one(name, several, trained):
    curve = losses_of(several / name)
    torch.testing.assert_close(curve, losses_of(trained), atol=1e-5, rtol=1e-5)
    found, expected = (state(out)["parts"]["ema"] for out in (several / name, trained))
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
def test_a_batch_that_cannot_be_shared_equally_is_refused(several):
    messages = [path.read_text() for path in sorted(several.glob("refused *.txt"))]
    expected = "batch_size: expected a multiple of 2, the number of processes, got 7"
    assert messages == [expected, expected]
    assert not (several / "refused").exists()
