import diffusers
import pytest
import torch

from edudiff.pipelines.saving import save
from edudiff.pipelines.text_to_image import generate, load


@pytest.fixture(scope="module")
def saved(folder, tmp_path_factory):
    path = tmp_path_factory.mktemp("saved")
    save(load(folder), path)
    return path


def test_what_is_saved_loads_and_draws_as_before_to_half_precision(folder, saved):
    pictures = [
        generate(
            load(each),
            ["a big green star"],
            generator=torch.Generator().manual_seed(0),
            num_inference_steps=3,
        )
        for each in (folder, saved)
    ]
    torch.testing.assert_close(*pictures, atol=0.02, rtol=0)


def test_diffusers_reads_the_folder_with_a_sampler_and_no_safety_checker(saved):
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(saved)
    assert isinstance(theirs.scheduler, diffusers.DPMSolverMultistepScheduler)
    assert theirs.scheduler.config.prediction_type == "v_prediction"
    assert theirs.safety_checker is None
    assert theirs.vae_scale_factor * theirs.unet.config.sample_size == 32


def test_weights_are_stored_in_half_precision_and_computed_in_float32(saved):
    from safetensors.torch import load_file
    from transformers import CLIPTextModel

    files = sorted(saved.rglob("*.safetensors"))
    assert len(files) == 3
    for file in files:
        assert {weight.dtype for weight in load_file(file).values()} == {torch.float16}
    assert CLIPTextModel.from_pretrained(saved / "text_encoder").dtype == torch.float32


def test_nothing_but_safetensors_holds_weights(saved):
    kinds = {file.suffix for file in saved.rglob("*") if file.is_file()}
    assert kinds == {".json", ".safetensors"}
