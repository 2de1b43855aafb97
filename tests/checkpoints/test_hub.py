import os
import shutil
from pathlib import Path

import pytest
from diffusers import StableDiffusionPipeline, UNet2DConditionModel
from huggingface_hub import file_download
from safetensors.torch import load_file

from edudiff.checkpoints import hub
from edudiff.checkpoints.table import MODELS

FULL = MODELS["stable-diffusion"].full
UNET = "unet/diffusion_pytorch_model"


def files(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def test_an_empty_cache_holds_nothing(home):
    assert hub.cached(FULL, half=False) is None


def test_a_full_cache_gives_the_pinned_snapshot(fill, stable_diffusion):
    snapshot = fill(FULL, stable_diffusion)
    assert hub.cached(FULL, half=False) == snapshot


def test_another_revision_in_the_cache_is_not_taken(fill, stable_diffusion):
    snapshot = fill(FULL, stable_diffusion)
    snapshot.rename(snapshot.with_name("0" * 40))
    assert hub.cached(FULL, half=False) is None


@pytest.mark.parametrize(
    "missing",
    [
        f"{UNET}.safetensors",
        "vae/config.json",
        "model_index.json",
        "tokenizer/tokenizer.json",
        "scheduler/scheduler_config.json",
    ],
)
def test_a_snapshot_with_a_file_missing_does_not_count(missing, fill, stable_diffusion):
    (fill(FULL, stable_diffusion) / missing).unlink()
    assert hub.cached(FULL, half=False) is None


def test_a_link_to_nowhere_does_not_count(fill, stable_diffusion):
    (fill(FULL, stable_diffusion) / f"{UNET}.safetensors").resolve().unlink()
    assert hub.cached(FULL, half=False) is None


def test_an_old_style_vocabulary_will_do(fill, stable_diffusion):
    snapshot = fill(FULL, stable_diffusion)
    (snapshot / "tokenizer/tokenizer.json").unlink()
    (snapshot / "tokenizer/vocab.json").write_text("{}")
    assert hub.cached(FULL, half=False) is None
    (snapshot / "tokenizer/merges.txt").write_text("")
    assert hub.cached(FULL, half=False) == snapshot


def test_weights_in_half_precision_get_the_names_that_loaders_look_for(fill, stable_diffusion):
    fill(FULL, stable_diffusion)
    folder = hub.cached(FULL, half=True)
    assert {name for name in files(folder) if name.endswith("safetensors")} == {
        f"{stem}.safetensors" for stem in FULL.weights
    }
    linked = load_file(folder / f"{UNET}.safetensors")
    truth = load_file(stable_diffusion / f"{UNET}.fp16.safetensors")
    assert all((linked[name] == truth[name]).all() for name in truth)


def test_links_take_no_space_and_are_made_once(fill, stable_diffusion):
    fill(FULL, stable_diffusion)
    folder = hub.cached(FULL, half=True)
    link = folder / f"{UNET}.safetensors"
    assert link.is_symlink()
    made = link.lstat().st_mtime_ns
    assert hub.cached(FULL, half=True) == folder
    assert link.lstat().st_mtime_ns == made


def test_links_are_made_anew_when_the_cache_moved_under_them(fill, stable_diffusion):
    snapshot = fill(FULL, stable_diffusion)
    link = hub.cached(FULL, half=True) / f"{UNET}.safetensors"
    file = snapshot / f"{UNET}.fp16.safetensors"
    blob = file.resolve().rename(file.resolve().with_name("elsewhere"))
    file.unlink()
    file.symlink_to(blob)
    assert not link.exists()
    hub.cached(FULL, half=True)
    assert link.resolve() == blob


def test_where_links_are_forbidden_files_are_copied(fill, stable_diffusion, monkeypatch):
    fill(FULL, stable_diffusion)

    def forbidden(source: Path, place: Path) -> None:
        raise OSError("a required privilege is not held by the client")

    monkeypatch.setattr(os, "symlink", forbidden)
    folder = hub.cached(FULL, half=True)
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    StableDiffusionPipeline.from_pretrained(folder)


def test_links_that_cannot_be_finished_are_not_left_behind(
    fill, home, stable_diffusion, monkeypatch
):
    fill(FULL, stable_diffusion)

    def full(*arguments: object) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "symlink", full)
    monkeypatch.setattr(shutil, "copyfile", full)
    with pytest.raises(OSError, match="No space left"):
        hub.cached(FULL, half=True)
    assert list((home / "edudiff").iterdir()) == []


@pytest.mark.parametrize("half", [False, True])
def test_a_download_brings_what_loading_needs_and_nothing_else(half, web, home):
    folder = hub.download(FULL, half)
    StableDiffusionPipeline.from_pretrained(folder)
    ending = ".fp16.safetensors" if half else ".safetensors"
    weights = {name for name in web.fetched if not name.endswith((".json", ".txt"))}
    assert weights == {stem + ending for stem in FULL.weights}
    assert hub.cached(FULL, half) == folder


def test_what_is_in_the_cache_is_not_downloaded_again(web):
    hub.download(FULL, half=False)
    web.fetched.clear()
    hub.download(FULL, half=False)
    assert web.fetched == []


@pytest.fixture
def hasty(monkeypatch):
    """The hub's library waits and tries again; here it need not wait long."""
    monkeypatch.setattr(file_download.time, "sleep", lambda seconds: None)


def test_a_download_that_breaks_off_says_so_and_leaves_no_half_file(web, home, hasty):
    web.cuts = {f"{UNET}.safetensors"}
    with pytest.raises(ConnectionError, match="the download broke off .* Ask again to go on"):
        hub.download(FULL, half=False)
    for path in (home / "hub").rglob("*.safetensors"):
        load_file(path)  # whole
    assert hub.cached(FULL, half=False) is None
    assert not (home / "edudiff").exists()


def test_after_a_download_broke_off_the_next_call_goes_on(web, hasty):
    web.cuts = {f"{UNET}.safetensors"}
    with pytest.raises(ConnectionError):
        hub.download(FULL, half=False)
    done = set(web.fetched) - web.cuts
    web.cuts, web.fetched = set(), []
    UNet2DConditionModel.from_pretrained(hub.download(FULL, half=False), subfolder="unet")
    assert f"{UNET}.safetensors" in web.fetched
    assert not done & set(web.fetched)


def test_without_a_connection_the_error_says_what_to_do(nobody_answers, hasty):
    with pytest.raises(ConnectionError, match=r"Ask again to go on, or take the tiny version"):
        hub.download(FULL, half=False)


def test_no_pattern_lets_code_or_pickles_through():
    for model in MODELS.values():
        for half in (False, True):
            if model.full is not None:
                endings = {pattern.rpartition(".")[2] for pattern in hub.patterns(model.full, half)}
                assert endings == {"safetensors", "json", "txt"}
