"""The weights that come with the package do what their cards say."""

import functools
import json
import subprocess
import sys

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, scenes
from edudiff.data.tokens import tokenize
from edudiff.models import clip_bridge, vae_bridge
from edudiff.pipelines.text_to_image import generate, load
from edudiff.training.recipes import (
    tiny_clip,
    tiny_controlnet,
    tiny_dalle,
    tiny_dalle_vq,
    tiny_dit,
    tiny_mdm,
    tiny_sd,
    tiny_sd_vae,
    tiny_sdxl,
    tiny_sdxl_decoder,
    tiny_sdxl_refiner,
    tiny_vae,
)

SEEDS = range(2**31, 2**31 + 16)


@pytest.fixture(scope="module")
def vae():
    return AutoencoderKL.from_pretrained(registry.path("tiny-vae"))


@pytest.fixture(scope="module")
def clip():
    folder = registry.path("tiny-clip")
    return CLIPModel.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)


MEASURES = {
    "tiny-clip": tiny_clip.RECIPE.measure_shipped,
    "tiny-controlnet": tiny_controlnet.measure_shipped,
    "tiny-dalle": tiny_dalle.measure_shipped,
    "tiny-dalle/vqvae": lambda: tiny_dalle_vq.measure(tiny_dalle_vq.load_shipped()),
    "tiny-dit": tiny_dit.measure_shipped,
    "tiny-mdm": tiny_mdm.measure_shipped,
    "tiny-sd": tiny_sd.measure_shipped,
    "tiny-sd/vae": lambda: tiny_sd_vae.measure(tiny_sd_vae.load_shipped()),
    "tiny-sdxl": tiny_sdxl.measure_shipped,
    "tiny-sdxl/vae": tiny_sdxl_decoder.measure_shipped,
    "tiny-sdxl-refiner": tiny_sdxl_refiner.measure_shipped,
    "tiny-vae": tiny_vae.RECIPE.measure_shipped,
}


@functools.cache
def measured(name):
    return MEASURES[name]()


def by_model(rows):
    """All rows of a model in one process, so that it is measured once."""
    return [pytest.param(*row, marks=pytest.mark.xdist_group(row[0])) for row in rows]


def folder_of(name):
    model, *part = name.split("/")
    return registry.path(model).joinpath(*part)


def logged(name):
    *_, last = (folder_of(name) / "training.jsonl").read_text().splitlines()
    return json.loads(last)["quality"]


def test_every_shipped_folder_is_looked_at():
    assert {name.split("/")[0] for name in MEASURES} == set(registry.read_table())


# Training measured the weights before they were rounded to half precision.
# A share of few pictures moves more when one of them does.
NEARLY = {"psnr": 0.05, "perplexity": 1.0}
NEARLY |= dict.fromkeys(["square", "wide", "tall"], 0.03)
NEARLY |= dict.fromkeys(["relation_64", "relation_32", "relation_16"], 0.03)
# One token drawn otherwise changes all that follow it, so here it is another sample of pictures.
OTHER_SAMPLE = {"tiny-dalle": 0.06}
FORMS = {
    "psnr": "{:.1f} dB",
    "perplexity": "{:.1f}",
    "apart_32": "{:.3f}",
    "apart_16": "{:.3f}",
    "loss_base": "{:.4f}",
    "loss_refined": "{:.4f}",
}


@pytest.mark.slow
@pytest.mark.parametrize("name", by_model([(name,) for name in MEASURES]))
def test_measuring_again_gives_the_last_line_of_the_training_log(name):
    usual = OTHER_SAMPLE.get(name, 0.01)
    for word, value in logged(name).items():
        assert measured(name)[word] == pytest.approx(value, abs=NEARLY.get(word, usual)), word


@pytest.mark.parametrize("name", MEASURES)
def test_the_card_gives_the_figures_of_the_log(name):
    card = (folder_of(name) / "README.md").read_text(encoding="utf-8")
    for word, value in logged(name).items():
        shown = FORMS.get(word, "{:.1%}").format(value).replace("%", " %")
        assert shown in card, f"{word}: {shown}"


# What the shipped weights must never fall below, and what they shall reach. A target that is
# reached turns its line red: then it becomes the floor.
FLOORS = [
    ("tiny-vae", "psnr", 28.0),
    ("tiny-vae", "kept", 0.93),
    ("tiny-clip", "retrieval", 0.93),
    ("tiny-clip", "colour", 0.99),
    ("tiny-clip", "shape", 0.93),
    ("tiny-sd/vae", "psnr", 28.0),
    ("tiny-sd/vae", "kept_disturbed", 0.7),
    ("tiny-sd", "one", 0.55),
    ("tiny-sd", "two", 0.12),
    ("tiny-controlnet", "control", 0.93),
    ("tiny-controlnet", "one", 0.78),
    ("tiny-sdxl", "one", 0.6),
    ("tiny-sdxl", "two", 0.16),
    ("tiny-sdxl", "inside_0", 0.97),
    ("tiny-sdxl/vae", "psnr", 33.0),
    ("tiny-dalle", "colour", 0.75),
    ("tiny-dit", "colour", 0.76),
    ("tiny-mdm", "colour_64", 0.83),
    ("tiny-dalle/vqvae", "kept", 0.6),
]
TARGETS = [
    ("tiny-vae", "kept", 0.98),
    ("tiny-clip", "retrieval", 0.95),
    ("tiny-clip", "shape", 0.97),
    ("tiny-sd", "one", 0.9),
    ("tiny-sd", "two", 0.75),
]


@pytest.mark.slow
@pytest.mark.parametrize("name, word, floor", by_model(FLOORS))
def test_quality_does_not_fall(name, word, floor):
    assert measured(name)[word] >= floor


@pytest.mark.slow
@pytest.mark.xdist_group("tiny-sdxl")
def test_pictures_told_to_come_from_few_pixels_are_blurred():
    assert measured("tiny-sdxl")["sharp_small"] < 0.6 * measured("tiny-sdxl")["sharp_full"]


@pytest.mark.slow
@pytest.mark.xfail(reason="a target that the shipped weights have not reached", strict=True)
@pytest.mark.parametrize("name, word, target", by_model(TARGETS))
def test_quality_reaches_its_target(name, word, target):
    assert measured(name)[word] >= target


def test_the_scaling_factor_gives_latents_of_unit_variance(vae):
    factor = tiny_vae.scaling_factor(vae_bridge.from_diffusers(vae))
    assert vae.config.scaling_factor == pytest.approx(factor, rel=1e-3)


def test_ours_and_the_librarys_autoencoder_agree_on_the_shipped_weights(vae):
    pictures = drawing.draw(scenes.scenes(SEEDS), 64)
    with torch.no_grad():
        ours, theirs = vae_bridge.from_diffusers(vae)(pictures), vae(pictures).sample
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)  # sums of 64-pixel maps


def test_ours_and_the_librarys_clip_agree_on_the_shipped_weights(clip):
    model, tokenizer = clip
    drawn = scenes.scenes(SEEDS)
    pictures = drawing.draw(drawn, 64)
    ids = tokenize([captions.describe(scene, 0) for scene in drawn], tokenizer)
    with torch.no_grad():
        images, texts, scale = clip_bridge.from_transformers(model)(pictures, ids)
        theirs = model(input_ids=ids, pixel_values=pictures)
    ours = scale * torch.nn.functional.cosine_similarity(images[:, None], texts[None], dim=2)
    torch.testing.assert_close(ours, theirs.logits_per_image, atol=1e-3, rtol=1e-4)


def test_the_text_encoder_alone_can_be_loaded_from_the_clip(clip):
    model, tokenizer = clip
    ids = tokenize(["a red circle on a dark background"], tokenizer)
    text = CLIPTextModel.from_pretrained(registry.path("tiny-clip"))
    with torch.no_grad():
        alone, inside = text(input_ids=ids), model.text_model(input_ids=ids)
    torch.testing.assert_close(alone.pooler_output, inside.pooler_output)


def test_diffusers_draws_with_the_shipped_pipeline_what_ours_draws():
    ours, theirs = (
        load(registry.path("tiny-sd")),
        StableDiffusionPipeline.from_pretrained(registry.path("tiny-sd")),
    )
    theirs.set_progress_bar_config(disable=True)
    noise = torch.randn(1, 4, 8, 8, generator=torch.Generator().manual_seed(7))
    drawn = theirs(
        "a red circle", latents=noise, num_inference_steps=20, guidance_scale=4.0, output_type="pt"
    ).images
    again = generate(
        ours,
        ["a red circle"],
        generator=torch.Generator().manual_seed(7),
        num_inference_steps=20,
        guidance_scale=4.0,
    )
    torch.testing.assert_close(again / 2 + 0.5, drawn, atol=1 / 255, rtol=0)


def test_the_text_encoder_of_the_pipeline_is_that_of_clip(clip):
    alone = CLIPTextModel.from_pretrained(registry.path("tiny-sd") / "text_encoder").state_dict()
    inside = clip[0].text_model.state_dict()
    assert len(alone) == len(inside)
    for name, weight in alone.items():
        assert torch.equal(weight.float(), inside[name.removeprefix("text_model.")].float()), name


def test_every_word_of_a_caption_is_one_token(clip):
    _, tokenizer = clip
    world = scenes.SMALL_WORLD
    for word in (*world.shapes, *world.colours, "background", "striped", "gradient"):
        assert len(tokenizer(word, add_special_tokens=False).input_ids) == 1, word


LOAD = """
import sys, torch
from transformers import CLIPTokenizer
from diffusers import AutoencoderKL
vae, clip = sys.argv[1:]
print(CLIPTokenizer.from_pretrained(clip)("a red circle").input_ids)
print(AutoencoderKL.from_pretrained(vae).decode(torch.zeros(1, 4, 8, 8)).sample.shape)
"""


def test_a_fresh_process_without_the_package_can_load_them(clip):
    folders = [str(registry.path(name)) for name in ("tiny-vae", "tiny-clip")]
    command = [sys.executable, "-c", LOAD, *folders]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    ids = clip[1]("a red circle").input_ids
    assert printed.splitlines() == [str(ids), "torch.Size([1, 3, 64, 64])"]
