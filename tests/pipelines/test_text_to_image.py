import dataclasses
import math
import shutil

import diffusers
import pytest
import torch
from safetensors.torch import load_file, save_file

from edudiff.checkpoints import registry
from edudiff.diffusion.samplers import SAMPLERS
from edudiff.models.clip_towers import TextTransformer
from edudiff.models.unet import UNet
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines.text_to_image import decode, denoiser, generate, load, sample

PROMPTS = ["a red circle", "a big green star", "two small triangles"]
NEGATIVE = ["a blue square", "", "yellow"]
LEVEL = 1 / 255
"""One level of an eight-bit picture, for pictures in [0, 1]."""

THEIRS = {
    "dpm-solver++": (diffusers.DPMSolverMultistepScheduler, {"timestep_spacing": "trailing"}),
    "ddim": (
        diffusers.DDIMScheduler,
        {"timestep_spacing": "leading", "clip_sample": False, "steps_offset": 1},
    ),
    # With trailing timesteps diffusers starts Euler from noise that is scaled a little less.
    "euler": (
        diffusers.EulerDiscreteScheduler,
        {"timestep_spacing": "leading", "steps_offset": 1},
    ),
    "euler-ancestral": (
        diffusers.EulerAncestralDiscreteScheduler,
        {"timestep_spacing": "leading", "steps_offset": 1},
    ),
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def unit(pictures):
    """From [-1, 1] to diffusers' [0, 1]."""
    return (pictures + 1) / 2


def reference(folder, sampler):
    """Diffusers' pipeline with the matching scheduler, and how ours spaces timesteps alike."""
    kind, options = THEIRS[sampler]
    pipe = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    pipe.set_progress_bar_config(disable=True)
    pipe.scheduler = kind.from_config(
        {"set_alpha_to_one": True, **pipe.scheduler.config, **options}
    )
    ours = {"spacing": options["timestep_spacing"], "steps_offset": options.get("steps_offset", 0)}
    return pipe, ours


@pytest.fixture(scope="module")
def pipe(folder):
    return load(folder)


@pytest.mark.parametrize("sampler", ["dpm-solver++", "ddim", "euler"])
@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
@pytest.mark.parametrize("number", [1, 3])
def test_the_picture_is_that_of_diffusers(folder, pipe, sampler, guidance_scale, number):
    theirs, spacing = reference(folder, sampler)
    options = {"num_inference_steps": 10, "guidance_scale": guidance_scale}
    prompts, negative = PROMPTS[:number], NEGATIVE[:number]
    expected = theirs(
        prompts,
        negative_prompt=negative,
        latents=torch.randn(number, 4, 8, 8, generator=seeded()),
        output_type="pt",
        **options,
    ).images
    pictures = generate(
        dataclasses.replace(pipe, **spacing),
        prompts,
        generator=seeded(),
        negative_prompts=negative,
        sampler=sampler,
        **options,
    )
    torch.testing.assert_close(unit(pictures), expected, atol=LEVEL, rtol=0)
    assert (pictures.abs() < 1).float().mean() > 0.8  # a clamped picture would agree with any


@pytest.mark.parametrize("sampler", ["dpm-solver++", "euler-ancestral"])
def test_a_seed_means_to_diffusers_what_it_means_here(folder, pipe, sampler):
    theirs, spacing = reference(folder, sampler)
    options = {"num_inference_steps": 4, "guidance_scale": 5.0}
    expected = theirs(PROMPTS, generator=seeded(), output_type="pt", **options).images
    ours = dataclasses.replace(pipe, **spacing)
    pictures = generate(ours, PROMPTS, generator=seeded(), sampler=sampler, **options)
    torch.testing.assert_close(unit(pictures), expected, atol=LEVEL, rtol=0)


def test_the_shipped_model_draws_what_it_draws_in_diffusers():
    folder = registry.path("tiny-sd")
    theirs = diffusers.StableDiffusionPipeline.from_pretrained(folder, local_files_only=True)
    theirs.set_progress_bar_config(disable=True)
    prompts = ["a red circle left of a blue square", "a green star"]
    options = {"num_inference_steps": 20, "guidance_scale": 5.0, "generator": seeded()}
    pictures = generate(load(folder), prompts, **options)
    options["generator"] = seeded()
    expected = theirs(prompts, output_type="pt", **options).images
    torch.testing.assert_close(unit(pictures), expected, atol=LEVEL, rtol=0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_is_the_same_picture_and_another_is_another(pipe, sampler):
    one, same, other = (
        generate(pipe, ["a star"], generator=seeded(seed), num_inference_steps=3, sampler=sampler)
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert (one - other).abs().max() > 0.01


def test_a_picture_depends_neither_on_its_neighbours_nor_on_how_many_come_after(pipe):
    options = {"num_inference_steps": 3, "guidance_scale": 5.0}
    many = generate(pipe, PROMPTS, generator=seeded(), **options)
    fewer = generate(pipe, ["yellow", PROMPTS[1]], generator=seeded(), **options)
    torch.testing.assert_close(fewer[1], many[1], atol=1e-5, rtol=0)  # batches add up otherwise
    assert (fewer[0] - many[0]).abs().max() > 0.01


def test_there_are_as_many_latents_as_steps_and_the_last_becomes_the_picture(pipe):
    options = {"num_inference_steps": 4, "negative_prompts": NEGATIVE}
    walk = list(sample(pipe, PROMPTS, generator=seeded(), **options))
    assert [tuple(latents.shape) for latents in walk] == [(3, 4, 8, 8)] * 4
    assert torch.equal(
        decode(pipe, walk[-1]), generate(pipe, PROMPTS, generator=seeded(), **options)
    )


def test_pictures_lie_between_minus_one_and_one(pipe):
    pictures = decode(pipe, 20 * torch.randn(1, 4, 8, 8, generator=seeded()))
    assert (pictures.min(), pictures.max()) == (-1, 1)


def test_the_size_can_be_chosen(pipe):
    options = {"generator": seeded(), "num_inference_steps": 1}
    assert generate(pipe, ["a star"], **options).shape == (1, 3, 32, 32)
    assert generate(pipe, ["a star"], height=48, **options).shape == (1, 3, 48, 32)
    assert generate(pipe, ["a star"], width=48, **options).shape == (1, 3, 32, 48)


def test_a_picture_wider_than_high_is_that_of_diffusers(folder, pipe):
    theirs, spacing = reference(folder, "dpm-solver++")
    options = {"num_inference_steps": 4, "guidance_scale": 5.0, "height": 32, "width": 56}
    expected = theirs(PROMPTS, generator=seeded(), output_type="pt", **options).images
    ours = dataclasses.replace(pipe, **spacing)
    pictures = generate(ours, PROMPTS, generator=seeded(), **options)
    torch.testing.assert_close(unit(pictures), expected, atol=LEVEL, rtol=0)


def test_the_prompt_the_negative_prompt_and_guidance_all_matter(pipe):
    changes = [
        {},
        {"prompts": ["two triangles"]},
        {"negative_prompts": ["a blue square"]},
        {"guidance_scale": 1.0},
    ]
    pictures = [
        generate(
            pipe, **{"prompts": ["a star"], "num_inference_steps": 3, **change}, generator=seeded()
        )
        for change in changes
    ]
    assert all((picture - pictures[0]).abs().max() > 0.01 for picture in pictures[1:])


def test_without_guidance_the_unet_is_asked_once_about_each_picture(pipe):
    asked = []
    hook = pipe.unet.register_forward_pre_hook(lambda _, inputs: asked.append(len(inputs[0])))
    for guidance_scale in (1.0, 2.0):
        generate(
            pipe,
            PROMPTS,
            generator=seeded(),
            num_inference_steps=1,
            guidance_scale=guidance_scale,
        )
    hook.remove()
    assert asked == [3, 6]


def test_guidance_zero_ignores_the_prompt(pipe):
    one, other = (
        generate(pipe, [p], generator=seeded(), num_inference_steps=2, guidance_scale=0.0)
        for p in ("a star", "a circle")
    )
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_no_gradient_is_kept(pipe):
    assert not generate(pipe, ["a star"], generator=seeded(), num_inference_steps=1).requires_grad


def test_a_pipeline_in_half_the_precision_gives_nearly_the_same_picture(folder, pipe):
    options = {"num_inference_steps": 3, "guidance_scale": 1.0}
    half = load(folder).to("cpu", torch.bfloat16)
    assert {p.dtype for p in half.unet.parameters()} == {torch.bfloat16}
    pictures = generate(half, ["a star"], generator=seeded(), **options)
    exact = generate(pipe, ["a star"], generator=seeded(), **options)
    assert pictures.dtype == torch.float32
    assert 0 < (pictures - exact).abs().mean() < 0.05  # bfloat16 has 8 bits


def test_the_picture_is_the_same_on_every_device(folder, pipe, device):
    pictures = generate(
        load(folder).to(device), ["a star"], generator=seeded(), num_inference_steps=3
    )
    exact = generate(pipe, ["a star"], generator=seeded(), num_inference_steps=3)
    assert pictures.device.type == device.type
    torch.testing.assert_close(pictures.cpu(), exact, atol=LEVEL, rtol=0)


# What cannot be


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"prompts": "a star"}, "prompts: expected a list of texts, got 'a star'"),
        ({"prompts": []}, "prompts: expected at least one text, got none"),
        ({"prompts": ["a star", " "]}, r"prompts\[1\]: expected some words, got ' '"),
        (
            {"prompts": ["red star " * 9]},
            r"prompts\[0\]: expected at most 10 tokens, got .*; too long by '.*red star'",
        ),
        ({"negative_prompts": "blue"}, "negative_prompts: expected a list of texts, got 'blue'"),
        ({"negative_prompts": []}, "negative_prompts: expected at least one text, got none"),
        ({"negative_prompts": ["", ""]}, "negative_prompts: expected one for each of 1 prompts"),
        ({"guidance_scale": -0.5}, "guidance_scale: expected a finite number ≥ 0, got -0.5"),
        ({"guidance_scale": math.nan}, "guidance_scale: expected a finite number ≥ 0, got nan"),
        ({"guidance_scale": math.inf}, "guidance_scale: expected a finite number.*, got inf"),
        ({"num_inference_steps": 0}, "num_inference_steps: expected a whole number ≥ 1, got 0"),
        ({"num_inference_steps": 1001}, "num_inference_steps: expected at most 1000.*got 1001"),
        ({"height": 60}, "height: expected a multiple of 8, .*got 60"),
        ({"width": 60}, "width: expected a multiple of 8, .*got 60"),
        ({"height": 0}, "height: expected a whole number ≥ 1, got 0"),
        ({"sampler": "dpm-solver"}, r"unknown sampler: .*Did you mean 'dpm-solver\+\+'?"),
    ],
)
def test_what_cannot_be_is_refused_at_once(pipe, change, message, refusal):
    with refusal(message):
        sample(pipe, **{"prompts": ["a star"], "generator": seeded(), **change})


def test_a_unet_that_makes_numbers_infinite_is_named_with_the_step(pipe, folder, refusal):
    broken = load(folder)
    with torch.no_grad():
        broken.unet.conv_out.bias[0] = math.nan
    walk = sample(broken, ["a star"], generator=seeded(), num_inference_steps=2)
    with refusal("unet: expected finite answers, got infinity or NaN at t = 999"):
        next(walk)


def test_a_decoder_that_makes_numbers_infinite_is_named(folder, refusal):
    broken = load(folder)
    with torch.no_grad():
        broken.vae.decoder.conv_out.bias[0] = math.nan
    with refusal("vae: expected finite pictures, got infinity or NaN"):
        decode(broken, torch.zeros(1, 4, 8, 8))


def test_a_text_encoder_that_makes_numbers_infinite_is_named(folder, refusal):
    broken = load(folder)
    with torch.no_grad():
        broken.text_encoder.final_layer_norm.bias[0] = math.inf
    with refusal("text_encoder: expected finite states, got infinity or NaN"):
        denoiser(broken, ["a star"], [""], 2.0)


@pytest.mark.parametrize("part", ["unet", "vae", "text_encoder"])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_weights_that_are_no_numbers_are_named_when_loading(
    folder, tmp_path, part, number, refusal
):
    copied = shutil.copytree(folder, tmp_path / "copy")
    (file,) = (copied / part).glob("*.safetensors")
    weights = load_file(file)
    name = sorted(weights)[3]
    weights[name].flatten()[0] = number
    save_file(weights, file, {"format": "pt"})
    with refusal(f"{part}: expected finite weights, got infinity or NaN in .*{name}"):
        load(copied)


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            {"vae": AutoencoderKL(latent_channels=3)},
            "unet.in_channels: expected 3, as the vae has, got 4",
        ),
        (
            {"unet": UNet(in_channels=4, out_channels=8, context_dim=16)},
            "unet.out_channels: expected 4, as the vae has, got 8",
        ),
        (
            {"unet": UNet(in_channels=4, out_channels=4, context_dim=12)},
            "unet.context_dim: expected 16, as the text encoder has, got 12",
        ),
        (
            {"unet": UNet(in_channels=4, out_channels=4)},
            "unet.context_dim: expected 16, as the text encoder has, got None",
        ),
        (
            {"unet": UNet(in_channels=4, out_channels=4, context_dim=16, pooled_dim=5)},
            "unet.pooled_dim: expected None, as the text encoder has, got 5",
        ),
        (
            {"text_encoder": TextTransformer(9, 8, width=16, num_layers=1)},
            "tokenizer: expected at most 9 ids and texts of 24, .*got [0-9]+ and 12",
        ),
        (
            {"text_encoder": TextTransformer(999, 8, width=16, num_layers=1, context_length=11)},
            "tokenizer: expected at most 999 ids and texts of 11, .*got [0-9]+ and 12",
        ),
    ],
)
def test_parts_that_were_not_made_for_each_other_are_refused(pipe, part, message, refusal):
    with refusal(message):
        dataclasses.replace(pipe, **part)


def test_a_unet_and_a_text_encoder_in_one_folder_that_do_not_fit_are_refused(
    folder, tmp_path, refusal
):
    copied = shutil.copytree(folder, tmp_path / "copy")
    other = diffusers.AutoencoderKL(latent_channels=3, block_out_channels=(32,))
    shutil.rmtree(copied / "vae")
    other.save_pretrained(copied / "vae")
    with refusal("unet.in_channels: expected 3, as the vae has, got 4"):
        load(copied)
