"""The recipe of the autoencoder inside the shipped Stable Diffusion."""

import diffusers
import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.models.vae_bridge import from_diffusers
from edudiff.training.recipes import tiny_sd_vae


@pytest.fixture
def job():
    return tiny_sd_vae.prepare(3, num_steps=2)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_goes_on_from_the_shipped_autoencoder():
    shipped = diffusers.AutoencoderKL.from_pretrained(registry.path("tiny-vae")).state_dict()
    begun = tiny_sd_vae.make_model().state_dict()
    assert all(torch.equal(begun[name], weight) for name, weight in shipped.items())


def test_latents_are_disturbed_in_shares_of_their_own_spread():
    latents = (
        torch.randn(64, 4, 8, 8, generator=seeded()) * torch.tensor([1, 2, 5, 0.1])[:, None, None]
    )
    noise = torch.randn(latents.shape, generator=seeded(6))
    moved = tiny_sd_vae.disturbed(latents, noise, 0.3) - latents
    torch.testing.assert_close(
        moved.std((0, 2, 3)) / latents.std((0, 2, 3)), torch.full((4,), 0.3), atol=0.02, rtol=0
    )


def test_each_row_has_its_own_share():
    latents = torch.randn(3, 4, 8, 8, generator=seeded())
    noise = torch.ones_like(latents)
    moved = tiny_sd_vae.disturbed(latents, noise, torch.tensor([0.0, 0.1, 0.4])) - latents
    spread = latents.std((0, 2, 3))
    for row, share in enumerate((0.0, 0.1, 0.4)):
        torch.testing.assert_close(moved[row, :, 0, 0], share * spread)


def test_shares_lie_between_nothing_and_the_most(job):
    share = job.draw(200, seeded())["share"]
    assert share.min() >= 0 and 0.3 < share.max() <= tiny_sd_vae.MOST_NOISE


def test_noise_on_the_latents_costs(job):
    batch = dict(job.draw(8, seeded()))
    disturbed = job.losses(batch)["reconstruction"]
    quiet = job.losses(batch | {"share": torch.zeros(8)})["reconstruction"]
    assert disturbed > quiet


def test_every_parameter_takes_part(job):
    job.losses(job.draw(2, seeded()))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []


def test_the_shipped_one_forgives_more_than_the_one_it_came_from():
    before, after = (
        from_diffusers(diffusers.AutoencoderKL.from_pretrained(folder)).eval()
        for folder in (registry.path("tiny-vae"), registry.path("tiny-sd") / "vae")
    )
    share = tiny_sd_vae.TEST_NOISE
    assert (
        tiny_sd_vae.kept(after, share, count=64) > tiny_sd_vae.kept(before, share, count=64) + 0.5
    )


def test_what_is_exported_has_latents_of_unit_variance(job, tmp_path):
    job.export(job.network.eval(), tmp_path)
    model = from_diffusers(diffusers.AutoencoderKL.from_pretrained(tmp_path))
    pictures = tiny_sd_vae.tiny_vae.random_pictures(256, 64, seeded())
    with torch.no_grad():
        spread = model.encode(pictures).mean.std(dim=(0, 2, 3))
    torch.testing.assert_close(spread, torch.ones(4), atol=0.1, rtol=0)
    assert model.scaling_factor == 1.0
