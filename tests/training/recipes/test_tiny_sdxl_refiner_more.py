"""Going on with the shipped refiner."""

from edudiff.checkpoints import registry
from edudiff.training.recipes import tiny_sdxl_refiner, tiny_sdxl_refiner_more
from edudiff.training.recipes.xl_examples import LATER_SHARES


def test_it_starts_from_the_shipped_weights_on_scenes_not_seen_yet(monkeypatch):
    seen, make_job = [], tiny_sdxl_refiner.make_job

    def remember(base, refiner, seeds, num_steps, rate, *, shares):
        seen.append((base, refiner, seeds, shares))
        return make_job(base, refiner, seeds, num_steps, rate, shares=shares)

    monkeypatch.setattr(tiny_sdxl_refiner, "make_job", remember)
    for seed in (0, 4):
        job = tiny_sdxl_refiner_more.prepare(seed, num_steps=1)
        base, refiner, seeds, shares = seen[-1]
        assert job.network is refiner.unet
        assert refiner.scored and not base.scored
        assert seeds == tiny_sdxl_refiner.training_seeds(1 + seed, 1)
        assert not set(seeds) & set(tiny_sdxl_refiner.training_seeds(0, 10**6))
        assert shares == LATER_SHARES


def test_it_begins_with_what_is_shipped():
    job = tiny_sdxl_refiner_more.prepare(0, num_steps=1)
    shipped = tiny_sdxl_refiner_more.load(registry.path("tiny-sdxl-refiner")).unet.state_dict()
    begun = job.network.state_dict()
    assert begun.keys() == shipped.keys()
    assert all(begun[name].equal(weight) for name, weight in shipped.items())
