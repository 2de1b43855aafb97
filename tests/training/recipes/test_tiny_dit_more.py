"""The recipe that goes on with the shipped weights of the diffusion transformer."""

import pytest

from edudiff.checkpoints import registry
from edudiff.training.recipes import tiny_dit, tiny_dit_more


@pytest.mark.parametrize("seed", [0, 1])
def test_it_takes_the_shipped_weights_and_scenes_not_seen_yet(seed, monkeypatch):
    asked, make_job = [], tiny_dit.make_job

    def remember(pipe, seeds, num_steps, rate):
        asked.append(seeds)
        return make_job(pipe, seeds, num_steps, rate)

    monkeypatch.setattr(tiny_dit, "make_job", remember)
    job = tiny_dit_more.prepare(seed, num_steps=1)
    shipped = tiny_dit_more.load(registry.path("tiny-dit")).transformer
    for ours, theirs in zip(job.network.parameters(), shipped.parameters(), strict=True):
        assert ours.equal(theirs)
    begin = tiny_dit.NUM_SCENES * (1 + seed)
    assert asked == [range(begin, begin + tiny_dit.CHUNK)]
