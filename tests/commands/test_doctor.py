import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file

import edudiff
from edudiff import cli
from edudiff.checkpoints import hub, probe, registry
from edudiff.checkpoints.table import MODELS
from edudiff.commands import doctor

FULL = MODELS["stable-diffusion"].full


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty cache, and no network."""
    monkeypatch.setattr(constants, "HF_HOME", str(tmp_path / "hf"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)


@pytest.fixture
def damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights of which a part is missing, as after a broken installation."""
    folder = tmp_path / "weights" / "tiny-vae"
    folder.mkdir(parents=True)
    file = folder / "diffusion_pytorch_model.safetensors"
    save_file({"weight": torch.zeros(50)}, file)
    table = {"tiny-vae": registry.fingerprints(folder)}
    file.write_bytes(file.read_bytes()[:-7])
    monkeypatch.setattr(registry, "read_table", lambda root=None: table)
    monkeypatch.setattr(registry, "path", functools.partial(registry.path, root=tmp_path))


def test_the_command_reports_and_ends_well(tmp_path):
    environment = {**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"}
    environment.pop("HF_HUB_CACHE", None)
    command = [sys.executable, "-m", "edudiff.cli", "doctor"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert f"edudiff {edudiff.__version__}" in lines
    assert f"torch {torch.__version__}" in lines
    assert [line for line in lines if line.startswith("vae: tiny-vae is whole; full size: not in")]
    starts = (
        "Python ",
        "processor: ",
        "memory: ",
        "GPU: ",
        "downloads: ",
        *map("{}: ".format, MODELS),
    )
    for start in starts:
        assert len([line for line in lines if line.startswith(start)]) == 1, start
    assert lines[-1] == "all is well"


def test_every_package_that_edudiff_needs_is_looked_at():
    project = (Path(__file__).parents[2] / "pyproject.toml").read_text(encoding="utf-8")
    findings = list(doctor.packages())
    names = [finding.text.split()[0] for finding in findings]
    assert {"edudiff", "torch", "diffusers", "transformers", "numpy", "Pillow"} <= set(names)
    assert all(name in project for name in names)
    assert all(finding.works for finding in findings)


def test_a_package_that_is_missing_is_broken_and_how_to_get_it_is_said():
    finding = doctor.package("no-such-package>=1.2")
    assert not finding.works
    assert finding.text == "no-such-package: missing; run: pip install 'no-such-package>=1.2'"


def test_a_package_that_is_too_old_is_broken():
    finding = doctor.package("torch>=999.1")
    assert not finding.works
    assert "too old; run: pip install --upgrade 'torch>=999.1'" in finding.text


def test_a_package_that_cannot_be_imported_is_broken(tmp_path, monkeypatch):
    (tmp_path / "fragile.py").write_text("raise RuntimeError('a library\\nis missing')")
    (tmp_path / "fragile-1.0.dist-info").mkdir()
    (tmp_path / "fragile-1.0.dist-info" / "METADATA").write_text("Name: fragile\nVersion: 1.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    finding = doctor.package("fragile>=0.9")
    assert not finding.works
    assert finding.text == "fragile 1.0: cannot be imported (RuntimeError: a library)"


def test_run_from_its_sources_edudiff_says_what_it_does_not_know(monkeypatch):
    def requires(name):
        raise doctor.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(doctor.metadata, "requires", requires)
    (finding,) = doctor.packages()
    assert finding.works and "not installed" in finding.text


@pytest.mark.parametrize(
    "version, numbers",
    [("2.13.0+cpu", (2, 13, 0)), ("10.1", (10, 1)), ("2.4.0a0+git7", (2, 4, 0, 0))],
)
def test_versions_compare_by_their_numbers(version, numbers):
    assert doctor.release(version) == numbers
    assert doctor.release("2.13.0+cpu") > doctor.release("2.4")


def test_damaged_weights_are_broken_and_the_exit_status_says_so(damaged, monkeypatch, capsys):
    monkeypatch.setattr(doctor, "packages", lambda: iter(()))  # they take long to import
    assert cli.main(["doctor"]) == 1
    lines = capsys.readouterr().out.splitlines()
    (vae,) = [line for line in lines if line.startswith("vae: ")]
    assert "tiny-vae is damaged: " in vae and "bytes, got " in vae and vae.endswith("← broken")
    assert lines[-1] == "broken: 1"


def test_weights_that_are_not_shipped_yet_are_not_broken():
    assert doctor.tiny_weights(None) == doctor.Finding("no tiny version is shipped yet")
    assert doctor.tiny_weights("tiny-unheard-of").works


@pytest.mark.parametrize(
    "state, verdict",
    [
        ("reachable", "can be downloaded, 2.7 GB or more"),
        ("gated", f"gated, accept the licence at {FULL.page}"),
        ("missing", "no longer on the hub"),
        ("switched off", "not in the cache, and HF_HUB_OFFLINE=1 forbids the network"),
        ("unreachable", "not in the cache, and the hub cannot be reached"),
    ],
)
def test_where_the_full_size_can_be_had_is_said(state, verdict, monkeypatch):
    monkeypatch.setattr(probe, "hub", lambda full: state)
    assert doctor.full_weights(FULL, None) == (verdict, state)


def test_weights_in_the_cache_are_there_without_the_network(monkeypatch):
    monkeypatch.setattr(hub, "is_cached", lambda full, half: half)
    assert doctor.full_weights(FULL, None) == ("in the cache", None)


@pytest.mark.parametrize("state", ["unreachable", "reachable", "gated"])
def test_a_hub_that_does_not_answer_is_asked_only_once(state, monkeypatch):
    everything = [model.full.repository for model in MODELS.values() if model.full]
    asked = []

    def ask(full):
        asked.append(full.repository)
        return state

    monkeypatch.setattr(probe, "hub", ask)
    assert len(list(doctor.models())) == len(MODELS)
    assert asked == (everything[:1] if state == "unreachable" else everything)


def test_a_gpu_and_its_memory_are_named(monkeypatch):
    monkeypatch.setattr(probe, "gpu_memory", lambda: 15_800_000_000)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Tesla T4")
    assert "GPU: Tesla T4, 15.8 GB of memory left" in [each.text for each in doctor.machine()]


def test_where_the_system_does_not_tell_its_memory_it_is_unknown(monkeypatch):
    def sysconf(name):
        raise ValueError("unrecognized configuration name")

    monkeypatch.setattr(os, "sysconf", sysconf)
    assert doctor.system_memory() is None
    assert "memory: unknown" in [each.text for each in doctor.machine()]


def test_the_memory_is_that_of_the_machine():
    memory = doctor.system_memory()
    assert memory is None or memory > 100_000_000
