import json

import diffusers
import pytest
import torch

from edudiff.pipelines.saving_xl import save
from edudiff.pipelines.text_to_image_xl import generate, load

PROMPTS = ["a big green star"]


def seeded():
    return torch.Generator().manual_seed(0)


@pytest.fixture(scope="module")
def saved(base_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    save(load(base_folder), path)
    return path


@pytest.fixture(scope="module")
def saved_refiner(refiner_folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved-refiner")
    save(load(refiner_folder), path)
    return path


def test_what_is_saved_draws_as_before_to_half_precision(base_folder, saved):
    pictures = [
        generate(load(each), PROMPTS, generator=seeded(), num_inference_steps=3)
        for each in (base_folder, saved)
    ]
    torch.testing.assert_close(*pictures, atol=0.03, rtol=0)


def test_diffusers_draws_from_the_folder_what_we_draw(saved):
    theirs = diffusers.StableDiffusionXLPipeline.from_pretrained(
        saved, add_watermarker=False, local_files_only=True
    )
    noise = torch.randn(1, 4, 8, 8, generator=seeded())
    options = {"latents": noise, "num_inference_steps": 4, "guidance_scale": 5.0}
    picture = theirs(PROMPTS, output_type="pt", **options).images
    ours = generate(load(saved), PROMPTS, generator=seeded(), **options)
    torch.testing.assert_close((ours + 1) / 2, picture, atol=1 / 255, rtol=0)


def test_the_refiner_is_a_pipeline_for_pictures_with_a_score(saved_refiner):
    kind = diffusers.StableDiffusionXLImg2ImgPipeline
    theirs = kind.from_pretrained(saved_refiner, add_watermarker=False, local_files_only=True)
    assert theirs.config.requires_aesthetics_score
    assert theirs.text_encoder is None and theirs.tokenizer is None
    assert load(saved_refiner).scored


def test_what_no_text_means_is_kept(base_folder, tmp_path):
    from dataclasses import replace

    pipe = load(base_folder)
    save(replace(pipe, zeros_for_no_text=False), tmp_path)
    assert json.loads((tmp_path / "model_index.json").read_text())[
        "force_zeros_for_empty_prompt"
    ] is (False)
    assert not load(tmp_path).zeros_for_no_text


def test_weights_are_stored_in_half_precision_and_in_safetensors_only(saved):
    from safetensors.torch import load_file

    files = sorted(saved.rglob("*.safetensors"))
    assert len(files) == 4
    for file in files:
        assert {weight.dtype for weight in load_file(file).values()} == {torch.float16}
    kinds = {file.suffix for file in saved.rglob("*") if file.is_file()}
    assert kinds == {".json", ".safetensors"}
