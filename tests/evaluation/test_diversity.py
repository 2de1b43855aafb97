import pytest
import torch

from edudiff.evaluation.diversity import vendi_score


def test_equal_points_count_for_one():
    assert vendi_score(torch.ones(7, 3)) == pytest.approx(1)


def test_points_at_right_angles_all_count():
    assert vendi_score(3 * torch.eye(5)) == pytest.approx(5)


def test_two_groups_of_equal_points_are_two_different_things():
    assert vendi_score(torch.eye(2).repeat(4, 1)) == pytest.approx(2)


def test_unequal_groups_count_for_the_exponential_of_their_entropy():
    shares = torch.tensor([0.75, 0.25], dtype=torch.float64)
    expected = (-(shares * shares.log()).sum()).exp().item()
    rows = torch.eye(2)[[0, 0, 0, 1]]
    assert vendi_score(rows) == pytest.approx(expected)


def test_lengths_do_not_matter(generator):
    f = torch.randn(6, 4, generator=generator)
    assert vendi_score(f) == pytest.approx(vendi_score(f * torch.arange(1.0, 7)[:, None]))


def test_noise_is_more_diverse_than_anything(generator):
    noise = torch.randn(8, 1000, generator=generator)
    assert vendi_score(noise) > 7.9


def test_what_has_no_direction_is_refused():
    with pytest.raises(ValueError, match="length 0"):
        vendi_score(torch.zeros(2, 3))
    with pytest.raises(ValueError, match="features: expected"):
        vendi_score(torch.zeros(0, 3))
