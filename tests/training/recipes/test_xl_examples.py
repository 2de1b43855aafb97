"""What SDXL's recipes learn from: batches of one bucket that say how pictures came to be."""

import pytest
import torch

from edudiff.checkpoints import registry
from edudiff.data import captions, scenes, tokens, views
from edudiff.pipelines import text_to_image
from edudiff.training.recipes import tiny_sdxl
from edudiff.training.recipes.xl_examples import LATER_SHARES, SHARES, Examples, latents_of

SEEDS = range(1000, 1040)


@pytest.fixture(scope="module")
def pipe():
    torch.manual_seed(0)
    return tiny_sdxl.make_pipe(text_to_image.load(registry.path("tiny-sd")))


@pytest.fixture(scope="module")
def examples(pipe):
    return Examples(pipe, SEEDS)


def batches(examples, number, size=8):
    return [examples.draw(size, torch.Generator().manual_seed(k)) for k in range(number)]


def test_the_buckets_share_out_the_scenes(examples):
    assert [len(bucket.latents) for bucket in examples.buckets] == [28, 6, 6]
    shapes = [tuple(bucket.latents.shape[2:]) for bucket in examples.buckets]
    assert shapes == [(8, 8), (8, 12), (12, 8)]


def test_a_batch_is_of_one_bucket_and_squares_are_most(examples):
    found = [tuple(batch["x0"].shape[2:]) for batch in batches(examples, 300, size=2)]
    assert found.count((8, 8)) / 300 == pytest.approx(SHARES[views.SQUARE], abs=0.08)
    assert set(found) == {(8, 8), (8, 12), (12, 8)}


def test_once_squares_are_known_wide_and_tall_pictures_come_oftener():
    assert sum(LATER_SHARES.values()) == sum(SHARES.values()) == pytest.approx(1)
    assert all(LATER_SHARES[size] > SHARES[size] for size in (views.WIDE, views.TALL))


def test_latents_captions_and_what_is_told_belong_to_one_scene(examples, pipe):
    bucket, seeds = examples.buckets[1], SEEDS[28:34]
    looks = [views.view(seed, views.WIDE) for seed in seeds]
    said = [captions.describe(scenes.scene(seed), seed) for seed in seeds]
    assert torch.equal(bucket.latents, latents_of(pipe.vae, seeds, looks))
    assert torch.equal(bucket.input_ids, tokens.tokenize(said, pipe.tokenizer_2))
    assert bucket.time_ids.tolist() == [list(look.time_ids) for look in looks]


def test_rows_of_a_batch_stay_together(examples):
    for batch in batches(examples, 20):
        size = tuple(8 * side for side in batch["x0"].shape[2:])
        assert (batch["time_ids"][:, 4:] == torch.tensor(size)).all()


def test_timesteps_lie_below_the_one_given_and_are_spread(pipe):
    few = Examples(pipe, range(8), below=250, shares={views.SQUARE: 1.0})
    t = few.draw(50, torch.Generator().manual_seed(0))["t"]
    assert torch.equal(t // 5, torch.arange(50))


def test_one_caption_in_ten_is_left_out(examples, pipe):
    ids = examples.draw(4000, torch.Generator().manual_seed(0))["input_ids"]
    left_out = (ids == tokens.unconditional(pipe.tokenizer_2)).all(dim=1)
    assert left_out.float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_so_many_of_each_batch_are_of_two_objects(examples, pipe):
    half = Examples(pipe, SEEDS, chosen=0.5)
    for bucket, same in zip(half.buckets, examples.buckets, strict=True):
        said = pipe.tokenizer_2.batch_decode(bucket.input_ids, skip_special_tokens=True)
        both = [k for k, one in enumerate(said) if len(captions.read(one).objects) == 2]
        assert bucket.two.tolist() == both
        assert same.latents.equal(bucket.latents)
    for batch in batches(half, 20):
        (bucket,) = (b for b in half.buckets if b.latents.shape[1:] == batch["x0"].shape[1:])
        rows = [(bucket.latents == x0).flatten(1).all(1).nonzero().item() for x0 in batch["x0"]]
        assert sum(row in bucket.two for row in rows) >= 4
        assert bucket.time_ids[rows].equal(batch["time_ids"])


def test_late_timesteps_are_more_often_asked_for(pipe):
    few = Examples(pipe, range(8), shares={views.SQUARE: 1.0}, lateness=0.5)
    t = few.draw(1000, torch.Generator().manual_seed(0))["t"]
    assert (t < 500).float().mean() == pytest.approx(0.25, abs=0.01)
    assert t.max() < 1000
