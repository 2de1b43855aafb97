"""The recipe in which the text encoder of the shipped Stable Diffusion learns too."""

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.data import captions
from edudiff.pipelines.text_to_image import load
from edudiff.training.recipes import tiny_sd, tiny_sd_words


@pytest.fixture(scope="module")
def job():
    return tiny_sd_words.prepare(0, num_steps=8)


def seeded(seed: int = 5) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_it_begins_with_the_shipped_weights(job):
    shipped = load(registry.path("tiny-sd"))
    for name in ("unet", "text_encoder"):
        theirs = getattr(shipped, name).float().parameters()
        assert all(map(torch.equal, job.network[name].parameters(), theirs))


def test_words_learn_and_pictures_do_not(job):
    job.network.zero_grad()
    job.losses(job.draw(8, seeded()))["loss"].backward()
    assert [n for n, weight in job.network.named_parameters() if weight.grad is None] == []
    for network in job.frozen:
        assert all(weight.grad is None for weight in network.parameters())


def test_the_first_half_says_where_more_often_and_the_second_has_more_objects(job):
    tokenizer = load(registry.path("tiny-sd")).tokenizer
    found = []
    for step in (0, 4):
        job.scheduler.last_epoch = step
        ids = job.draw(400, seeded())["input_ids"]
        said = [s for s in tokenizer.batch_decode(ids, skip_special_tokens=True) if s]
        claims = [captions.read(caption) for caption in said]
        where = sum(claim.place is not None for claim in claims) / 400
        found.append((where, sum(len(claim.objects) == 2 for claim in claims) / 400))
    job.scheduler.last_epoch = 0
    by_chance = 0.9 * (1 - tiny_sd_words.CHOSEN)  # one caption in nine says where, 0.6 have two
    chosen = tiny_sd_words.CHOSEN
    assert found[0] == pytest.approx((chosen + 0.11 * by_chance, 0.6 * by_chance), abs=0.06)
    assert found[1] == pytest.approx((0.11 * by_chance, chosen + 0.6 * by_chance), abs=0.06)


def test_each_latent_keeps_its_own_caption(job):
    pipe = load(registry.path("tiny-sd"))
    first = tiny_sd.NUM_SCENES * 3
    examples = tiny_sd_words.Examples(pipe, range(first, first + 64))
    batch = examples.draw_choosing(examples.two, 32, seeded())
    for x0, ids in zip(batch["x0"], batch["input_ids"], strict=True):
        row = int((examples.latents == x0).flatten(1).all(dim=1).int().argmax())
        assert torch.equal(ids, examples.input_ids[row]) or torch.equal(ids, examples.no_text[0])


def test_timesteps_come_later_than_evenly_and_stay_in_the_table(job):
    t = job.draw(1000, seeded())["t"]
    assert t.dtype == torch.int64 and t.min() >= 0 and t.max() < 1000
    middle = 1000 * 0.5**tiny_sd_words.LATENESS
    assert t.float().median().item() == pytest.approx(middle, abs=5)


def test_the_even_loss_weighs_each_part_of_the_table_alike(job, monkeypatch):
    batch = job.draw(4000, seeded())
    early = (batch["t"] < 300).float()
    monkeypatch.setattr(tiny_sd, "denoising_errors", lambda *_: early)
    found = job.losses(batch)
    assert found["even"].item() == pytest.approx(0.3, abs=0.01)
    assert found["loss"].item() == pytest.approx(0.3 ** (1 / tiny_sd_words.LATENESS), abs=0.01)


def test_what_is_exported_has_both(job, tmp_path):
    with torch.no_grad():
        for weight in job.network.parameters():
            weight.add_(0.01)
        job.export(job.network.eval(), tmp_path)
    after, before = load(tmp_path), load(registry.path("tiny-sd"))
    for name in ("unet", "text_encoder"):
        moved = [
            (a.float() - b.float()).mean().item()
            for a, b in zip(
                getattr(after, name).parameters(), getattr(before, name).parameters(), strict=True
            )
        ]
        assert moved == pytest.approx([0.01] * len(moved), abs=0.002)
