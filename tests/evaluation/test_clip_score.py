import pytest
import torch

from edudiff.data import captions, drawing, scenes
from edudiff.evaluation.clip_score import clip_score, fit_features
from edudiff.evaluation.matching import embed_captions, embed_pictures
from edudiff.models.clip import similarity
from edudiff.training.recipes import tiny_clip

SEEDS = range(2**31, 2**31 + 48)
SCENES = scenes.scenes(SEEDS)
SAID = [captions.describe(scene, seed) for scene, seed in zip(SCENES, SEEDS, strict=True)]
PICTURES = drawing.draw(SCENES, 64)


@pytest.fixture(scope="module")
def clip():
    return tiny_clip.load_shipped()


def test_it_is_the_cosine_stretched_and_cut_at_zero(clip):
    model, tokenizer = clip
    table = similarity(embed_pictures(model, PICTURES), embed_captions(model, tokenizer, SAID))
    expected = 2.5 * table.diagonal().clamp(min=0)
    torch.testing.assert_close(clip_score(model, tokenizer, PICTURES, SAID), expected)


def test_captions_of_other_pictures_score_less(clip):
    own = clip_score(*clip, PICTURES, SAID)
    others = clip_score(*clip, PICTURES, SAID[1:] + SAID[:1])
    assert own.mean() > others.mean() + 0.5
    assert others.min() >= 0


def test_every_picture_needs_a_caption(clip):
    with pytest.raises(ValueError, match="captions: expected 48"):
        clip_score(*clip, PICTURES, SAID[:3])


def test_features_of_the_true_pictures_have_mean_zero_and_unit_covariance(clip):
    features = fit_features(clip[0], PICTURES, 6)
    found = features(PICTURES)
    torch.testing.assert_close(found.mean(0), torch.zeros(6), atol=1e-4, rtol=0)
    torch.testing.assert_close(found.T.cov(), torch.eye(6), atol=1e-3, rtol=0)


def test_the_first_features_do_not_depend_on_how_many_are_asked_for(clip):
    few, many = (fit_features(clip[0], PICTURES, number)(PICTURES) for number in (2, 5))
    torch.testing.assert_close(few.abs(), many[:, :2].abs(), atol=1e-4, rtol=1e-4)


def test_features_need_more_pictures_than_there_are_features(clip):
    with pytest.raises(ValueError, match="true: expected"):
        fit_features(clip[0], PICTURES[:4], 4)
    with pytest.raises(ValueError, match="number: expected"):
        fit_features(clip[0], PICTURES, 0)
