import pytest
import torch

from edudiff.data import drawing, scenes
from edudiff.evaluation.memorised import familiarity, nearest_pictures

TRAINING = drawing.draw(scenes.scenes(range(60)), 64)
FRESH = drawing.draw(scenes.scenes(range(2**31, 2**31 + 20)), 64)


def test_a_copy_is_found_at_distance_zero():
    distance, index = nearest_pictures(TRAINING[[41, 7]], TRAINING)
    assert index.tolist() == [41, 7]
    torch.testing.assert_close(distance, torch.zeros(2))


def test_a_slightly_noisy_copy_is_found_too(generator):
    noisy = TRAINING[[3]] + 0.1 * torch.randn(1, 3, 64, 64, generator=generator)
    distance, index = nearest_pictures(noisy, TRAINING)
    assert index.item() == 3 and distance.item() < 0.05


def test_white_is_two_away_from_black():
    white = torch.ones(1, 3, 32, 32)
    distance, _ = nearest_pictures(white, -white)
    assert distance.item() == pytest.approx(2)


def test_familiarity_is_zero_of_copies_and_about_one_of_the_truth():
    assert familiarity(TRAINING[:9], FRESH, TRAINING) == 0
    assert familiarity(FRESH[:10], FRESH[10:], TRAINING) == pytest.approx(1, abs=0.35)


def test_it_refuses_nothing_and_other_sizes(refusal):
    with refusal("training: expected"):
        nearest_pictures(FRESH, TRAINING[:0])
    with refusal("of one size"):
        nearest_pictures(FRESH[:, :, :32, :32], TRAINING)
    with refusal("fresh: expected"):
        familiarity(FRESH, FRESH[:0], TRAINING)
