"""The recipe of the shipped DALL·E: what it learns from, and how it is saved."""

import pytest
import torch

from edudiff.data import captions, drawing, scenes, tokens
from edudiff.models import vq_bridge
from edudiff.models.dalle import next_token_losses
from edudiff.pipelines import dalle_folder
from edudiff.training.recipes import tiny_dalle, tiny_dalle_vq, tiny_sd, tiny_sd_vae


@pytest.fixture(scope="module")
def vqvae():
    """The codebook's recipe before its first step, with random codes."""
    torch.manual_seed(0)
    model = vq_bridge.from_autoencoder(tiny_sd_vae.load_shipped().float(), 512)
    torch.nn.init.normal_(model.quantize.embedding.weight)
    return model


@pytest.fixture(scope="module")
def pipe(vqvae):
    torch.manual_seed(0)
    return tiny_dalle.make_pipe(vqvae)


@pytest.fixture(scope="module")
def job(vqvae):
    patch = pytest.MonkeyPatch()
    patch.setattr(tiny_dalle_vq, "load_shipped", lambda: vqvae)
    yield tiny_dalle.prepare(3, num_steps=2)
    patch.undo()


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_has_two_to_four_million_parameters(pipe):
    assert 2e6 < sum(weight.numel() for weight in pipe.transformer.parameters()) < 4e6


def test_a_batch_holds_codes_of_scenes_and_the_captions_of_the_same(job, pipe):
    batch = job.draw(16, seeded())
    no_text = tokens.unconditional(pipe.tokenizer)[0]
    kept = [row for row in range(16) if not torch.equal(batch["input_ids"][row], no_text)]
    assert kept
    seeds = torch.randint(2 * tiny_dalle.CHUNK, (16,), generator=seeded()).tolist()
    said = [captions.describe(scenes.scene(seeds[row]), seeds[row]) for row in kept]
    assert torch.equal(batch["input_ids"][kept], tokens.tokenize(said, pipe.tokenizer))
    pictures = drawing.draw([scenes.scene(seed) for seed in seeds], tiny_dalle.SIZE)
    with torch.no_grad():
        codes = pipe.vqvae.encode(pictures).indices.flatten(1)
    same = (codes == batch["codes"]).float().mean()
    assert same > 0.99  # all but latents half-way between two codes


def test_words_are_counted_up_to_the_first_end():
    ids = torch.tensor([[1, 5, 9, 9, 9], [1, 9, 9, 9, 9], [1, 5, 6, 7, 9]])
    expected = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 0, 0, 0], [1, 1, 1, 1, 1]])
    assert torch.equal(tiny_dalle.is_word(ids, 9), expected)


def test_one_caption_in_ten_is_left_out(job, pipe):
    ids = job.draw(4000, seeded())["input_ids"]
    left_out = (ids == tokens.unconditional(pipe.tokenizer)).all(dim=1)
    assert left_out.float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_the_losses_are_those_of_the_batch(job):
    batch = job.draw(4, seeded())
    found, expected = job.losses(batch), next_token_losses(job.network, **batch)
    assert all(torch.equal(found[name], expected[name]) for name in ("loss", "text", "image"))


def test_every_parameter_takes_part_and_nothing_frozen_does(job):
    job.network.zero_grad()
    job.losses(job.draw(4, seeded()))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_the_measures_are_shares(pipe):
    found = tiny_dalle.measure(pipe, count=8)
    assert {"one", "held_out", "shape"} <= set(found)
    assert all(0 <= share <= 1 for share in found.values())


def test_samples_are_of_captions_for_tuning(pipe, monkeypatch):
    asked, blank = [], torch.zeros(1, 3, 2, 2)
    monkeypatch.setattr(
        tiny_dalle, "draw", lambda _, prompts, generator: asked.extend(prompts) or blank
    )
    tiny_dalle.draw_samples(pipe)
    assert asked == tiny_sd.test_captions(24, first_seed=tiny_sd.FIRST_TUNING_SEED)


def test_what_is_exported_knows_as_much_as_before_to_half_precision(job, tmp_path):
    with torch.no_grad():
        job.export(job.network.eval(), tmp_path)
        back, batch = dalle_folder.load(tmp_path), job.draw(8, seeded())
        found = next_token_losses(back.transformer, **batch)["loss"]
        torch.testing.assert_close(found, job.losses(batch)["loss"], atol=1e-3, rtol=0)
