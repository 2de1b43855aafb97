"""The recipe of the shipped refiner: little noise only, and the second encoder alone."""

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.pipelines import text_to_image
from edudiff.pipelines.refine import generate_refined
from edudiff.pipelines.text_to_image_xl import load
from edudiff.training.recipes import tiny_sdxl, tiny_sdxl_refiner


@pytest.fixture(scope="module")
def base():
    torch.manual_seed(0)
    return tiny_sdxl.make_pipe(text_to_image.load(registry.path("tiny-sd")))


@pytest.fixture(scope="module")
def job(base):
    torch.manual_seed(1)
    pipe, seeds = tiny_sdxl_refiner.make_pipe(base), tiny_sdxl_refiner.training_seeds(0, 2)
    return tiny_sdxl_refiner.make_job(base, pipe, seeds, num_steps=2, rate=4e-4)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_refiner_hears_the_second_encoder_alone_and_is_told_a_score(base):
    refiner = tiny_sdxl_refiner.make_pipe(base)
    assert refiner.text_encoder is None and refiner.scored
    assert refiner.text_encoder_2 is base.text_encoder_2
    assert refiner.unet.context_dim == base.text_encoder_2.text_model.width


def test_it_starts_near_its_base_where_noise_is_little(base):
    torch.manual_seed(1)
    refiner = tiny_sdxl_refiner.make_pipe(base)
    start = tiny_sdxl_refiner.late_loss(refiner, 64)
    assert start < 1.2 * tiny_sdxl_refiner.late_loss(base, 64)
    assert start < 0.4


def test_it_learns_little_noise_only(job):
    t = job.draw(64, seeded())["t"]
    assert t.max() < tiny_sdxl_refiner.LAST_TIMESTEP
    assert t.max() >= round((1 - tiny_sdxl_refiner.SPLIT) * 1000)


def test_the_u_net_alone_learns(job):
    job.network.zero_grad()
    job.losses(job.draw(4, seeded()))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_the_measures_name_both_and_repeat(base, job):
    refiner = tiny_sdxl_refiner.replace(tiny_sdxl_refiner.make_pipe(base), unet=job.network)
    found = tiny_sdxl_refiner.measure(base, refiner, count=6)
    names = {
        f"{what}_{who}" for what in ("all", "shape", "outlines") for who in ("base", "refined")
    }
    assert all(0 <= found[name] <= 1 for name in names)
    more = found["outlines_refined"] - found["outlines_base"]
    assert found["outlines_more"] == pytest.approx(more)
    assert found["outlines_more_low"] <= found["outlines_more"]
    assert found["loss_base"] > 0 and found["sharp_refined"] > 0
    assert tiny_sdxl_refiner.measure(base, refiner, count=6) == found


def test_what_is_exported_refines_as_before_to_half_precision(base, job, tmp_path):
    with torch.no_grad():
        job.export(job.network.eval(), tmp_path)
    ours = tiny_sdxl_refiner.replace(tiny_sdxl_refiner.make_pipe(base), unet=job.network)
    options = {"num_inference_steps": 10}
    pictures = [
        generate_refined(base, each, ["a red star"], generator=seeded(), **options)
        for each in (ours, load(tmp_path))
    ]
    torch.testing.assert_close(*pictures, atol=0.03, rtol=0)
