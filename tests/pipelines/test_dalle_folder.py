import importlib.util
import json
import shutil
import sys
from pathlib import Path

import diffusers
import pytest
import torch
from transformers import GPT2LMHeadModel
from transformers.utils import logging

from edudiff.pipelines.dalle import generate
from edudiff.pipelines.dalle_folder import load, save

logging.disable_progress_bar()
PATH = Path(__file__).with_name("test_dalle.py")
SPEC = importlib.util.spec_from_file_location("dalle_parts", PATH)
made = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = made
SPEC.loader.exec_module(made)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("dalle")
    save(made.make_pipe(), path)
    return path


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def test_every_weight_is_read_again_to_half_precision(folder):
    back, before = load(folder), made.make_pipe()
    for name in ("transformer", "vqvae"):
        ours, expected = getattr(back, name).state_dict(), getattr(before, name).state_dict()
        assert all(torch.equal(ours[n], weight.half().float()) for n, weight in expected.items())
        assert not getattr(back, name).training
    assert back.tokenizer.get_vocab() == before.tokenizer.get_vocab()


def test_the_parts_are_the_libraries_own(folder):
    transformer = GPT2LMHeadModel.from_pretrained(folder / "transformer")
    vqvae = diffusers.VQModel.from_pretrained(folder / "vqvae")
    ours, ids = load(folder), torch.randint(0, 10, (2, 20))
    torch.testing.assert_close(
        transformer(ids).logits, ours.transformer(ids)[0], atol=1e-4, rtol=1e-4
    )
    x = torch.rand(1, 3, 8, 8) * 2 - 1
    torch.testing.assert_close(vqvae.float()(x).sample, ours.vqvae(x), atol=1e-4, rtol=0)


def test_what_is_read_draws(folder):
    options = {"generator": torch.Generator().manual_seed(3)}
    assert generate(load(folder), made.WORDS, **options).shape == (3, 3, 8, 8)


def test_another_kind_of_pipeline_is_refused(copied, refusal):
    index = {"_class_name": "StableDiffusionPipeline"}
    (copied / "model_index.json").write_text(json.dumps(index), "utf-8")
    with refusal("folder: expected a DalleToImage, got a StableDiffusionPipeline"):
        load(copied)


def test_a_missing_part_is_named(copied, refusal):
    shutil.rmtree(copied / "vqvae")
    with refusal(r"without vqvae/config.json, vqvae/\*.safetensors"):
        load(copied)


def test_weights_that_cannot_be_read_are_refused(copied, refusal):
    (file,) = (copied / "transformer").glob("*.safetensors")
    file.write_bytes(file.read_bytes()[:500])
    with refusal("transformer: expected weights that can be read"):
        load(copied)
