"""SDXL and its refiner draw what diffusers' pipelines draw, and are told what theirs are."""

import diffusers
import pytest
import torch

from edudiff.pipelines.text_to_image_xl import decode, generate, load, sample

PROMPTS = ["a red circle left of a blue square", "a big green star"]


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def base(base_folder):
    return load(base_folder)


@pytest.fixture(scope="module")
def refiner(refiner_folder):
    return load(refiner_folder)


@pytest.fixture(scope="module")
def their_base(base_folder):
    pipe = diffusers.StableDiffusionXLPipeline.from_pretrained(base_folder, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module")
def their_refiner(refiner_folder):
    kind = diffusers.StableDiffusionXLImg2ImgPipeline
    pipe = kind.from_pretrained(refiner_folder, add_watermarker=False)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture
def noise():
    return torch.randn(2, 4, 8, 8, generator=seeded(3))


def last(steps):
    return list(steps)[-1]


def assert_same_pictures(ours, theirs):
    """Within 1/255 of the whole range, and no picture of one colour."""
    assert ours.std() > 0.02
    torch.testing.assert_close((ours + 1) / 2, theirs, atol=1 / 255, rtol=0)


OPTIONS = [
    {},
    {"guidance_scale": 1.0},
    {"negative_prompts": ["a red square", "a blue star"]},
    {"original_size": (16, 24), "crops_coords_top_left": (4, 8), "target_size": (64, 32)},
]


@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "unguided", "negative", "told"])
def test_the_base_draws_what_diffusers_draws(base, their_base, noise, options):
    ours = decode(
        base,
        last(
            sample(
                base,
                PROMPTS,
                generator=seeded(),
                latents=noise,
                num_inference_steps=5,
                **{"guidance_scale": 5.0} | options,
            )
        ),
    )
    renamed = {
        "negative_prompt" if name == "negative_prompts" else name: value
        for name, value in ({"guidance_scale": 5.0} | options).items()
    }
    theirs = their_base(
        PROMPTS, latents=noise, num_inference_steps=5, output_type="pt", **renamed
    ).images
    assert_same_pictures(ours, theirs)


def test_no_text_is_read_as_an_empty_one_where_zeros_are_not_meant(base, their_base, noise):
    from dataclasses import replace

    their_base.register_to_config(force_zeros_for_empty_prompt=False)
    try:
        theirs = their_base(
            PROMPTS, latents=noise, num_inference_steps=4, guidance_scale=5.0, output_type="pt"
        ).images
    finally:
        their_base.register_to_config(force_zeros_for_empty_prompt=True)
    options = {"latents": noise, "num_inference_steps": 4, "guidance_scale": 5.0}
    ours = generate(replace(base, zeros_for_no_text=False), PROMPTS, generator=seeded(), **options)
    assert_same_pictures(ours, theirs)
    with_zeros = generate(base, PROMPTS, generator=seeded(), **options)
    assert (ours - with_zeros).abs().max() > 2 / 255


def test_base_and_refiner_share_the_walk_as_in_diffusers(
    base, refiner, their_base, their_refiner, noise
):
    options = {"num_inference_steps": 8, "guidance_scale": 4.0}
    begun = last(
        sample(base, PROMPTS, generator=seeded(), latents=noise, denoising_end=0.7, **options)
    )
    steps = list(
        sample(refiner, PROMPTS, generator=seeded(), latents=begun, denoising_start=0.7, **options)
    )
    their_begun = their_base(
        PROMPTS, latents=noise, denoising_end=0.7, output_type="latent", **options
    ).images
    torch.testing.assert_close(begun, their_begun, atol=1e-3, rtol=1e-3)
    theirs = their_refiner(
        PROMPTS, image=their_begun, denoising_start=0.7, output_type="pt", **options
    ).images
    assert len(steps) == 2  # of timesteps 999, 874, … 124 those below 300
    assert_same_pictures(decode(refiner, steps[-1]), theirs)


def test_the_refiner_is_told_the_score_as_in_diffusers(refiner, their_refiner, noise):
    options = {"num_inference_steps": 4, "aesthetic_score": 2.0, "original_size": (16, 16)}
    latents = 0.5 * noise
    ours = generate(
        refiner,
        PROMPTS,
        generator=seeded(),
        latents=latents,
        denoising_start=0.4,
        guidance_scale=5.0,
        **options,
    )
    theirs = their_refiner(
        PROMPTS,
        image=latents,
        denoising_start=0.4,
        guidance_scale=5.0,
        output_type="pt",
        **options,
    ).images
    assert_same_pictures(ours, theirs)


def test_ending_early_takes_the_first_steps_of_the_whole_walk(base, noise):
    whole = list(sample(base, PROMPTS, generator=seeded(), latents=noise, num_inference_steps=10))
    begun = list(
        sample(
            base,
            PROMPTS,
            generator=seeded(),
            latents=noise,
            num_inference_steps=10,
            denoising_end=0.8,
        )
    )
    assert len(begun) == 8
    for early, full in zip(begun, whole, strict=False):
        assert torch.equal(early, full)


@pytest.mark.parametrize(
    "told",
    [{"original_size": (8, 8)}, {"crops_coords_top_left": (16, 0)}, {"target_size": (64, 32)}],
    ids=["original size", "crop corner", "target size"],
)
def test_what_is_told_of_the_size_changes_the_picture(base, told):
    options = {"num_inference_steps": 3}
    plain = generate(base, PROMPTS, generator=seeded(), **options)
    changed = generate(base, PROMPTS, generator=seeded(), **options, **told)
    assert (plain - changed).abs().max() > 1e-3


def test_pictures_are_as_wide_and_high_as_asked_for(base):
    pictures = generate(
        base, PROMPTS, generator=seeded(), num_inference_steps=2, height=32, width=48
    )
    assert pictures.shape == (2, 3, 32, 48)
    assert pictures.aminmax().min >= -1 and pictures.aminmax().max <= 1


def test_a_picture_stays_the_same_whatever_the_other_prompts_say(base):
    both = generate(base, PROMPTS, generator=seeded(), num_inference_steps=3)
    alone = generate(base, PROMPTS[:1], generator=seeded(), num_inference_steps=3)
    torch.testing.assert_close(both[:1], alone, atol=1e-4, rtol=0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"denoising_start": 0.8}, "latents: expected what was left at denoising_start"),
        ({"denoising_end": 1.0}, "denoising_end: expected a share between 0 and 1, got 1.0"),
        (
            {"denoising_start": 0.5, "denoising_end": 0.4, "latents": torch.zeros(2, 4, 8, 8)},
            "expected a step between",
        ),
        ({"height": 20}, "height: expected a multiple of 8"),
        ({"crops_coords_top_left": (-1, 0)}, "crops_coords_top_left"),
        ({"target_size": (0, 64)}, "target_size"),
        ({"guidance_scale": -1.0}, "guidance_scale: expected a finite number"),
        ({"sampler": "magic"}, "unknown sampler"),
        ({"negative_prompts": ["one"]}, "negative_prompts: expected one for each of 2"),
        ({"latents": torch.zeros(1, 4, 8, 8)}, r"latents: expected shape \(2, 4, h, w\)"),
        ({"latents": torch.zeros(2, 4, 8, 8), "height": 64}, "height: expected 32"),
    ],
)
def test_what_cannot_be_is_refused_at_once(base, options, message):
    with pytest.raises(ValueError, match=message):
        sample(base, PROMPTS, generator=seeded(), **options)


def test_pictures_that_are_not_finite_are_refused(base):
    with pytest.raises(ValueError, match="finite"):
        decode(base, torch.full((1, 4, 8, 8), float("nan")))
