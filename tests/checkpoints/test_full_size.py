"""What a reader types to get full-size pictures, run on small weights under the true names."""

import diffusers
import numpy as np
import pytest
import small_repositories
import torch
from diffusers.utils import logging
from PIL import Image

from edudiff.checkpoints import locate
from edudiff.checkpoints.table import MODELS

PROMPT = "a red circle"
DRAWN = {
    "stable-diffusion": diffusers.StableDiffusionPipeline,
    "sdxl": diffusers.StableDiffusionXLPipeline,
    "stable-diffusion-3": diffusers.StableDiffusion3Pipeline,
}
NOT_LOADED = {"stable-diffusion-3": {"text_encoder_3": None, "tokenizer_3": None}}


@pytest.fixture(scope="session")
def repositories(tmp_path_factory):
    """A folder for each model that the table knows at full size."""
    folders = {}
    for name, save in small_repositories.SAVERS.items():
        folders[name] = tmp_path_factory.mktemp(name) / "repository"
        save(folders[name])
    return folders


@pytest.fixture
def full_cache(fill, repositories):
    """The hub's cache with all of them in it."""
    logging.disable_progress_bar()
    return {name: fill(MODELS[name].full, folder) for name, folder in repositories.items()}


def load(pipeline_class, name, **options):
    pipe = pipeline_class.from_pretrained(locate(name, size="full"), **options)
    pipe.set_progress_bar_config(disable=True)
    return pipe


def is_picture(image, side=64):
    return isinstance(image, Image.Image) and image.size == (side, side) and np.ptp(image) > 0


def test_every_model_with_a_repository_has_a_stand_in():
    assert set(small_repositories.SAVERS) == {name for name, m in MODELS.items() if m.full}


@pytest.mark.parametrize("name", small_repositories.SAVERS)
def test_the_cache_is_used_under_the_true_name_and_revision(name, full_cache, capsys):
    full = MODELS[name].full
    assert locate(name, size="full") == full_cache[name]
    assert f"{full.repository} at {full.revision[:8]}" in capsys.readouterr().out


@pytest.mark.parametrize("name", DRAWN)
def test_the_pipeline_of_the_book_draws_with_it(name, full_cache):
    pipe = load(DRAWN[name], name, **NOT_LOADED.get(name, {}))
    generator = torch.Generator().manual_seed(0)
    drawn = pipe(PROMPT, height=64, width=64, num_inference_steps=2, generator=generator)
    assert is_picture(drawn.images[0])


def test_the_refiner_goes_on_where_the_base_stopped(full_cache):
    base = load(diffusers.StableDiffusionXLPipeline, "sdxl")
    refiner = load(diffusers.StableDiffusionXLImg2ImgPipeline, "sdxl-refiner")
    options = {"prompt": PROMPT, "num_inference_steps": 5}
    generator = torch.Generator().manual_seed(0)
    latents = base(**options, denoising_end=0.8, output_type="latent", generator=generator).images
    drawn = refiner(**options, denoising_start=0.8, image=latents, generator=generator)
    assert is_picture(drawn.images[0], side=128)


@pytest.mark.parametrize("name", [name for name in DRAWN if MODELS[name].full.half_download])
def test_half_precision_loads_without_naming_a_variant(name, full_cache, monkeypatch):
    monkeypatch.setattr("edudiff.checkpoints.probe.gpu_memory", lambda: 10**11)
    pipe = load(DRAWN[name], name, torch_dtype=torch.float16)
    assert pipe.unet.dtype == torch.float16
