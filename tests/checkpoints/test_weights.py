"""The weights that come with the package do what their cards say."""

import functools
import json
import math
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import pytest
import torch
from diffusers import AutoencoderKL, StableDiffusionPipeline
from transformers import CLIPModel, CLIPTextModel, CLIPTokenizer

from edudiff.checkpoints import registry
from edudiff.data import captions, drawing, scenes
from edudiff.data.tokens import tokenize
from edudiff.models import clip_bridge, vae_bridge
from edudiff.pipelines import (
    control,
    dalle_folder,
    flow_folder,
    matryoshka_folder,
    text_to_image_xl,
)
from edudiff.pipelines.text_to_image import generate, load
from edudiff.training.recipes import (
    quality,
    tiny_clip,
    tiny_controlnet,
    tiny_dalle,
    tiny_dalle_vq,
    tiny_dit,
    tiny_mdm,
    tiny_sd,
    tiny_sd_vae,
    tiny_sdxl_decoder,
    tiny_sdxl_refiner,
    tiny_vae,
    xl_quality,
)

SEEDS = range(2**31, 2**31 + 16)


@pytest.fixture(scope="module")
def vae():
    return AutoencoderKL.from_pretrained(registry.path("tiny-vae"))


@pytest.fixture(scope="module")
def clip():
    folder = registry.path("tiny-clip")
    return CLIPModel.from_pretrained(folder), CLIPTokenizer.from_pretrained(folder)


@dataclass(frozen=True)
class Measure:
    """How a model is measured again: on the first `asked` of the `logged` prompts or scenes."""

    run: Callable[[int], Mapping[str, float]]
    logged: int
    asked: int


def sdxl_vae():
    model = AutoencoderKL.from_pretrained(registry.path("tiny-sdxl") / "vae")
    return vae_bridge.from_diffusers(model)


def refiner(count):
    pipes = (text_to_image_xl.load(registry.path(f"tiny-sdxl{end}")) for end in ("", "-refiner"))
    return tiny_sdxl_refiner.measure(*pipes, count)


def controlnet(count):
    model = control.load(registry.path("tiny-controlnet"))
    return tiny_controlnet.measure(tiny_controlnet.make_pipe(), model, count)


def piped(recipe, load_pipe, name):
    return lambda count: recipe.measure(load_pipe(registry.path(name)), count)


MEASURES = {
    "tiny-clip": Measure(lambda n: tiny_clip.measure(*tiny_clip.load_shipped(), n), 1024, 1024),
    "tiny-controlnet": Measure(controlnet, 500, 128),
    "tiny-dalle": Measure(piped(tiny_dalle, dalle_folder.load, "tiny-dalle"), 500, 128),
    # How many codes are in use depends on how many pictures are looked at: all of them.
    "tiny-dalle/vqvae": Measure(
        lambda n: tiny_dalle_vq.measure(tiny_dalle_vq.load_shipped(), n), 512, 512
    ),
    "tiny-dit": Measure(piped(tiny_dit, flow_folder.load, "tiny-dit"), 500, 128),
    "tiny-mdm": Measure(piped(tiny_mdm, matryoshka_folder.load, "tiny-mdm"), 256, 64),
    "tiny-sd": Measure(piped(tiny_sd, load, "tiny-sd"), 500, 128),
    "tiny-sd/vae": Measure(lambda n: tiny_sd_vae.measure(tiny_sd_vae.load_shipped(), n), 512, 128),
    "tiny-sdxl": Measure(piped(xl_quality, text_to_image_xl.load, "tiny-sdxl"), 500, 128),
    "tiny-sdxl/vae": Measure(lambda n: tiny_sdxl_decoder.measure(sdxl_vae(), n), 512, 128),
    "tiny-sdxl-refiner": Measure(refiner, 500, 64),
    "tiny-vae": Measure(lambda n: tiny_vae.measure(tiny_vae.load_shipped(), n), 512, 128),
}


@functools.cache
def measured(name):
    return MEASURES[name].run(MEASURES[name].asked)


@functools.cache
def told_of(count):
    """Of so many prompts, how many say something of what each measure is about."""
    read = [captions.read(prompt) for prompt in quality.test_captions(count)]
    lone = sum(len(each.objects) == 1 for each in read)
    related = sum(each.relation is not None for each in read)
    few = dict.fromkeys(["sharp_small", "sharp_full", "inside_0", "inside_crop"], count // 5)
    few |= dict.fromkeys(["square", "wide", "tall"], count // 5)
    return few | {"one": lone, "two": related, "relation": related, "held_out": count // 2}


def tells(name, word, count):
    """On how many pictures a measure rests."""
    if (name, word) in LONE:
        return count // 2
    kind = word.split("_")[0] if word.startswith(("one", "two", "relation")) else word
    return told_of(count).get(kind, count) if name not in PLAIN else count


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


# Measured on all scenes, or as many of them as there are: no prompt decides on what.
PLAIN = ("tiny-clip", "tiny-dalle/vqvae", "tiny-sd/vae", "tiny-sdxl/vae", "tiny-vae")
# About half of the scenes have one object.
LONE = (("tiny-sdxl/vae", "wide"), ("tiny-sdxl/vae", "tall"))
# Training measured the weights before they were rounded to half precision.
ROUNDED = {"psnr": 0.05, "perplexity": 1.0}
# How far single pictures are from their mean: 3 dB is more than any autoencoder here shows. The
# others lie between 0 and 1, and spread the most if they are nothing else.
SPREADS = {
    "psnr": 3.0,
    "apart_32": 0.02,
    "apart_16": 0.02,
    "loss_base": 0.1,
    "loss_refined": 0.1,
    "outlines_more": 0.5,  # a difference of two shares
    "outlines_more_low": 0.5,
}
# One token drawn otherwise changes all that follow it, and times are drawn anew for each number of
# scenes: so here it is another sample.
OTHER_SAMPLE = ("tiny-dalle", "loss_base", "loss_refined")


def tolerance(name, word, value):
    """How far a measure may be from the logged one, if it is taken on fewer pictures.

    Those asked for are the first of those that were logged, with the same noise, so that chance is
    that of drawing some of a whole without putting back; 4 standard deviations of it. One picture
    may be read otherwise for being rounded.
    """
    few, all_ = (tells(name, word, n) for n in (MEASURES[name].asked, MEASURES[name].logged))
    apart = 1 / few + 1 / all_ if {name, word} & set(OTHER_SAMPLE) else 1 / few - 1 / all_
    spread = SPREADS.get(word, math.sqrt(max(0.0, value * (1 - value))))
    return ROUNDED.get(word, max(0.01, 1.01 / few)) + 4 * spread * math.sqrt(apart)


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
    for word, value in logged(name).items():
        within = tolerance(name, word, value)
        assert measured(name)[word] == pytest.approx(value, abs=within), word


def test_tolerances_are_those_of_a_share_of_so_many_pictures():
    few, all_ = (
        sum(len(captions.read(p).objects) == 1 for p in quality.test_captions(n))
        for n in (128, 500)
    )
    sd = math.sqrt(0.6 * 0.4 * (1 / few - 1 / all_))
    assert tolerance("tiny-sd", "one", 0.6) == pytest.approx(4 * sd + 1.01 / few)
    assert tolerance("tiny-clip", "colour", 0.5) == 0.01  # asked about all there are
    assert tolerance("tiny-dalle/vqvae", "psnr", 30.0) == 0.05


@pytest.mark.parametrize("name", MEASURES)
def test_the_card_gives_the_figures_of_the_log(name):
    card = (folder_of(name) / "README.md").read_text(encoding="utf-8")
    for word, value in logged(name).items():
        shown = FORMS.get(word, "{:.1%}").format(value).replace("%", " %")
        assert shown in card, f"{word}: {shown}"


# What the shipped weights must never fall below, and what they shall reach, by their logs, which
# are measured again above. A target that is reached turns its line red: then it becomes the floor.
FLOORS = [
    ("tiny-vae", "psnr", 38.0),
    ("tiny-vae", "kept", 0.98),
    ("tiny-clip", "retrieval", 0.95),
    ("tiny-clip", "colour", 0.99),
    ("tiny-clip", "shape", 0.97),
    ("tiny-sd/vae", "psnr", 28.0),
    ("tiny-sd/vae", "kept_disturbed", 0.75),
    ("tiny-sd", "one", 0.74),
    ("tiny-sd", "two", 0.41),
    ("tiny-controlnet", "control", 0.93),
    ("tiny-controlnet", "one", 0.84),
    ("tiny-sdxl", "one", 0.77),
    ("tiny-sdxl", "two", 0.43),
    ("tiny-sdxl", "relation", 0.8),
    ("tiny-sdxl", "inside_0", 0.97),
    ("tiny-sdxl", "wide", 0.7),
    ("tiny-sdxl", "tall", 0.7),
    ("tiny-sdxl/vae", "psnr", 35.5),
    ("tiny-sdxl/vae", "wide", 0.92),
    ("tiny-sdxl/vae", "tall", 0.92),
    ("tiny-sdxl-refiner", "outlines_more_low", 0.0),
    ("tiny-sdxl-refiner", "all_refined", 0.66),
    ("tiny-dalle", "colour", 0.75),
    ("tiny-dit", "one", 0.13),
    ("tiny-dit", "colour", 0.83),
    ("tiny-sd", "relation", 0.8),
    ("tiny-mdm", "all_64", 0.18),
    ("tiny-mdm", "colour_64", 0.9),
    ("tiny-dalle/vqvae", "kept", 0.6),
]
TARGETS = [
    ("tiny-sd", "one", 0.9),
    ("tiny-sd", "two", 0.75),
]


@pytest.mark.parametrize("name, word, floor", FLOORS)
def test_quality_does_not_fall(name, word, floor):
    assert logged(name)[word] >= floor


@pytest.mark.slow
@pytest.mark.xdist_group("tiny-sdxl")
def test_pictures_told_to_come_from_few_pixels_are_blurred():
    assert measured("tiny-sdxl")["sharp_small"] < 0.6 * measured("tiny-sdxl")["sharp_full"]


@pytest.mark.slow
@pytest.mark.xdist_group("tiny-sdxl-refiner")
def test_the_refiner_errs_less_on_its_part_of_the_way_than_the_base():
    assert (
        measured("tiny-sdxl-refiner")["loss_refined"] < measured("tiny-sdxl-refiner")["loss_base"]
    )


@pytest.mark.xfail(reason="a target that the shipped weights have not reached", strict=True)
@pytest.mark.parametrize("name, word, target", TARGETS)
def test_quality_reaches_its_target(name, word, target):
    assert logged(name)[word] >= target


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


def test_the_text_encoder_of_the_pipeline_is_that_of_clip_trained_further(clip):
    folder = registry.path("tiny-sd")
    alone = CLIPTextModel.from_pretrained(folder / "text_encoder").state_dict()
    inside = clip[0].text_model.state_dict()
    assert {name.removeprefix("text_model.") for name in alone} == set(inside)
    before = torch.cat([inside[n.removeprefix("text_model.")].float().flatten() for n in alone])
    after = torch.cat([weight.float().flatten() for weight in alone.values()])
    similar = torch.nn.functional.cosine_similarity(before, after, dim=0)
    assert 0.7 < similar < 0.9999
    tokenizer = CLIPTokenizer.from_pretrained(folder / "tokenizer")
    assert tokenizer.get_vocab() == clip[1].get_vocab()


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
