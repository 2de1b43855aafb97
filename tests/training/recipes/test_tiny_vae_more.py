"""The recipe that goes on with the shipped autoencoder, on objects that lie on others."""

import pytest
import torch

from edudiff.data import drawing, scenes
from edudiff.training.recipes import tiny_vae, tiny_vae_more


@pytest.fixture
def job(monkeypatch):
    monkeypatch.setattr(tiny_vae_more, "NUM_SCENES", 200)
    return tiny_vae_more.prepare(0, num_steps=2)


def seeded() -> torch.Generator:
    return torch.Generator().manual_seed(5)


def test_it_begins_with_the_shipped_weights(job):
    for ours, theirs in zip(
        job.network.parameters(), tiny_vae.load_shipped().parameters(), strict=True
    ):
        assert torch.equal(ours, theirs.float())


@pytest.mark.parametrize("batch_size", [1, 7, 8])
def test_half_of_a_batch_has_one_object_on_another(job, batch_size):
    batch = job.draw(batch_size, seeded())
    assert batch["pictures"].shape == (batch_size, 3, 64, 64)
    harder = [s for s in scenes.scenes(range(200)) if s.relation in ("inside", "in front of")]
    known = drawing.draw(harder, 64)
    for row, picture in enumerate(batch["pictures"]):
        on_another = bool((known == picture).flatten(1).all(dim=1).any())
        assert on_another == (row < batch_size // 2)


def test_its_loss_is_that_of_the_recipe_before_with_objects_counted_more(job):
    batch = job.draw(4, seeded())
    expected = tiny_vae.loss_terms(job.network, batch, tiny_vae.OBJECT_WEIGHT)
    assert torch.equal(job.losses(batch)["loss"], expected["loss"])
    parts = expected["reconstruction"] + tiny_vae.KL_WEIGHT * expected["kl"]
    torch.testing.assert_close(expected["loss"], parts)
