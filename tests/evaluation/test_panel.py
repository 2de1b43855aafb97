import pytest
import torch

from edudiff.data import captions, drawing, scenes
from edudiff.evaluation import panel
from edudiff.training.recipes import tiny_clip

SEEDS = range(2**31, 2**31 + 40)
SCENES = scenes.scenes(SEEDS)
PROMPTS = [captions.describe(scene, seed) for scene, seed in zip(SCENES, SEEDS, strict=True)]


@pytest.fixture(scope="module")
def judges():
    return panel.make_panel(*tiny_clip.load_shipped(), num_true=300, num_training=100)


@pytest.fixture(scope="module")
def found(judges):
    """What is said of the truth."""
    return panel.measures(judges, drawing.draw(SCENES, 64), PROMPTS)


def test_the_truth_is_right_near_and_new(found):
    assert sum(found["right"]) >= 0.9 * len(PROMPTS)
    right, asked = found["colour"]
    assert right == asked
    assert found["clip_score"] > 1.5
    assert 0.5 < found["familiarity"] < 1.5


def test_the_truth_with_other_captions_is_as_near_and_wrong(judges, found):
    others = panel.measures(judges, drawing.draw(SCENES, 64).roll(1, 0), PROMPTS)
    assert others["frechet"] == pytest.approx(found["frechet"], rel=1e-3)
    assert sum(others["right"]) <= 4 and others["clip_score"] < found["clip_score"] / 2


def test_copies_are_seen_to_be_copies(judges):
    copies = panel.measures(judges, judges.training[:40], PROMPTS)
    assert copies["familiarity"] == 0


def test_one_and_two_are_all_the_right_ones_of_their_kind(found):
    claims = [captions.read(prompt) for prompt in PROMPTS]
    assert found["one"][1] == sum(len(claim.objects) == 1 for claim in claims)
    assert found["two"][1] == sum(bool(claim.relation) for claim in claims)


def test_the_same_picture_again_and_again_is_no_diversity(judges):
    same = drawing.draw(SCENES[:1], 64).repeat(5, 1, 1, 1)
    several = drawing.draw(SCENES[:5], 64)
    assert panel.diversity(judges, [same]) == pytest.approx(1, abs=1e-3)
    assert panel.diversity(judges, [several]) > 2
    mean = panel.diversity(judges, [same, several])
    assert mean == pytest.approx((1 + panel.diversity(judges, [several])) / 2, abs=1e-3)


def test_a_true_group_shows_what_was_asked_for():
    pictures = panel.true_group("circle", "red", 3)
    assert pictures.shape == (3, 3, 64, 64)
    verdicts = panel.oracle.judge(pictures, ["a red circle"] * 3)
    assert all(verdict.all for verdict in verdicts)
    assert not torch.equal(pictures[0], pictures[1])


def test_no_training_picture_is_refused():
    with pytest.raises(ValueError, match="num_training: expected"):
        panel.make_panel(*tiny_clip.load_shipped(), num_true=40, num_training=0)
