"""Going on with the shipped refiner."""

from edudiff.checkpoints import registry
from edudiff.training.recipes import tiny_sdxl_refiner, tiny_sdxl_refiner_more


def test_it_starts_from_the_shipped_weights_on_scenes_not_seen_yet(monkeypatch):
    seen, make_job = [], tiny_sdxl_refiner.make_job

    def remember(base, refiner, seeds, num_steps, rate):
        seen.append((base, refiner, seeds))
        return make_job(base, refiner, seeds, num_steps, rate)

    monkeypatch.setattr(tiny_sdxl_refiner, "make_job", remember)
    for seed in (0, 4):
        job = tiny_sdxl_refiner_more.prepare(seed, num_steps=1)
        base, refiner, seeds = seen[-1]
        assert job.network is refiner.unet
        assert refiner.scored and not base.scored
        assert seeds == tiny_sdxl_refiner.training_seeds(1 + seed, 1)
        assert not set(seeds) & set(tiny_sdxl_refiner.training_seeds(0, 10**6))


def test_it_begins_with_what_is_shipped():
    job = tiny_sdxl_refiner_more.prepare(0, num_steps=1)
    shipped = tiny_sdxl_refiner_more.load(registry.path("tiny-sdxl-refiner")).unet.state_dict()
    begun = job.network.state_dict()
    assert begun.keys() == shipped.keys()
    assert all(begun[name].equal(weight) for name, weight in shipped.items())
