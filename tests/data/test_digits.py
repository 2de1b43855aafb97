import numpy as np
import torch
from sklearn.datasets import load_digits

from edudiff.data import digits


def test_there_are_1797_pictures_of_one_channel_and_8_by_8_pixels():
    assert digits.load().images.shape == (1797, 1, 8, 8)


def test_there_is_one_label_for_each_picture():
    data = digits.load()
    assert len(data) == len(data.labels) == 1797


def test_the_pictures_fill_the_range_from_minus_one_to_one():
    images = digits.load().images
    assert (images.min().item(), images.max().item()) == (-1.0, 1.0)


def test_the_background_is_minus_one_and_not_ink():
    corners = digits.load().images[:, 0, :, 0]
    assert (corners == -1).float().mean() > 0.9


def test_the_pictures_are_float32_and_the_labels_int64():
    data = digits.load()
    assert (data.images.dtype, data.labels.dtype) == (torch.float32, torch.int64)


def test_the_labels_are_the_ten_digits():
    assert digits.load().labels.unique().tolist() == list(range(10))


def test_no_ink_count_is_lost_in_scaling():
    counts = ((digits.load().images[:, 0] + 1) * 8).numpy()
    np.testing.assert_array_equal(counts, load_digits().images)


def test_the_order_is_scikit_learns():
    np.testing.assert_array_equal(digits.load().labels.numpy(), load_digits().target)
