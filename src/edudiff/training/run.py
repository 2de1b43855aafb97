"""The training command's inside: from a recipe to a folder with a model in it.

How to write a recipe stands in `edudiff.training.job`. The folder holds

    settings.json        what was asked for; a training is resumed with the same settings only
    last.pt              the checkpoint, taken up by whoever starts the same training again
    log.jsonl            the loss terms, the time and the speed; at the end the measured quality
    samples/             a picture every so often
    model/               the exported model, once the training is done

Processes started together, by `accelerate launch` or `torchrun`, share each batch and take the
same steps that one alone would take. Process 0 alone writes; a checkpoint fits any number. If they
have divided the weights among them (`Thrift.shard`), all look at the pictures together.
"""

import dataclasses
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from accelerate import Accelerator
from torch import Generator, nn
from tqdm import tqdm

from edudiff.display.encode import to_image
from edudiff.display.figures import grid
from edudiff.training import checkpoint, loop, sharding
from edudiff.training.ema import EMA
from edudiff.training.job import Every, Job, Recipe, Settings, Thrift
from edudiff.training.log import Log, write_line
from edudiff.training.step import check_shares, make_accelerator, make_step


def run(
    recipe: Recipe,
    out: Path,
    settings: Settings,
    every: Every | None = None,
    thrift: Thrift | None = None,
) -> dict[str, float]:
    """Train to the end, from the checkpoint in `out` if there is one, and export the model.

    Args:
        recipe: what to train.
        out: the folder to write to.
        settings: what decides the weights.
        every: how often to log, to draw a picture and to save.
        thrift: how a step is made to need less memory.

    Returns:
        The measured quality, by name; empty in other processes than the first.

    Raises:
        ValueError: if the batch cannot be shared equally among the processes and the parts of
            each, `out` holds a training with other settings, or what `sharding.shard` raises.
        FloatingPointError: if a loss is not finite; the weights are as before that step.
    """
    out, every = Path(out), every or Every()
    thrift = sharding.as_configured(thrift or Thrift())
    accelerator = make_accelerator(settings.mixed_precision, thrift)
    check_shares(settings.batch_size, accelerator)
    claim(out, settings, writes=accelerator.is_main_process)
    job = recipe.prepare(settings.seed, settings.num_steps)
    weights = train(job, out, settings, every, accelerator, thrift)
    writes, quality = accelerator.is_main_process, {}
    if writes or thrift.shard:
        quality = finish(job, weights, out, settings, writes=writes)
    accelerator.wait_for_everyone()
    return quality if writes else {}


def claim(out: Path, settings: Settings, *, writes: bool = True) -> None:
    """Write the settings down in a folder, unless a training with others has begun there.

    Raises:
        ValueError: saying which settings differ.
    """
    path, asked = out / "settings.json", dataclasses.asdict(settings)
    if (out / "last.pt").exists():
        before = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        differing = [
            f"{name}: expected {before.get(name)!r}, got {value!r}"
            for name, value in asked.items()
            if before.get(name) != value
        ]
        if differing:
            raise ValueError(
                f"{out}: holds a training with other settings ({'; '.join(differing)}). "
                "Ask for the same to resume it, or choose another folder."
            )
    elif writes:
        text = json.dumps(asked, indent=2) + "\n"
        checkpoint.write_whole(path, lambda file: file.write(text.encode()))


def train(
    job: Job,
    out: Path,
    settings: Settings,
    every: Every,
    accelerator: Accelerator,
    thrift: Thrift,
) -> nn.Module:
    """Take all steps that are not done yet; out come the weights to keep."""
    writes, path = accelerator.is_main_process, out / "last.pt"
    for network in (job.network, *job.frozen):
        network.to(accelerator.device)
    ema = None if job.ema_decay is None else EMA(job.network, job.ema_decay)
    weights = job.network if ema is None else ema.module
    log_path = out / "log.jsonl" if writes else None
    log = Log(log_path, every.log, settings.batch_size, settings.num_steps)
    step = make_step(job, ema, log, settings.batch_size, accelerator, thrift=thrift)
    parts = _parts(job, ema, log, accelerator)
    seeds = Generator().manual_seed(settings.seed)
    done = checkpoint.resume(path, parts, seeds)  # to know where; `loop.train` does it once more
    log.begin()
    if done and writes:
        print(f"{path}: going on after step {done} of {settings.num_steps}", flush=True)
    steps = loop.train(
        step,
        num_steps=settings.num_steps,
        generator=seeds,
        parts=parts,
        checkpoint_path=path,
        checkpoint_every=every.checkpoint,
        writes=writes,
    )
    for number in _with_bar(steps, settings, done) if writes else (n for n, _ in steps):
        if number % every.sample == 0 and number < settings.num_steps:
            if writes or thrift.shard:
                draw_sample(job, weights, out, number, writes=writes)
    return weights


def _parts(job: Job, ema: EMA | None, log: Log, accelerator: Accelerator) -> dict[str, Any]:
    parts = {
        "network": job.network,
        "optimizer": job.optimizer,
        "scheduler": job.scheduler,
        "ema": ema,
        "log": log,
        "scaler": accelerator.scaler,
    }
    return {name: part for name, part in parts.items() if part is not None}


def _with_bar(
    steps: Iterator[tuple[int, dict[str, float]]], settings: Settings, done: int
) -> Iterator[int]:
    with tqdm(desc=settings.recipe, total=settings.num_steps, initial=done) as bar:
        for number, terms in steps:
            bar.set_postfix_str(f"loss {terms['loss']:.4g}", refresh=False)
            bar.update()
            yield number


@contextmanager
def _looking(weights: nn.Module) -> Iterator[None]:
    """Evaluation mode, no gradients, and training's randomness left where it was."""
    training = weights.training
    weights.eval()
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        yield
    weights.train(training)


def draw_sample(job: Job, weights: nn.Module, out: Path, step: int, *, writes: bool = True) -> None:
    """Write the job's sample pictures to samples/step-….png, if it has any."""
    if job.sample is None:
        return
    with _looking(weights):
        pictures = job.sample(weights).float().cpu()
    if not writes:
        return
    image = grid(pictures) if pictures.ndim == 4 else to_image(pictures)
    path = out / "samples" / f"step-{step:06}.png"
    checkpoint.write_whole(path, lambda file: image.save(file, format="png"))


def finish(
    job: Job, weights: nn.Module, out: Path, settings: Settings, *, writes: bool = True
) -> dict[str, float]:
    """Draw the last sample, export the model, measure it, and say so in the log and in a line.

    A process that does not write exports to a folder that is thrown away.
    """
    draw_sample(job, weights, out, settings.num_steps, writes=writes)
    with _looking(weights):
        quality = dict(job.measure(weights)) if job.measure is not None else {}
        if job.export is not None and writes:
            unfinished, model = out / "model.part", out / "model"
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            job.export(weights, unfinished)
            shutil.rmtree(model, ignore_errors=True)
            unfinished.rename(model)
        elif job.export is not None:
            with TemporaryDirectory() as elsewhere:
                job.export(weights, Path(elsewhere))
    if not writes:
        return quality
    write_line(out / "log.jsonl", {"step": settings.num_steps, "quality": quality})
    measured = ", ".join(f"{name} {value:.4g}" for name, value in quality.items())
    print(f"{settings.recipe}: {settings.num_steps} steps, {measured or 'nothing measured'}")
    return quality
