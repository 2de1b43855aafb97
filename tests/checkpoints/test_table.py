import re

import pytest

from edudiff.checkpoints import registry
from edudiff.checkpoints.table import MODELS

FULL = {name: model.full for name, model in MODELS.items() if model.full is not None}


def test_the_names_are_those_the_book_uses():
    names = "vae clip stable-diffusion sdxl sdxl-refiner stable-diffusion-3 matryoshka"
    assert list(MODELS) == names.split()


@pytest.mark.parametrize("name", MODELS)
def test_a_model_is_full_size_or_says_why_not(name):
    assert (MODELS[name].full is None) == bool(MODELS[name].why_not_full)


@pytest.mark.parametrize("name", [name for name, model in MODELS.items() if model.tiny])
def test_tiny_weights_are_shipped_with_a_hash_for_each_file(name):
    files = registry.read_table()[MODELS[name].tiny]
    assert all(re.fullmatch("[0-9a-f]{64}", file["sha256"]) for file in files.values())
    assert any(file.endswith(".safetensors") for file in files)


@pytest.mark.parametrize("name", FULL)
def test_a_revision_is_a_commit_which_nobody_can_move(name):
    assert re.fullmatch("[0-9a-f]{40}", FULL[name].revision)


def test_stable_diffusion_is_not_looked_for_where_it_is_gone():
    assert FULL["stable-diffusion"].repository.startswith("stable-diffusion-v1-5/")


@pytest.mark.parametrize("name", FULL)
def test_every_file_of_weights_has_its_folder(name):
    folders = {stem.rpartition("/")[0] for stem in FULL[name].weights}
    assert folders <= set(FULL[name].folders)


@pytest.mark.parametrize("name", [name for name, full in FULL.items() if full.half_download])
def test_half_precision_halves_the_download(name):
    assert FULL[name].half_download == pytest.approx(FULL[name].download / 2, rel=1e-3)


@pytest.mark.parametrize("name", FULL)
def test_the_weights_alone_fit_into_the_gpu_memory_that_is_asked_for(name):
    full = FULL[name]
    assert (full.half_download or full.download) < full.gpu_memory


@pytest.mark.parametrize("name", FULL)
def test_a_licence_is_named_and_the_page_is_the_repository_s(name):
    assert FULL[name].licence
    assert FULL[name].page == f"https://huggingface.co/{FULL[name].repository}"
