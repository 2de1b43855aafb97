"""Image-to-image, inpainting, outpainting: what diffusers draws, and what cannot be."""

import dataclasses
import functools
from collections import deque

import diffusers
import pytest
import torch
from diffusers.pipelines.stable_diffusion import (
    pipeline_stable_diffusion_img2img,
    pipeline_stable_diffusion_inpaint,
)

from edudiff.checkpoints import registry
from edudiff.data import drawing, scenes
from edudiff.diffusion.samplers import SAMPLERS
from edudiff.pipelines.editing import encode, image_to_image, inpaint, outpaint
from edudiff.pipelines.text_to_image import decode, load

PROMPTS = ["a red circle", "a big green star"]
NEGATIVE = ["a blue square", ""]
LEVEL = 1 / 255
SPACING = {"dpm-solver++": "trailing", "ddim": "leading", "euler": "leading"}
KINDS = {
    "dpm-solver++": diffusers.DPMSolverMultistepScheduler,
    "ddim": diffusers.DDIMScheduler,
    "euler": diffusers.EulerDiscreteScheduler,
}
EXACT = {"set_alpha_to_one": True, "clip_sample": False}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def last(steps):
    return deque(steps, maxlen=1)[0]


@pytest.fixture(scope="module")
def pipe(folder):
    return load(folder)


@pytest.fixture
def pictures():
    return 2 * torch.rand(2, 3, 32, 40, generator=seeded(9)) - 1


@pytest.fixture
def masks():
    masks = torch.zeros(2, 1, 32, 40)
    masks[0, :, 8:20, 12:30] = 1
    masks[1, :, :, 21:] = 1
    return masks


@pytest.fixture
def theirs(folder, monkeypatch):
    """Diffusers' pipeline of a kind, encoding pictures to the mean instead of drawing."""

    def make(kind, sampler="dpm-solver++", source=folder):
        for module in (pipeline_stable_diffusion_img2img, pipeline_stable_diffusion_inpaint):
            likeliest = functools.partial(
                pipeline_stable_diffusion_img2img.retrieve_latents, sample_mode="argmax"
            )
            monkeypatch.setattr(module, "retrieve_latents", likeliest)
        reference = kind.from_pretrained(source, local_files_only=True)
        reference.set_progress_bar_config(disable=True)
        config = {**reference.scheduler.config, **EXACT, "timestep_spacing": SPACING[sampler]}
        reference.scheduler = KINDS[sampler].from_config(config)
        return reference

    return make


def alike(pipe, sampler):
    return dataclasses.replace(pipe, spacing=SPACING[sampler], steps_offset=1)


@pytest.mark.parametrize("sampler", SPACING)
@pytest.mark.parametrize("strength", [0.35, 1.0])
@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_image_to_image_is_that_of_diffusers(
    sampler, strength, guidance_scale, pipe, pictures, theirs
):
    options = {
        "strength": strength,
        "num_inference_steps": 10,
        "guidance_scale": guidance_scale,
    }
    expected = theirs(diffusers.StableDiffusionImg2ImgPipeline, sampler)(
        PROMPTS,
        image=(pictures + 1) / 2,
        negative_prompt=NEGATIVE,
        generator=seeded(),
        output_type="pt",
        **options,
    ).images
    ours = alike(pipe, sampler)
    steps = list(
        image_to_image(
            ours,
            pictures,
            PROMPTS,
            generator=seeded(),
            negative_prompts=NEGATIVE,
            sampler=sampler,
            **options,
        )
    )
    made = decode(ours, steps[-1])
    assert len(steps) == int(10 * strength)
    torch.testing.assert_close((made + 1) / 2, expected, atol=LEVEL, rtol=0)
    assert (made.abs() < 1).float().mean() > 0.8  # a clamped picture would agree with any


@pytest.mark.parametrize("sampler", SPACING)
@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("guidance_scale", [1.0, 5.0])
def test_inpainting_is_that_of_diffusers(
    sampler, strength, guidance_scale, pipe, pictures, masks, theirs
):
    options = {
        "strength": strength,
        "num_inference_steps": 10,
        "guidance_scale": guidance_scale,
    }
    expected = theirs(diffusers.StableDiffusionInpaintPipeline, sampler)(
        PROMPTS,
        image=(pictures + 1) / 2,
        mask_image=masks,
        negative_prompt=NEGATIVE,
        generator=seeded(),
        height=32,
        width=40,
        output_type="pt",
        **options,
    ).images
    ours = alike(pipe, sampler)
    steps = inpaint(
        ours,
        pictures,
        masks,
        PROMPTS,
        generator=seeded(),
        negative_prompts=NEGATIVE,
        sampler=sampler,
        **options,
    )
    made = decode(ours, last(steps))
    torch.testing.assert_close((made + 1) / 2, expected, atol=LEVEL, rtol=0)
    assert (made.abs() < 1).float().mean() > 0.8


def test_the_shipped_model_edits_as_it_does_in_diffusers(theirs):
    folder = registry.path("tiny-sd")
    pictures = drawing.draw(scenes.scenes([3, 4]), 64)
    masks = torch.zeros(2, 1, 64, 64)
    masks[:, :, :32] = 1
    reference = theirs(diffusers.StableDiffusionInpaintPipeline, source=folder)
    expected = reference(
        PROMPTS,
        image=(pictures + 1) / 2,
        mask_image=masks,
        generator=seeded(),
        height=64,
        width=64,
        guidance_scale=3.0,
        num_inference_steps=10,
        output_type="pt",
        strength=0.9,
    ).images
    pipe = load(folder)
    made = inpaint(
        pipe,
        pictures,
        masks,
        PROMPTS,
        generator=seeded(),
        guidance_scale=3.0,
        num_inference_steps=10,
        strength=0.9,
    )
    torch.testing.assert_close((decode(pipe, last(made)) + 1) / 2, expected, atol=LEVEL, rtol=0)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_what_is_kept_ends_with_the_picture_s_own_latents(sampler, pipe, pictures, masks):
    options = {"generator": seeded(), "num_inference_steps": 4, "sampler": sampler}
    made = last(inpaint(pipe, pictures, masks, PROMPTS, **options))
    own, painted = encode(pipe, pictures), masks[:, :, ::4, ::4].bool().expand(-1, 4, -1, -1)
    assert torch.equal(made[~painted], own[~painted])
    assert (made[painted] - own[painted]).abs().mean() > 0.1


def test_on_the_way_what_is_kept_has_as_much_noise_as_its_timestep_says(pipe, pictures, masks):
    steps = list(inpaint(pipe, pictures, masks, PROMPTS, generator=seeded(), num_inference_steps=4))
    own, noise = encode(pipe, pictures), torch.randn(2, 4, 8, 10, generator=seeded())
    kept = ~masks[:, :, ::4, ::4].bool().expand(-1, 4, -1, -1)
    for t, step in zip((749, 499, 249), steps, strict=False):
        alpha_bar = pipe.schedule.alphas_cumprod[t]
        expected = (alpha_bar.sqrt() * own + (1 - alpha_bar).sqrt() * noise).float()
        torch.testing.assert_close(step[kept], expected[kept])


def test_the_u_net_sees_around_the_new_part_what_is_kept(pipe, pictures, masks):
    seen = []
    hook = pipe.unet.register_forward_pre_hook(lambda _, question: seen.append(question[0]))
    options = {"num_inference_steps": 4, "guidance_scale": 1.0}
    steps = list(inpaint(pipe, pictures, masks, PROMPTS, generator=seeded(), **options))
    hook.remove()
    assert torch.equal(seen[0], torch.randn(2, 4, 8, 10, generator=seeded()))
    for asked, step in zip(seen[1:], steps, strict=False):
        torch.testing.assert_close(asked, step)


def test_the_weaker_the_nearer_to_the_picture():
    shipped, pictures = load(registry.path("tiny-sd")), drawing.draw(scenes.scenes([3, 4]), 64)
    own, distances = encode(shipped, pictures), []
    for strength in (0.1, 0.4, 0.7, 1.0):
        options = {"strength": strength, "num_inference_steps": 10, "guidance_scale": 1.0}
        made = last(image_to_image(shipped, pictures, PROMPTS, generator=seeded(), **options))
        distances.append((made - own).square().mean().item())
    assert distances == sorted(distances)
    assert distances[0] < 0.1 * distances[-1]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_same_seed_is_the_same_picture_and_another_is_another(sampler, pipe, pictures):
    options = {"num_inference_steps": 4, "sampler": sampler}
    one, same, other = (
        last(image_to_image(pipe, pictures, PROMPTS, generator=seeded(seed), **options))
        for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert (one - other).abs().max() > 0.01


def test_a_picture_depends_neither_on_its_neighbours_nor_on_how_many_come_after(pipe, pictures):
    options = {"generator": seeded(), "num_inference_steps": 3}
    both = last(image_to_image(pipe, pictures, PROMPTS, **options))
    options["generator"] = seeded()
    alone = last(image_to_image(pipe, pictures[:1], PROMPTS[:1], **options))
    torch.testing.assert_close(alone, both[:1], atol=1e-5, rtol=0)


def test_outpainting_keeps_the_picture_and_marks_what_was_added(pictures):
    larger, masks = outpaint(pictures, left=8, right=4, top=2, bottom=6)
    assert larger.shape == (2, 3, 40, 52) and masks.shape == (2, 1, 40, 52)
    assert torch.equal(larger[:, :, 2:34, 8:48], pictures)
    assert not masks[:, :, 2:34, 8:48].any()
    assert masks.sum() == 2 * (40 * 52 - 32 * 40)
    assert torch.equal(larger[:, :, 2:34, 0], pictures[:, :, :, 0])
    assert torch.equal(larger[:, :, 39, 8:48], pictures[:, :, -1])


def test_what_was_added_can_be_painted(pipe, pictures):
    larger, masks = outpaint(pictures, right=24)
    steps = inpaint(pipe, larger, masks, PROMPTS, generator=seeded(), num_inference_steps=3)
    assert decode(pipe, last(steps)).shape == (2, 3, 32, 64)


def test_nothing_to_add_and_less_than_nothing_are_refused(pictures, refusal):
    with refusal("left, right, top, bottom: expected something to add, got 0 for all"):
        outpaint(pictures)
    with refusal("top: expected a whole number ≥ 0, got -8"):
        outpaint(pictures, top=-8)
    with refusal("pictures: expected a batch"):
        outpaint(pictures[0], top=8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"strength": 0}, "strength: expected a number above 0 and at most 1, got 0"),
        ({"strength": 1.5}, "strength: expected a number above 0 and at most 1, got 1.5"),
        ({"strength": 0.01}, "strength: expected at least 0.05, one step of 20, got 0.01"),
        ({"prompts": ["a star"]}, "pictures: expected one for each of 1 prompts, got 2"),
        ({"prompts": ["a star", ""]}, r"prompts\[1\]: expected some words"),
        ({"negative_prompts": [""]}, "negative_prompts: expected one for each of 2 prompts"),
        ({"pictures": torch.zeros(2, 3, 32, 36)}, "width: expected a multiple of 8"),
        ({"pictures": torch.full((2, 3, 32, 40), 2.0)}, "pictures: expected values in"),
        ({"guidance_scale": -1.0}, "guidance_scale: expected a finite number"),
        ({"num_inference_steps": 0}, "num_inference_steps: expected a whole number ≥ 1"),
        ({"sampler": "eular"}, "unknown sampler: .*Did you mean 'euler'"),
    ],
)
def test_what_cannot_be_is_refused_at_once(change, message, pipe, pictures, masks, refusal):
    common = {"pictures": pictures, "prompts": PROMPTS, "generator": seeded(), **change}
    with refusal(message):
        image_to_image(pipe, **common)
    masks = torch.ones_like(common["pictures"][:, :1])
    with refusal(message):
        inpaint(pipe, masks=masks, **common)


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (torch.ones(2, 1, 32, 32), "masks: expected shape"),
        (torch.full((2, 1, 32, 40), 0.5), r"masks: expected 0 \(keep\) and 1 \(paint\)"),
        (torch.zeros(2, 1, 32, 40), "nothing to paint"),
    ],
)
def test_a_mask_that_cannot_be_is_refused_at_once(mask, message, pipe, pictures, refusal):
    with refusal(message):
        inpaint(pipe, pictures, mask, PROMPTS, generator=seeded())
