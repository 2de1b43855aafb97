import inspect

import diffusers
import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.checkpoints.table import MODELS
from edudiff.commands import painters
from edudiff.pipelines import matryoshka
from edudiff.training.recipes import tiny_mdm, tiny_sd

PROMPT = "a red circle left of a blue square"


def test_every_painter_has_a_name_that_finds_weights():
    assert painters.PAINTERS.keys() <= MODELS.keys()


@pytest.mark.parametrize("model", list(painters.PAINTERS))
def test_what_a_painter_takes_the_command_line_can_set(model):
    assert painters.PAINTERS[model].takes.keys() <= painters.FLAGS.keys()


def test_what_is_given_comes_before_the_habits():
    found = painters.complete("matryoshka", {"num_inference_steps": 7})
    expected = {"negative_prompt": "", "num_inference_steps": 7, "guidance_scale": 3.0}
    assert found == expected


@pytest.mark.parametrize(
    ("model", "theirs"),
    [
        ("stable-diffusion", diffusers.StableDiffusionPipeline),
        ("sdxl", diffusers.StableDiffusionXLPipeline),
        ("stable-diffusion-3", diffusers.StableDiffusion3Pipeline),
    ],
)
def test_full_sizes_are_guided_as_diffusers_guides_them(model, theirs):
    default = inspect.signature(theirs.__call__).parameters["guidance_scale"].default
    assert painters.complete(model, {}, full=True)["guidance_scale"] == default
    assert painters.complete(model, {"guidance_scale": 4.0}, full=True)["guidance_scale"] == 4.0


@pytest.mark.parametrize("full", [False, True])
def test_tiny_ones_are_guided_as_they_were_measured(full):
    found = painters.complete("stable-diffusion", {})["guidance_scale"]
    assert found == tiny_sd.GUIDANCE_SCALE
    nested = painters.complete("matryoshka", {}, full=full)["guidance_scale"]
    assert nested == tiny_mdm.GUIDANCE_SCALE


def test_what_a_painter_does_not_take_is_refused(refusal):
    with refusal("--height: expected none with matryoshka, got 32; it has --negative, --steps"):
        painters.complete("matryoshka", {"height": 32})


def test_an_unknown_sampler_is_refused(refusal):
    with refusal("unknown sampler: .* Did you mean 'euler'"):
        painters.complete("sdxl", {"sampler": "eular"})


def test_all_resolutions_come_out_high_to_low_and_every_step_is_told(nested_folder):
    pipe = painters.load("matryoshka", nested_folder)
    asked, told = painters.complete("matryoshka", {"num_inference_steps": 4}), []
    found = painters.draw(
        "matryoshka",
        pipe,
        [PROMPT] * 2,
        asked,
        generator=torch.Generator().manual_seed(2),
        after_step=lambda: told.append(1),
    )
    expected = matryoshka.generate(
        pipe,
        [PROMPT] * 2,
        generator=torch.Generator().manual_seed(2),
        num_inference_steps=4,
        guidance_scale=3.0,
    )
    assert [tuple(level.shape) for level in found] == [(2, 3, 8, 8), (2, 3, 4, 4)]
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert len(told) == 4


def test_other_painters_give_one_resolution(pipeline):
    pipe = painters.load("stable-diffusion", pipeline)
    asked = painters.complete("stable-diffusion", {"num_inference_steps": 1})
    found = painters.draw("stable-diffusion", pipe, [PROMPT], asked, generator=torch.Generator())
    assert [tuple(level.shape) for level in found] == [(1, 3, 32, 32)]


def test_weights_of_another_model_are_refused(nested_folder, refusal):
    with refusal("folder: expected"):
        painters.load("stable-diffusion", nested_folder)


@pytest.mark.parametrize("name", ["stable-diffusion", "sdxl", "stable-diffusion-3"])
def test_weights_are_called_by_the_name_that_finds_them_again(name, tmp_path):
    tiny, full = MODELS[name].tiny, MODELS[name].full
    assert painters.weights_name(registry.path(tiny)) == tiny
    named = f"{full.repository}@{full.revision}"
    assert painters.weights_name(tmp_path / "snapshots" / full.revision) == named
    assert painters.weights_name(tmp_path / f"sd-{full.revision}-fp16") == named
    assert painters.is_full(tmp_path / "snapshots" / full.revision)
    assert not painters.is_full(registry.path(tiny)) and not painters.is_full(tmp_path)


def test_shipped_weights_are_told_from_others(nested_folder):
    assert painters.is_shipped(registry.path("tiny-sd"))
    assert not painters.is_shipped(nested_folder)
