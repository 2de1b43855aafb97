"""The recipe of the shipped diffusion transformer: what it learns from, and how it is saved."""

import pytest
import torch

from edudiff.data import captions, scenes, tokens
from edudiff.diffusion.flow import straight_path
from edudiff.models.clip_text_bridge import to_transformers_with_projection
from edudiff.pipelines import flow_folder
from edudiff.training.recipes import tiny_clip, tiny_dit, tiny_sd


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(0)
    return tiny_dit.make_pipe(tiny_dit.make_model())


@pytest.fixture(scope="module")
def job():
    return tiny_dit.prepare(3, num_steps=2)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_is_about_as_large_as_the_u_net():
    sizes = [
        sum(weight.numel() for weight in model.parameters())
        for model in (tiny_dit.make_model(), tiny_sd.make_model())
    ]
    assert sizes[0] == pytest.approx(sizes[1], rel=0.1)


def test_both_text_encoders_are_the_shipped_clip_s(pipe):
    clip, tokenizer = tiny_clip.load_shipped()
    assert pipe.text_encoder is pipe.text_encoder_2
    ids = tokens.tokenize(["a red star", "a big blue ring"], tokenizer)
    expected = clip.encode_text(ids)
    torch.testing.assert_close(pipe.text_encoder(ids).text_embeds, expected)
    theirs = to_transformers_with_projection(pipe.text_encoder)
    torch.testing.assert_close(theirs(ids).text_embeds, expected, atol=1e-5, rtol=1e-4)


def test_a_batch_holds_latents_of_scenes_and_the_captions_of_the_same(job, pipe):
    batch = job.draw(16, seeded())
    no_text = tokens.unconditional(pipe.tokenizer)[0]
    kept = [row for row in range(16) if not torch.equal(batch["input_ids"][row], no_text)]
    assert kept
    seeds = torch.randint(2 * tiny_dit.CHUNK, (16,), generator=seeded()).tolist()
    said = [captions.describe(scenes.scene(seeds[row]), seeds[row]) for row in kept]
    assert torch.equal(batch["input_ids"][kept], tokens.tokenize(said, pipe.tokenizer))
    latents = tiny_sd.latents_of(pipe.vae, range(2 * tiny_dit.CHUNK))[seeds]
    assert torch.equal(batch["x0"], latents)


def test_there_is_a_time_in_each_equally_likely_part(job):
    s = job.draw(50, seeded())["s"].double()
    probability = torch.special.ndtr((s / (1 - s)).log())
    # float32 near the ends of the range costs a little.
    assert (probability * 50 - torch.arange(50) - 0.5).abs().max() < 0.501


def test_one_caption_in_ten_is_left_out(job, pipe):
    ids = job.draw(4000, seeded())["input_ids"]
    left_out = (ids == tokens.unconditional(pipe.tokenizer)).all(dim=1)
    assert left_out.float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_the_loss_is_zero_only_for_the_velocity_of_the_straight_line(job, monkeypatch):
    batch, asked = job.draw(8, seeded()), []
    right = batch["eps"] - batch["x0"]
    monkeypatch.setattr(job.network, "forward", lambda *given: asked.extend(given) or right)
    assert job.losses(batch)["loss"].item() == 0
    torch.testing.assert_close(asked[0], straight_path(batch["x0"], batch["eps"], batch["s"]))
    torch.testing.assert_close(asked[1], 1000 * batch["s"])


def test_every_parameter_learns_and_nothing_frozen_does(job):
    batch = job.draw(4, seeded())
    for step in range(6):  # gates and the last layer begin at zero, and open one after the other
        job.network.zero_grad()
        job.losses(batch)["loss"].backward()
        if step < 5:
            with torch.no_grad():
                for weight in job.network.parameters():
                    weight -= 0.01 * weight.grad.sign()
    idle = [name for name, weight in job.network.named_parameters() if not weight.grad.any()]
    # After the last block nobody reads the text any more, so its last questions lead nowhere.
    assert idle == [f"transformer_blocks.4.attn.add_q_proj.{part}" for part in ("weight", "bias")]
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_the_measures_are_shares(pipe):
    found = tiny_dit.measure(pipe, count=8)
    assert {"one", "held_out", "shape"} <= set(found)
    assert all(0 <= share <= 1 for share in found.values())


def test_samples_are_of_captions_for_tuning(pipe, monkeypatch):
    asked, blank = [], torch.zeros(1, 3, 2, 2)
    monkeypatch.setattr(
        tiny_dit, "draw", lambda _, prompts, generator: asked.extend(prompts) or blank
    )
    tiny_dit.draw_samples(pipe)
    assert asked == tiny_sd.test_captions(24, first_seed=tiny_sd.FIRST_TUNING_SEED)


def test_what_is_exported_draws_as_before_to_half_precision(tmp_path):
    job = tiny_dit.prepare(3, num_steps=1)
    for weight in job.network.parameters():
        torch.nn.init.normal_(weight, std=0.05)
    with torch.no_grad():
        job.export(job.network.eval(), tmp_path)
    before, back = tiny_dit.make_pipe(job.network), flow_folder.load(tmp_path)
    pictures = [tiny_dit.draw(each, ["a red star"], seeded()) for each in (before, back)]
    torch.testing.assert_close(*pictures, atol=0.05, rtol=0)
