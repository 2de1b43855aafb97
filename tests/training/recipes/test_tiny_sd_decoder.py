"""The recipe that goes on with the decoder of the shipped Stable Diffusion."""

import diffusers
import pytest
import torch

from edudiff.models.vae_bridge import from_diffusers
from edudiff.training.recipes import tiny_sd_decoder, tiny_sd_vae


@pytest.fixture
def job():
    return tiny_sd_decoder.prepare(3, num_steps=2)


def step(job) -> None:
    generator = torch.Generator().manual_seed(5)
    job.losses(job.draw(2, generator))["loss"].backward()
    job.optimizer.step()


def test_it_begins_with_the_decoder_that_is_shipped(job):
    shipped = tiny_sd_vae.load_shipped()
    for ours, theirs in zip(job.network, (shipped.post_quant_conv, shipped.decoder), strict=True):
        assert all(map(torch.equal, ours.parameters(), theirs.parameters()))


def test_every_parameter_takes_part_and_the_encoder_does_not(job):
    step(job)
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_latents_mean_the_same_after_a_step_and_pictures_do_not(job, tmp_path):
    pictures = tiny_sd_vae.tiny_vae.random_pictures(2, 64, torch.Generator().manual_seed(1))
    before = tiny_sd_vae.load_shipped()
    step(job)
    with torch.no_grad():
        job.export(job.network.eval(), tmp_path)
        after = from_diffusers(diffusers.AutoencoderKL.from_pretrained(tmp_path))
        latents = before.encode(pictures).mean
        torch.testing.assert_close(after.encode(pictures).mean, latents)
        assert (after.decode(latents) - before.decode(latents)).abs().max() > 1e-3


def test_most_noise_is_that_of_this_recipe(job):
    share = job.draw(400, torch.Generator().manual_seed(2))["share"]
    assert 0.9 * tiny_sd_decoder.MOST_NOISE < share.max() <= tiny_sd_decoder.MOST_NOISE
