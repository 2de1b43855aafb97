import pytest
import torch
from torch import Generator

from edudiff.data import drawing, scenes
from edudiff.evaluation.outlines import clear_outlines


def pictures(*some):
    plain = scenes.Background("dark", "plain", 0)
    return drawing.draw([scenes.Scene(objects, None, plain) for objects in some], 64)


CIRCLE = scenes.Object("circle", "red", 0.3, 0.5, 0.2)
STAR = scenes.Object("star", "blue", 0.75, 0.5, 0.2)


def test_clean_drawings_have_clear_outlines_only():
    assert clear_outlines(pictures((CIRCLE,), (CIRCLE, STAR))) == [1, 1]


def test_a_torn_outline_is_not_clear():
    torn = pictures((CIRCLE, STAR))
    background = torn[0, :, 0, 0]
    torn[0, :, 24:40, 22:30] = background[:, None, None]  # a bite out of the circle
    assert clear_outlines(torn) == [0.5]


def test_what_was_asked_for_does_not_matter():
    other = scenes.Object("cross", "green", 0.3, 0.5, 0.2)
    assert clear_outlines(pictures((other,))) == [1]


def test_an_empty_picture_has_none():
    assert clear_outlines(pictures(())) == [0]


def test_noise_has_no_clear_outline():
    noise = torch.randn(2, 3, 64, 64, generator=Generator().manual_seed(0)).clamp(-1, 1)
    assert clear_outlines(noise) == [0, 0]


def test_other_than_square_pictures_are_refused():
    with pytest.raises(ValueError, match=r"pictures: expected shape \(b, 3, size, size\)"):
        clear_outlines(torch.zeros(1, 3, 64, 96))
