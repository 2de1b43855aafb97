"""The recipe of the shipped DALL·E's codebook: where it begins, and what it learns."""

import diffusers
import pytest
import torch

from edudiff.models import vq_bridge
from edudiff.training.recipes import tiny_dalle_vq, tiny_sd_vae


@pytest.fixture(scope="module")
def job():
    return tiny_dalle_vq.prepare(3, num_steps=2)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_centres_of_clear_groups_are_found():
    truth = 10 * torch.eye(4)
    rows = truth.repeat(50, 1) + 0.1 * torch.randn(200, 4)
    found = tiny_dalle_vq.centres(rows, 8, 20)
    nearest = torch.cdist(truth, found).amin(dim=1)
    assert nearest.max() < 0.2


def test_moving_centres_bring_codes_nearer():
    rows = torch.randn(2000, 4)
    errors = [
        torch.cdist(rows, tiny_dalle_vq.centres(rows, 32, rounds)).amin(1).square().mean()
        for rounds in (0, 8)
    ]
    assert errors[1] < 0.85 * errors[0]


def test_it_begins_with_the_shipped_encoder_and_decoder_and_codes_near_their_latents(job):
    vae, pictures = tiny_sd_vae.load_shipped().float(), job.draw(4, seeded())["pictures"]
    with torch.no_grad():
        found, latents = job.network.encode(pictures), vae.encode(pictures).mean
    assert (found.z - latents).square().mean() < 0.1 * latents.square().mean()


def test_most_codes_are_in_use_from_the_beginning(job):
    pictures = job.draw(64, seeded())["pictures"]
    assert tiny_dalle_vq.perplexity(job.network, pictures) > tiny_dalle_vq.NUM_CODES / 4


def test_perplexity_counts_codes_that_are_used_alike(job, monkeypatch):
    indices = torch.arange(8).repeat(8).view(1, 8, 8)

    class Encoded:
        pass

    Encoded.indices = indices
    monkeypatch.setattr(job.network, "encode", lambda pictures: Encoded)
    found = tiny_dalle_vq.perplexity(job.network, torch.zeros(1, 3, 64, 64))
    assert found == pytest.approx(8)


def test_every_parameter_takes_part(job):
    job.network.zero_grad()
    job.losses(job.draw(4, seeded()))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []


def test_the_measures_are_three(job):
    found = tiny_dalle_vq.measure(job.network.eval(), count=12)
    job.network.train()
    assert list(found) == ["psnr", "kept", "perplexity"]
    assert 0 <= found["kept"] <= 1 and found["psnr"] > 10


def test_pictures_stand_beside_their_reconstructions(job):
    assert tiny_dalle_vq.pairs(job.network).shape == (48, 3, 64, 64)


def test_what_is_exported_loads_and_rebuilds_as_before_to_half_precision(job, tmp_path):
    job.export(job.network, tmp_path)
    back = vq_bridge.from_diffusers(diffusers.VQModel.from_pretrained(tmp_path).float())
    weights = back.state_dict()
    expected = job.network.state_dict()
    assert all(torch.equal(weights[n], w.half().float()) for n, w in expected.items())
