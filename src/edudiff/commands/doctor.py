"""`edudiff doctor`: what is here, what can be used, and what is broken, a line each."""

import argparse
import importlib
import os
import platform
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

import edudiff

if TYPE_CHECKING:
    from edudiff.checkpoints.probe import Hub
    from edudiff.checkpoints.table import FullSize

DESCRIPTION = """\
Say what edudiff finds here: versions, processor, GPU, and for each model whether the tiny weights
are whole and the full-size ones can be had. The exit status is 1 if something is broken."""

IMPORTED_AS = {"Pillow": "PIL", "huggingface-hub": "huggingface_hub", "scikit-learn": "sklearn"}
"""Packages whose modules have another name."""


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        text: what was found.
        works: False if edudiff cannot do without it.
    """

    text: str
    works: bool = True


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The command takes no words."""


def run(options: argparse.Namespace) -> int:
    """Print the report as it comes to be; 1 comes out if something is broken, else 0."""
    broken = 0
    for finding in examine():
        print(finding.text if finding.works else f"{finding.text}  ← broken", flush=True)
        broken += not finding.works
    print(f"broken: {broken}" if broken else "all is well")
    return int(broken > 0)


def examine() -> Iterator[Finding]:
    """All findings: the packages, the machine, the models."""
    yield Finding(f"Python {platform.python_version()} on {platform.platform()}")
    yield from packages()
    yield from machine()
    yield from models()


def packages() -> Iterator[Finding]:
    """edudiff, and every package that it needs: there, new enough, and not broken itself."""
    try:
        needed = metadata.requires("edudiff") or []
    except metadata.PackageNotFoundError:  # run from its sources
        yield Finding(f"edudiff {edudiff.__version__}, not installed: what it needs is unknown")
        return
    yield Finding(f"edudiff {edudiff.__version__}")
    for requirement in needed:
        if ";" not in requirement:  # else for some extra or other machine only
            yield package(requirement)


def package(requirement: str) -> Finding:
    """One package, asked for as in "torch>=2.4"."""
    name, _, lowest = requirement.partition(">=")
    try:
        version = metadata.version(name)
    except metadata.PackageNotFoundError:
        return Finding(f"{name}: missing; run: pip install '{requirement}'", works=False)
    if release(version) < release(lowest):
        cure = f"run: pip install --upgrade '{requirement}'"
        return Finding(f"{name} {version}: too old; {cure}", works=False)
    try:
        importlib.import_module(IMPORTED_AS.get(name, name))
    except Exception as error:  # whatever goes wrong inside it
        first_line = str(error).partition("\n")[0]
        text = f"{name} {version}: cannot be imported ({type(error).__name__}: {first_line})"
        return Finding(text, works=False)
    return Finding(f"{name} {version}")


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version, such as (2, 13, 0) of "2.13.0+cpu"."""
    return tuple(int(number) for number in re.findall(r"\d+", version.partition("+")[0]))


def machine() -> Iterator[Finding]:
    """Processor, memory, GPU, and room on the disk for downloads."""
    import torch
    from huggingface_hub import constants

    from edudiff.checkpoints import probe
    from edudiff.checkpoints.choice import gigabytes

    yield Finding(f"processor: {os.cpu_count()} cores, {torch.get_num_threads()} used by PyTorch")
    memory = system_memory()
    yield Finding(f"memory: {'unknown' if memory is None else gigabytes(memory)}")
    gpu = probe.gpu_memory()
    if gpu is None:
        yield Finding("GPU: none; the tiny models need none")
    else:
        name = torch.cuda.get_device_name() if torch.cuda.is_available() else "Apple's"
        yield Finding(f"GPU: {name}, {gigabytes(gpu)} of memory left")
    cache = Path(constants.HF_HUB_CACHE)
    there = next(folder for folder in (cache, *cache.parents) if folder.is_dir())
    yield Finding(f"downloads: {cache}, {gigabytes(shutil.disk_usage(there).free)} left")


def system_memory() -> int | None:
    """Bytes of memory in this machine; None where the system does not say."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):  # Windows
        return None


def models() -> Iterator[Finding]:
    """For each name of `locate`: the tiny weights, and the full-size ones."""
    from edudiff.checkpoints.table import MODELS

    state = None
    for name, model in MODELS.items():
        tiny, full = tiny_weights(model.tiny), "not published as safetensors"
        if model.full is not None:
            full, state = full_weights(model.full, state)
        yield Finding(f"{name}: {tiny.text}; full size: {full}", tiny.works)


def tiny_weights(name: str | None) -> Finding:
    """Whether the weights of that name are shipped, and as they were published."""
    from edudiff.checkpoints import registry

    if name is None or name not in registry.read_table():
        return Finding("no tiny version is shipped yet")
    try:
        registry.path(name)
    except ValueError as error:
        return Finding(f"{name} is damaged: {error}", works=False)
    return Finding(f"{name} is whole")


def full_weights(full: "FullSize", state: "Hub | None") -> "tuple[str, Hub | None]":
    """Where full-size weights can be had, and what the hub said, so that none asks in vain twice.

    Args:
        full: which ones.
        state: what the hub said about the ones before; None if it was not asked.
    """
    from edudiff.checkpoints import choice, hub, probe

    if any(hub.is_cached(full, half) for half in (False, True)):
        return "in the cache", state
    if state not in ("unreachable", "switched off"):  # else it would be for all
        state = probe.hub(full)
    size = choice.gigabytes(full.half_download or full.download)
    verdicts = {
        "reachable": f"can be downloaded, {size} or more",
        "gated": f"gated, accept the licence at {full.page}",
        "missing": "no longer on the hub",
        "switched off": "not in the cache, and HF_HUB_OFFLINE=1 forbids the network",
        "unreachable": "not in the cache, and the hub cannot be reached",
    }
    return verdicts[state], state
