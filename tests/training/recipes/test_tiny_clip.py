"""The recipe of the shipped CLIP: what it trains on, and what it is asked."""

import pytest
import torch

from edudiff.data import captions, scenes, tokens
from edudiff.evaluation.matching import retrieval
from edudiff.models.clip import contrastive_loss
from edudiff.training.recipes import tiny_clip


@pytest.fixture(scope="module")
def tokenizer():
    return tiny_clip.make_tokenizer()


@pytest.fixture
def prepared(tokenizer, monkeypatch):
    """`prepare`, with the tokeniser learnt only once."""
    monkeypatch.setattr(tiny_clip, "make_tokenizer", lambda: tokenizer)
    return lambda: tiny_clip.prepare(3, num_steps=2)


@pytest.fixture
def job(prepared):
    return prepared()


def longest() -> str:
    """Every part of a caption, each in its longest wording."""

    def wordy(phrases) -> str:
        ways = (way for group in phrases.values() for way in group)
        return max(ways, key=lambda way: len(way.split()))

    thing = f"a {wordy(captions.SIZES)} purple triangle"
    background = f"on a {wordy(captions.TONES)} {wordy(captions.PATTERNS)} background"
    opening = max(captions.OPENINGS, key=lambda words: len(words.split()))
    return f"{opening} {thing} {wordy(captions.RELATIONS)} {thing}, {background}"


def test_the_tokeniser_is_the_same_every_time(tokenizer):
    assert tiny_clip.make_tokenizer().get_vocab() == tokenizer.get_vocab()


def test_every_word_of_the_small_world_is_one_token(tokenizer):
    world = scenes.SMALL_WORLD
    strangers = captions.OUTLINES.keys() - set(world.shapes)
    # "one" and "the" are read but never written.
    for word in captions.VOCABULARY - strangers - {"one", "the"}:
        assert tokenizer.tokenize(word) == [f"{word}</w>"]


def test_the_longest_caption_fits_between_beginning_and_end(tokenizer):
    said = longest()
    assert captions.read(said).relation is not None
    (ids,) = tokens.tokenize([said], tokenizer)
    assert ids.shape == (tiny_clip.CONTEXT_LENGTH,)


def test_test_captions_all_differ():
    pairs = tiny_clip.test_pairs(300)
    said = {captions.describe(scene, seed) for scene, seed in pairs}
    assert len(pairs) == len(said) == 300


def test_test_scenes_belong_to_their_seeds_and_no_training_draws_those():
    for scene, seed in tiny_clip.test_pairs(50):
        assert seed >= tiny_clip.FIRST_TEST_SEED
        assert scene == scenes.scene(seed)


def test_fewer_test_pairs_are_the_first_of_more():
    assert tiny_clip.test_pairs(60)[:40] == tiny_clip.test_pairs(40)


def test_training_draws_below_the_test_seeds(job, monkeypatch):
    drawn = []
    real = scenes.scenes
    monkeypatch.setattr(scenes, "scenes", lambda seeds: drawn.extend(seeds) or real(seeds))
    job.draw(32, torch.Generator().manual_seed(0))
    assert len(drawn) == 32
    assert max(drawn) < tiny_clip.FIRST_TEST_SEED


def test_a_batch_is_repeatable_and_its_captions_are_of_its_pictures(job, tokenizer):
    first, again = (job.draw(4, torch.Generator().manual_seed(5)) for _ in range(2))
    assert all(torch.equal(first[name], again[name]) for name in first)
    seeds = torch.randint(
        tiny_clip.FIRST_TEST_SEED, (4,), generator=torch.Generator().manual_seed(5)
    ).tolist()
    said = [captions.describe(scenes.scene(seed), seed) for seed in seeds]
    assert torch.equal(first["input_ids"], tokens.tokenize(said, tokenizer))


def test_the_same_seed_makes_the_same_network(prepared):
    first, again = (prepared().network for _ in range(2))
    assert all(map(torch.equal, first.parameters(), again.parameters()))


def test_two_steps_change_every_weight_and_stay_finite(job):
    before = [parameter.clone() for parameter in job.network.parameters()]
    for step in range(2):
        loss = job.losses(job.draw(8, torch.Generator().manual_seed(step)))["loss"]
        assert loss.isfinite()
        job.optimizer.zero_grad()
        loss.backward()
        job.optimizer.step()
        job.scheduler.step()
    after = list(job.network.parameters())
    assert all(parameter.isfinite().all() for parameter in after)
    assert not any(map(torch.equal, before, after))


def test_every_parameter_takes_part(job):
    batch = job.draw(4, torch.Generator().manual_seed(0))
    job.network.zero_grad()
    job.losses(batch)["loss"].backward()
    untouched = [
        name for name, parameter in job.network.named_parameters() if parameter.grad is None
    ]
    assert untouched == []


def test_the_measures_are_five_shares(job, tokenizer):
    found = tiny_clip.measure(job.network.eval(), tokenizer, count=64)
    assert list(found) == ["retrieval", "colour", "shape", "binding", "relation"]
    assert all(0 <= share <= 1 for share in found.values())


def test_what_is_exported_loads_and_answers_as_before(job, tokenizer, tmp_path):
    from transformers import CLIPModel, CLIPTokenizer

    from edudiff.data import drawing
    from edudiff.models.clip_bridge import from_transformers

    job.export(job.network.half().float().eval(), tmp_path)
    model = from_transformers(CLIPModel.from_pretrained(tmp_path).float())
    loaded = CLIPTokenizer.from_pretrained(tmp_path)
    pairs = tiny_clip.test_pairs(8)
    said = [captions.describe(scene, seed) for scene, seed in pairs]
    assert torch.equal(tokens.tokenize(said, loaded), tokens.tokenize(said, tokenizer))
    pictures = drawing.draw([scene for scene, _ in pairs], tiny_clip.SIZE)
    before = retrieval(job.network.eval(), tokenizer, pictures, said)
    assert retrieval(model, loaded, pictures, said) == before


def test_a_wrong_caption_is_wrong_in_one_shape_alone():
    for seed in range(200):
        scene = scenes.scene(seed)
        changed = tiny_clip.other_shape(scene, seed)
        pairs = zip(scene.objects, changed.objects, strict=True)
        differing = [(one, other) for one, other in pairs if one != other]
        assert len(differing) == 1
        one, other = differing[0]
        assert (one.colour, one.x, one.y, one.radius) == (
            other.colour,
            other.x,
            other.y,
            other.radius,
        )
        assert not scenes.is_held_out(changed)
        assert changed.relation == scene.relation


def test_wrong_captions_count_in_the_second_cycle_only(job):
    batch = job.draw(8, torch.Generator().manual_seed(0))
    others = job.draw(8, torch.Generator().manual_seed(1))["wrong_ids"]
    exchanged = batch | {"wrong_ids": others}
    assert torch.equal(job.losses(batch)["loss"], job.losses(exchanged)["loss"])
    job.optimizer.step()
    job.scheduler.step()
    assert not torch.equal(job.losses(batch)["loss"], job.losses(exchanged)["loss"])
    images, texts, scale = job.network(batch["pictures"], batch["input_ids"])
    assert job.losses(batch)["loss"] > contrastive_loss(images, texts, scale)
