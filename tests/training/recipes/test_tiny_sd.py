"""The recipe of the shipped Stable Diffusion: what it learns from, and what it is asked."""

import pytest
import torch

from edudiff.data import captions, scenes, tokens
from edudiff.diffusion.prediction import velocity
from edudiff.evaluation import oracle
from edudiff.pipelines.text_to_image import generate, load
from edudiff.training.recipes import quality, tiny_sd


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(0)
    return tiny_sd.make_pipe(tiny_sd.make_model())


@pytest.fixture(scope="module")
def job():
    return tiny_sd.prepare(3, num_steps=2)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_latents_have_about_unit_variance_in_each_channel(pipe):
    spread = tiny_sd.latents_of(pipe.vae, range(128)).std(dim=(0, 2, 3))
    torch.testing.assert_close(spread, torch.ones(4), atol=0.1, rtol=0)


def test_a_batch_holds_latents_of_scenes_and_the_captions_of_the_same(job, pipe):
    batch = job.draw(16, seeded())
    kept = [
        row
        for row in range(16)
        if not torch.equal(batch["input_ids"][row], tokens.unconditional(pipe.tokenizer)[0])
    ]
    seeds = torch.randint(2 * tiny_sd.CHUNK, (16,), generator=seeded()).tolist()
    said = [captions.describe(scenes.scene(seeds[row]), seeds[row]) for row in kept]
    assert torch.equal(batch["input_ids"][kept], tokens.tokenize(said, pipe.tokenizer))
    latents = tiny_sd.latents_of(pipe.vae, range(2 * tiny_sd.CHUNK))[seeds]
    assert torch.equal(batch["x0"], latents)


def test_timesteps_are_spread_over_the_whole_table(job):
    t = job.draw(50, seeded())["t"]
    assert t.dtype == torch.int64
    assert torch.equal(t // 20, torch.arange(50))


def test_one_caption_in_ten_is_left_out(job, pipe):
    ids = job.draw(4000, seeded())["input_ids"]
    left_out = (ids == tokens.unconditional(pipe.tokenizer)).all(dim=1)
    assert left_out.float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_the_loss_is_zero_only_for_the_velocity(job, monkeypatch):
    batch = job.draw(8, seeded())
    schedule = tiny_sd.NoiseSchedule(tiny_sd.scaled_linear_betas())
    right = velocity(batch["x0"], batch["eps"], batch["t"], schedule)
    monkeypatch.setattr(job.network, "forward", lambda xt, t, context: right)
    assert job.losses(batch)["loss"].item() == pytest.approx(0, abs=1e-10)


def test_every_parameter_takes_part_and_nothing_frozen_does(job):
    job.network.zero_grad()
    job.losses(job.draw(4, seeded()))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_test_captions_are_of_scenes_that_no_training_sees():
    prompts = tiny_sd.test_captions(5)
    seeds = range(quality.FIRST_TEST_SEED, quality.FIRST_TEST_SEED + 5)
    assert prompts == [captions.describe(scenes.scene(seed), seed) for seed in seeds]


def test_guidance_is_tuned_on_other_captions_than_it_is_tested_on():
    tested = tiny_sd.test_captions(500)
    tuned = tiny_sd.test_captions(500, first_seed=tiny_sd.FIRST_TUNING_SEED)
    assert len(set(tested) & set(tuned)) < 50  # short captions do meet
    assert tiny_sd.FIRST_TUNING_SEED >= quality.FIRST_TEST_SEED + 500


def test_held_out_captions_show_what_training_never_does():
    for seed in range(quality.FIRST_TEST_SEED, quality.FIRST_TEST_SEED + 20):
        assert scenes.is_held_out(scenes.scene(seed, split="held_out"))


def test_shares_count_lone_objects_and_named_relations_apart():
    prompts = ["a red star", "a blue ring", "a red star left of a blue ring", "a red star"]
    verdicts = [oracle.Verdict(count=holds) for holds in (True, False, True, True)]
    found = quality.shares(prompts, verdicts)
    assert found == {"one": pytest.approx(2 / 3), "two": 1.0}


def test_the_measures_are_shares_and_repeat(pipe):
    found = tiny_sd.measure(pipe, count=12)
    assert {"one", "two", "held_out", "shape", "relation"} <= set(found)
    assert all(0 <= share <= 1 for share in found.values())
    assert tiny_sd.measure(pipe, count=12) == found


def test_what_is_exported_draws_as_before_to_half_precision(job, tmp_path):
    with torch.no_grad():
        job.export(job.network.eval(), tmp_path)
    torch.manual_seed(3)
    ours = tiny_sd.make_pipe(job.network)
    pictures = [
        generate(each, ["a red star"], generator=seeded(), num_inference_steps=4)
        for each in (ours, load(tmp_path))
    ]
    torch.testing.assert_close(*pictures, atol=0.03, rtol=0)
