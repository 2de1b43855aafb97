"""The recipe that goes on with the shipped Stable Diffusion."""

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.data import scenes
from edudiff.pipelines.text_to_image import load
from edudiff.training.recipes import tiny_sd, tiny_sd_more


def test_it_begins_with_the_shipped_weights():
    job = tiny_sd_more.prepare(0, num_steps=1)
    shipped = load(registry.path("tiny-sd")).unet
    assert all(map(torch.equal, job.network.parameters(), shipped.parameters()))


@pytest.mark.parametrize("seed", [0, 2])
def test_it_learns_from_scenes_that_the_training_before_did_not_have(seed, monkeypatch):
    drawn = []
    real = scenes.scenes
    monkeypatch.setattr(
        scenes, "scenes", lambda seeds, **options: drawn.extend(seeds) or real(seeds, **options)
    )
    tiny_sd_more.prepare(seed, num_steps=1)
    assert len(drawn) == tiny_sd.CHUNK
    assert tiny_sd.NUM_SCENES * (1 + seed) <= min(drawn)
    assert max(drawn) < tiny_sd.NUM_SCENES * (2 + seed)
