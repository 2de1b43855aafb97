"""The recipe of the shipped ControlNet: what it learns from, and how it is judged."""

import diffusers
import pytest
import torch

from edudiff.data import captions, drawing, scenes, tokens
from edudiff.data.edges import edges
from edudiff.pipelines import control, text_to_image
from edudiff.training.job import Settings
from edudiff.training.recipes import tiny_controlnet, tiny_sd
from edudiff.training.run import run


@pytest.fixture(scope="module")
def pipe():
    return tiny_controlnet.make_pipe()


@pytest.fixture(autouse=True)
def _few_steps(monkeypatch):
    monkeypatch.setattr(tiny_controlnet, "NUM_STEPS", 2)


@pytest.fixture
def job():
    """Made anew for each test, as some train it."""
    return tiny_controlnet.prepare(3, num_steps=2)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_a_batch_holds_latents_captions_and_edges_of_the_same_scenes(job, pipe):
    batch = job.draw(16, seeded())
    seeds = torch.randint(2 * tiny_sd.CHUNK, (16,), generator=seeded()).tolist()
    drawn = scenes.scenes(seeds)
    assert torch.equal(batch["control"], edges(drawing.draw(drawn, 64)))
    assert batch["control"].dtype == torch.float32
    latents = tiny_sd.latents_of(pipe.vae, range(2 * tiny_sd.CHUNK))[seeds]
    assert torch.equal(batch["x0"], latents)
    said = [captions.describe(scene, seed) for scene, seed in zip(drawn, seeds, strict=True)]
    ids, no_text = tokens.tokenize(said, pipe.tokenizer), tokens.unconditional(pipe.tokenizer)
    kept = (batch["input_ids"] != no_text).any(dim=1)
    assert kept.any() and not kept.all()
    assert torch.equal(batch["input_ids"][kept], ids[kept])


def test_every_other_caption_is_left_out(job, pipe):
    ids = job.draw(4000, seeded())["input_ids"]
    left_out = (ids == tokens.unconditional(pipe.tokenizer)).all(dim=1)
    assert left_out.float().mean().item() == pytest.approx(0.5, abs=0.03)


def test_timesteps_are_spread_over_the_whole_table(job):
    assert torch.equal(job.draw(50, seeded())["t"] // 20, torch.arange(50))


def test_before_the_first_step_the_loss_is_that_of_the_shipped_model(job, pipe):
    batch = job.draw(8, seeded())
    expected = tiny_sd.denoising_loss(pipe, batch)["loss"]
    assert torch.equal(job.losses(batch)["loss"].detach(), expected)


def test_after_two_steps_every_parameter_takes_part_and_nothing_frozen_does(job):
    before = [p.clone() for network in job.frozen for p in network.parameters()]
    for seed in range(3):
        job.optimizer.zero_grad()
        job.losses(job.draw(4, seeded(seed)))["loss"].backward()
        job.optimizer.step()
    still = [n for n, weight in job.network.named_parameters() if not weight.grad.any()]
    assert still == []
    after = [p for network in job.frozen for p in network.parameters()]
    assert all(map(torch.equal, before, after))
    assert all(p.grad is None for p in after)


def test_it_stays_small(job):
    assert sum(p.numel() for p in job.network.parameters()) < 2_200_000


def test_the_measures_are_shares_and_repeat(job, pipe):
    with torch.no_grad():
        found = tiny_controlnet.measure(pipe, job.network, count=8)
        assert tiny_controlnet.measure(pipe, job.network, count=8) == found
    assert {"control", "without", "rebuilt", "one", "one_without"} <= set(found)
    assert all(0 <= share <= 1 for share in found.values())
    assert found["control"] == found["without"]  # it has not learnt anything yet
    assert found["rebuilt"] > 0.95


def test_samples_are_maps_and_pictures_with_and_without(job):
    with torch.no_grad():
        sheet = job.sample(job.network)
    assert sheet.shape == (3, 3 * 64, 8 * 64)
    maps = sheet[:, :64]
    assert set(maps.unique().tolist()) == {-1.0, 1.0}
    assert torch.equal(sheet[:, 64:128], sheet[:, 128:])  # nothing learnt yet


def test_a_short_training_leaves_a_control_net_that_diffusers_reads(tmp_path, monkeypatch):
    monkeypatch.setattr(
        tiny_controlnet, "measure", lambda pipe, controlnet, count=500: {"control": 0.0}
    )
    settings = Settings("controlnet", num_steps=2, batch_size=4)
    run(tiny_controlnet.RECIPE, tmp_path, settings)
    theirs = diffusers.ControlNetModel.from_pretrained(tmp_path / "model")
    assert theirs.config.conditioning_channels == 1
    ours = control.load(tmp_path / "model")
    pipe = tiny_controlnet.make_pipe()
    maps = tiny_controlnet.edge_maps([1, 2])
    options = {"num_inference_steps": 2, "generator": seeded()}
    steered = control.generate(pipe, ours, ["a star"] * 2, maps, **options)
    options["generator"] = seeded()
    plain = text_to_image.generate(pipe, ["a star"] * 2, **options)
    assert (steered - plain).abs().max() > 0
