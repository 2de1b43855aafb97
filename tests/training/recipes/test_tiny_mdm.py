"""The recipe of the shipped Matryoshka: what it learns from, and what it is asked."""

import pytest
import torch

from edudiff.data import captions, drawing, scenes, tokens
from edudiff.diffusion.multiscale import pyramid
from edudiff.diffusion.prediction import velocity
from edudiff.pipelines import matryoshka_folder
from edudiff.training.recipes import tiny_mdm


@pytest.fixture(scope="module")
def job():
    return tiny_mdm.prepare(3, num_steps=2)


@pytest.fixture(scope="module")
def pipe(job):
    return tiny_mdm.make_pipe(job.network)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_network_and_text_encoder_fit_into_ten_megabytes_in_half_precision(pipe):
    networks = (pipe.unet, pipe.reader.text_encoder)
    parameters = sum(p.numel() for network in networks for p in network.parameters())
    assert 2 * parameters < 10e6


def test_resolutions_are_those_of_the_network(pipe):
    assert tuple(pipe.sizes) == tiny_mdm.SIZES


def test_a_batch_holds_scenes_and_the_captions_of_the_same(job, pipe):
    drawn = job.draw(16, seeded())
    batch = job.fetch(drawn)
    seeds = drawn["seeds"].tolist()
    assert torch.equal(batch["x0"], drawing.draw(scenes.scenes(seeds), 64))
    without = tokens.unconditional(pipe.reader.tokenizer)[0]
    kept = [row for row in range(16) if not torch.equal(batch["input_ids"][row], without)]
    said = [captions.describe(scenes.scene(seeds[row]), seeds[row]) for row in kept]
    assert torch.equal(batch["input_ids"][kept], tokens.tokenize(said, pipe.reader.tokenizer))


def test_pictures_of_all_resolutions_have_timesteps_from_the_whole_table(job):
    t = job.draw(256, seeded())["t"]
    assert t.dtype == torch.int64 and t.sort().values.diff().max() < 2 * 1000 / 256 + 1
    assert t[:64].min() < 100 and t[:64].max() > 900


def test_one_caption_in_ten_is_left_out(job, pipe):
    ids = job.draw(800, seeded())["input_ids"]
    left_out = (ids == tokens.unconditional(pipe.reader.tokenizer)).all(dim=1)
    assert left_out.float().mean().item() == pytest.approx(0.1, abs=0.04)


def test_the_loss_is_zero_only_for_the_velocity_of_each_resolution(job, pipe, monkeypatch):
    batch = job.fetch(job.draw(8, seeded()))
    t, asked = batch["t"], []

    def right(xts, t, states, mask):
        asked.append([len(xt) for xt in xts])
        each = zip(pyramid(batch["x0"], (4, 2, 1)), tiny_mdm.SIZES, pipe.schedules, strict=True)
        vs = [velocity(x0, batch[f"eps_{size}"], t, schedule) for x0, size, schedule in each]
        return [v[: len(xt)] for v, xt in zip(vs, xts, strict=True)]

    monkeypatch.setattr(job.network, "forward", right)
    assert job.losses(batch)["loss"].item() == pytest.approx(0, abs=1e-10)
    assert asked == [[2, 4, 8]] and len(t) == 8


def test_every_parameter_takes_part_and_nothing_frozen_does(job):
    job.network.zero_grad()
    job.losses(job.fetch(job.draw(4, seeded())))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []
    assert not any(weight.grad is not None for weight in job.frozen[0].parameters())


def test_true_pictures_are_judged_right_and_agree_with_themselves():
    prompts = tiny_mdm.test_captions(40)
    seeds = range(tiny_mdm.scenes.FIRST_TEST_SEED, tiny_mdm.scenes.FIRST_TEST_SEED + 40)
    levels = pyramid(drawing.draw(scenes.scenes(seeds), 64), (4, 2, 1))
    high, middle, low = tiny_mdm.judge(levels, prompts)
    assert all(verdict.all for verdict in high)
    assert sum(verdict.all for verdict in middle) >= 37
    assert sum(verdict["colour"] is not False for verdict in low) >= 37
    assert tiny_mdm.apart(levels) == {"apart_32": 0, "apart_16": 0}


def test_resolutions_that_differ_are_apart():
    levels = [torch.zeros(1, 3, 4, 4), torch.full((1, 3, 2, 2), 0.5)]
    assert tiny_mdm.apart(levels) == {"apart_2": 0.5}


@pytest.mark.slow
def test_an_untrained_network_is_measured_sampled_and_exported(job, pipe, tmp_path, monkeypatch):
    monkeypatch.setattr(tiny_mdm, "NUM_STEPS", 2)
    found = tiny_mdm.measure(pipe, count=24)
    expected = {f"{name}_{size}" for size in tiny_mdm.SIZES for name in ("colour", "relation")}
    assert found.keys() == expected | {"all_64", "all_32", "apart_32", "apart_16"}
    assert found["all_64"] < 0.2
    assert job.sample(job.network).shape == (24, 3, 64, 64)
    job.export(job.network, tmp_path)
    assert matryoshka_folder.load(tmp_path).sizes == list(tiny_mdm.SIZES)
