import importlib.util
import json
import shutil
import sys
from pathlib import Path

import diffusers
import pytest
import torch
from transformers.utils import logging

from edudiff.data.tokens import make_tokenizer
from edudiff.diffusion.flow import flow_times
from edudiff.pipelines.flow_folder import load, save
from edudiff.pipelines.flow_to_image import generate

logging.disable_progress_bar()
PATH = Path(__file__).with_name("test_flow_to_image.py")
SPEC = importlib.util.spec_from_file_location("flow_to_image_parts", PATH)
made = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = made
SPEC.loader.exec_module(made)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("flow")
    save(made.make_pipe(), path)
    return path


@pytest.fixture
def copied(folder, tmp_path):
    return shutil.copytree(folder, tmp_path / "copy")


def edit(file, **changes):
    config = json.loads(file.read_text("utf-8"))
    file.write_text(json.dumps({**config, **changes}), "utf-8")


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("guidance_scale", [1.0, 4.0])
def test_diffusers_draws_the_same_picture(copied, shift, guidance_scale):
    edit(copied / "scheduler" / "scheduler_config.json", shift=shift)
    theirs = diffusers.StableDiffusion3Pipeline.from_pretrained(
        copied, text_encoder_3=None, tokenizer_3=None
    )
    theirs.set_progress_bar_config(disable=True)
    options = {"num_inference_steps": 5, "guidance_scale": guidance_scale}
    prompt = made.WORDS[:1]
    expected = theirs(
        prompt,
        generator=torch.Generator().manual_seed(3),
        sigmas=flow_times(5).tolist(),
        max_sequence_length=0,
        output_type="pt",
        **options,
    ).images
    ours = generate(load(copied), prompt, generator=torch.Generator().manual_seed(3), **options)
    assert expected.std() > 0.01
    torch.testing.assert_close((ours + 1) / 2, expected, atol=1 / 255, rtol=0)


def test_every_weight_is_read_again_to_half_precision(folder):
    back, before = load(folder), made.make_pipe()
    for name in ("text_encoder", "text_encoder_2", "transformer", "vae"):
        ours, expected = getattr(back, name).state_dict(), getattr(before, name).state_dict()
        assert all(torch.equal(ours[n], weight.half().float()) for n, weight in expected.items())
        assert not getattr(back, name).training
    assert (back.shift, back.size) == (1.0, 8)


def test_the_autoencoder_is_given_the_shift_that_diffusers_pipeline_asks_for(folder):
    config = json.loads((folder / "vae" / "config.json").read_text("utf-8"))
    assert config["shift_factor"] == 0.0


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        (
            "model_index.json",
            {"_class_name": "StableDiffusionPipeline"},
            "folder: expected a StableDiffusion3Pipeline, got a StableDiffusionPipeline",
        ),
        (
            "model_index.json",
            {"text_encoder_3": ["transformers", "T5EncoderModel"]},
            "text_encoder_3: expected none, got T5EncoderModel",
        ),
        (
            "scheduler/scheduler_config.json",
            {"_class_name": "DDIMScheduler"},
            "scheduler: expected FlowMatchEulerDiscreteScheduler, got DDIMScheduler",
        ),
        (
            "scheduler/scheduler_config.json",
            {"use_dynamic_shifting": True},
            "scheduler: use_dynamic_shifting: expected False, got True",
        ),
        ("vae/config.json", {"shift_factor": 0.1}, "vae: shift_factor: expected None, got 0.1"),
        ("transformer/config.json", {"qk_norm": "layer_norm"}, "transformer: "),
    ],
)
def test_folders_of_something_else_are_refused(copied, file, changes, message, refusal):
    edit(copied / file, **changes)
    with refusal(message):
        load(copied)


def test_a_missing_part_is_named(copied, refusal):
    shutil.rmtree(copied / "transformer")
    with refusal("without transformer/config.json"):
        load(copied)


def test_two_different_tokenisers_are_refused(copied, refusal):
    other = make_tokenizer(made.WORDS, num_merges=5, context_length=made.LENGTH)
    shutil.rmtree(copied / "tokenizer_2")
    other.save_pretrained(copied / "tokenizer_2")
    with refusal("tokenizer_2: expected the words of tokenizer, got others"):
        load(copied)
