"""The recipes that go on with shipped weights: Matryoshka and the diffusion transformer."""

import pytest

from edudiff.checkpoints import registry
from edudiff.training.recipes import tiny_dit, tiny_dit_more, tiny_mdm, tiny_mdm_more

CASES = [
    (tiny_dit_more, tiny_dit, "tiny-dit", "transformer"),
    (tiny_mdm_more, tiny_mdm, "tiny-mdm", "unet"),
]


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("more, first, name, part", CASES)
def test_it_takes_the_shipped_weights_and_scenes_not_seen_yet(
    more, first, name, part, seed, monkeypatch
):
    asked, make_job = [], first.make_job

    def remember(pipe, seeds, num_steps, rate):
        asked.append((pipe, seeds))
        return make_job(pipe, seeds, num_steps, rate)

    monkeypatch.setattr(first, "make_job", remember)
    job = more.prepare(seed, num_steps=1)
    shipped = more.load(registry.path(name))
    theirs = getattr(shipped, part).parameters()
    for ours, weight in zip(job.network.parameters(), theirs, strict=True):
        assert ours.equal(weight)
    (_, seeds), *_ = asked
    begin = first.NUM_SCENES * (1 + seed)
    assert seeds == range(begin, begin + first.CHUNK)
