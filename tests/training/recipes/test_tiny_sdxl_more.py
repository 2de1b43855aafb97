"""Going on with the shipped Stable Diffusion XL."""

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.pipelines import text_to_image
from edudiff.training.recipes import tiny_sdxl, tiny_sdxl_more
from edudiff.training.recipes.xl_examples import LATER_SHARES


@pytest.fixture
def shipped(monkeypatch):
    """A pipeline in the place of the shipped one."""
    torch.manual_seed(0)
    pipe = tiny_sdxl.make_pipe(text_to_image.load(registry.path("tiny-sd")))
    monkeypatch.setattr(tiny_sdxl_more.registry, "path", lambda name: name)
    asked = []
    monkeypatch.setattr(tiny_sdxl_more, "load", lambda name: asked.append(name) or pipe)
    return pipe, asked


def test_it_starts_from_the_shipped_weights_on_scenes_not_seen_yet(shipped, monkeypatch):
    seen, make_job = {}, tiny_sdxl.make_job

    def remember(pipe, seeds, num_steps, rate, *, shares):
        seen.update(pipe=pipe, seeds=seeds, shares=shares)
        return make_job(pipe, seeds, num_steps, rate, shares=shares)

    monkeypatch.setattr(tiny_sdxl, "make_job", remember)
    for seed in (0, 4):
        job = tiny_sdxl_more.prepare(seed, num_steps=1)
        assert job.network["unet"] is shipped[0].unet
        assert seen["seeds"] == tiny_sdxl.training_seeds(1 + seed, 1)
        assert not set(seen["seeds"]) & set(tiny_sdxl.training_seeds(0, 10**6))
    assert shipped[1] == ["tiny-sdxl", "tiny-sdxl"]
    assert seen["shares"] == LATER_SHARES
