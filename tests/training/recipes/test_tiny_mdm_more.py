"""The recipe that goes on with the shipped weights of Matryoshka."""

import pytest

from edudiff.checkpoints import registry
from edudiff.training.recipes import tiny_mdm, tiny_mdm_more


@pytest.mark.parametrize("seed", [0, 1])
def test_it_takes_the_shipped_weights_and_scenes_not_seen_yet(seed, monkeypatch):
    asked, make_job = [], tiny_mdm.make_job

    def remember(pipe, seeds, num_steps, rate):
        asked.append(seeds)
        return make_job(pipe, seeds, num_steps, rate)

    monkeypatch.setattr(tiny_mdm, "make_job", remember)
    job = tiny_mdm_more.prepare(seed, num_steps=1)
    shipped = tiny_mdm_more.load(registry.path("tiny-mdm")).unet
    for ours, theirs in zip(job.network.parameters(), shipped.parameters(), strict=True):
        assert ours.equal(theirs)
    begin = tiny_mdm.NUM_SCENES * (1 + seed)
    assert asked == [range(begin, begin + tiny_mdm.CHUNK)]
