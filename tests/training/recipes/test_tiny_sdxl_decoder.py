"""The recipe that shows Stable Diffusion XL's decoder other views than sharp squares."""

import pytest
import torch

from edudiff.data import views
from edudiff.evaluation.sharpness import sharpness
from edudiff.training.recipes import tiny_sd_decoder, tiny_sd_vae, tiny_sdxl_decoder


@pytest.fixture
def job():
    return tiny_sdxl_decoder.prepare(3, num_steps=2)


def drawn(job, count):
    return job.draw(count, torch.Generator().manual_seed(5))


def test_half_of_the_pictures_are_enlarged_most_of_them_from_few_pixels():
    looks = [tiny_sdxl_decoder.random_view(seed) for seed in range(2000)]
    small = [look.original for look in looks if look.original < 64]
    assert 0.46 < len(small) / 2000 < 0.54
    assert min(small) == views.SMALLEST and 48 <= max(small) < 64
    assert sum(original < 24 for original in small) > len(small) / 2


def test_those_that_are_not_enlarged_are_sharp_also_where_they_are_cut_off():
    looks = [tiny_sdxl_decoder.random_view(seed, views.WIDE) for seed in range(500)]
    sharp = [look for look in looks if look.original >= look.shown]
    assert len(sharp) > 200 and any(look.shown > 64 for look in sharp)
    assert all((look.height, look.width) == views.WIDE for look in looks)


def test_pictures_are_those_of_the_scenes_of_this_recipe_with_noise_for_their_latents(job):
    batch = drawn(job, 48)
    blurred = sharpness(batch["pictures"]) < 0.25
    assert 8 < blurred.sum() < 32
    assert batch["noise"].shape[2:] == tuple(side // 8 for side in batch["pictures"].shape[2:])
    assert batch["noise"].shape[:2] == (48, 4)
    assert batch["share"].max() <= tiny_sd_decoder.MOST_NOISE


def test_each_batch_is_of_one_bucket_and_squares_are_half(job):
    found = [
        tuple(job.draw(1, torch.Generator().manual_seed(k))["pictures"].shape[2:])
        for k in range(200)
    ]
    assert 0.4 < found.count(views.SQUARE) / 200 < 0.6
    assert set(found) == set(views.BUCKETS)


def test_the_decoder_alone_learns(job):
    job.losses(drawn(job, 2))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_stable_diffusions_decoder_makes_blurred_pictures_sharper_than_they_were():
    found = tiny_sdxl_decoder.measure(tiny_sd_vae.load_shipped().float(), count=24)
    assert found["sharp_small_before"] < 0.25
    assert found["sharp_small"] > 1.5 * found["sharp_small_before"]


def test_wide_and_tall_pictures_that_come_back_unchanged_are_undistorted(monkeypatch):
    model = tiny_sd_vae.load_shipped().float()
    monkeypatch.setattr(tiny_sdxl_decoder.tiny_sd_vae, "measure", lambda *given: {})
    before = tiny_sdxl_decoder.measure(model, count=48)
    monkeypatch.setattr(tiny_sdxl_decoder.tiny_vae, "reconstruct", lambda model, x: x)
    same = tiny_sdxl_decoder.measure(model, count=48)
    for name in ("wide", "tall"):
        assert before[name] < same[name] and same[name] > 0.9


def test_samples_are_pairs_of_sharp_and_blurred_pictures(job):
    found = job.sample(job.network)
    assert found.shape == (48, 3, 64, 64)
    before = sharpness(found[::2])
    assert before[::3].mean() > before[1::3].mean() > before[2::3].mean()


def test_what_is_kept_lies_between_what_it_began_with_and_what_it_came_to(job, tmp_path):
    shipped = tiny_sd_vae.load_shipped().float().decoder.conv_in.weight
    with torch.no_grad():
        for weight in job.network.parameters():
            weight.add_(0.5)
        job.export(job.network.eval(), tmp_path)
    reference = tiny_sdxl_decoder.diffusers.AutoencoderKL.from_pretrained(tmp_path)
    expected = shipped + 0.5 * tiny_sdxl_decoder.LEARNT
    torch.testing.assert_close(reference.decoder.conv_in.weight, expected, atol=2e-3, rtol=2e-3)
    for weight in job.network.parameters():  # what goes on learning is not what is kept
        assert weight.grad is None
    torch.testing.assert_close(job.network[1].conv_in.weight, shipped + 0.5)
