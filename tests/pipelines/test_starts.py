"""Where a walk begins that begins with a picture."""

import math

import diffusers
import pytest
import torch

from edudiff.pipelines.starts import encode, last_timesteps, start
from edudiff.pipelines.text_to_image import decode, load

OPTIONS = {
    "strength": 0.5,
    "num_inference_steps": 10,
    "guidance_scale": 5.0,
    "negative_prompts": None,
}


@pytest.fixture(scope="module")
def pipe(folder):
    return load(folder)


@pytest.fixture
def pictures():
    return 2 * torch.rand(2, 3, 32, 48) - 1


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def test_latents_are_the_mean_in_units_of_the_u_net(folder, pipe, pictures):
    theirs = diffusers.AutoencoderKL.from_pretrained(folder / "vae")
    with torch.no_grad():
        expected = theirs.encode(pictures).latent_dist.mode() * theirs.config.scaling_factor
    latents = encode(pipe, pictures)
    assert latents.shape == (2, 4, 8, 12)
    torch.testing.assert_close(latents, expected, atol=1e-5, rtol=1e-5)
    assert not latents.requires_grad


def test_decoding_goes_the_way_back(pipe, pictures):
    with torch.no_grad():
        expected = pipe.vae(pictures).clamp(-1, 1)
    torch.testing.assert_close(decode(pipe, encode(pipe, pictures)), expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("strength", "expected"), [(1.0, 10), (0.8, 8), (0.55, 5), (0.1, 1)])
def test_the_last_share_of_the_timesteps_is_left(pipe, strength, expected):
    every = last_timesteps(pipe, 10, 1.0)
    assert len(every) == 10 and every[0] == 999
    assert torch.equal(last_timesteps(pipe, 10, strength), every[-expected:])


@pytest.mark.parametrize("strength", [0, -0.1, 1.01, math.nan])
def test_a_strength_outside_zero_to_one_is_refused(strength, pipe, refusal):
    with refusal("strength: expected a number above 0 and at most 1, got"):
        last_timesteps(pipe, 10, strength)


def test_a_strength_that_leaves_no_step_is_refused(pipe, refusal):
    with refusal("strength: expected at least 0.05, one step of 20, got 0.04"):
        last_timesteps(pipe, 20, 0.04)


def test_a_start_at_minus_one_is_clean_and_late_ones_are_noise(pipe, pictures):
    begin = start(pipe, pictures, ["a star", "a ring"], generator=seeded(), **OPTIONS)
    assert torch.equal(begin.at(-1), begin.latents)
    alpha_bar = pipe.schedule.alphas_cumprod[500]
    expected = alpha_bar.sqrt() * begin.latents + (1 - alpha_bar).sqrt() * begin.noise
    torch.testing.assert_close(begin.at(500), expected.float())


def test_a_seed_is_the_noise_that_diffusers_draws(pipe, pictures):
    begin = start(pipe, pictures, ["a star", "a ring"], generator=seeded(4), **OPTIONS)
    assert torch.equal(begin.noise, torch.randn(2, 4, 8, 12, generator=seeded(4)))


def test_another_number_of_pictures_than_prompts_is_refused(pipe, pictures, refusal):
    with refusal("pictures: expected one for each of 1 prompts, got 2"):
        start(pipe, pictures, ["a star"], generator=seeded(), **OPTIONS)


def test_an_encoder_that_makes_numbers_infinite_is_named(folder, pictures, refusal):
    broken = load(folder)
    with torch.no_grad():
        broken.vae.quant_conv.bias[0] = math.inf
    with refusal("vae: expected finite latents, got infinity or NaN"):
        encode(broken, pictures)


def test_half_the_precision_is_enough_to_encode(folder, pipe, pictures):
    half = load(folder).to("cpu", torch.bfloat16)
    latents = encode(half, pictures)
    assert latents.dtype == torch.float32
    torch.testing.assert_close(latents, encode(pipe, pictures), atol=0.05, rtol=0.05)
