"""A linear layer that is told the same in other words."""

import pytest
import torch
from torch import Generator, nn

from edudiff.models.retelling import least_squares, retell


def numbers(*shape, seed=0):
    return torch.randn(*shape, generator=Generator().manual_seed(seed))


def test_least_squares_finds_a_linear_map_and_its_constant():
    x, matrix, constant = numbers(500, 6), numbers(4, 6, seed=1), numbers(4, seed=2)
    found, offset = least_squares(x, x @ matrix.mT + constant)
    torch.testing.assert_close(found, matrix, atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(offset, constant, atol=1e-3, rtol=1e-3)


def test_a_retold_layer_answers_as_before():
    layer, before = nn.Linear(6, 3), numbers(500, 6)
    expected = layer(before)
    now = before @ numbers(6, 6, seed=1).mT - 2
    assert (layer(now) - expected).abs().max() > 0.5
    retell(layer, before, now)
    torch.testing.assert_close(layer(now), expected, atol=2e-3, rtol=1e-3)


def test_what_is_not_said_any_more_becomes_its_mean():
    layer, before = nn.Linear(2, 3), numbers(500, 2)
    expected = layer(before).mean(0)
    retell(layer, before, torch.zeros(500, 2))
    torch.testing.assert_close(layer(torch.zeros(2)), expected, atol=1e-5, rtol=1e-5)


def test_other_widths_are_refused():
    with pytest.raises(ValueError, match="now: expected 6 channels, got 5"):
        retell(nn.Linear(6, 3), numbers(9, 6), numbers(9, 5))
