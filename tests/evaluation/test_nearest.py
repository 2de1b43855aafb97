"""The silhouette that fits best, also where the oracle gives no name."""

import pytest
import torch

from edudiff.data import drawing, new_shapes, scenes
from edudiff.evaluation import oracle
from edudiff.evaluation.nearest import nearest_shapes

SHAPES = (*scenes.SMALL_WORLD.shapes, "diamond")


def test_every_silhouette_is_nearest_to_itself():
    for shape in SHAPES:
        x = drawing.draw([new_shapes.lesson(k, shape) for k in range(4)], 64)
        assert nearest_shapes(x, SHAPES) == [shape] * 4


def test_a_dented_shape_that_the_oracle_does_not_name_still_has_a_nearest():
    x = drawing.draw([new_shapes.lesson(3, "square", smallest=0.3)], 64)
    background = x[:, :, 0, 0]
    (thing,) = new_shapes.lesson(3, "square", smallest=0.3).objects
    left, top = (int(64 * (c - 0.85 * thing.radius)) for c in (thing.x, thing.y))
    x[:, :, top : top + 12, left : left + 12] = background[:, :, None, None]
    assert oracle.look(x)[0].objects[0].shape is None
    assert nearest_shapes(x, SHAPES) == ["square"]


def test_an_empty_picture_is_like_nothing():
    assert nearest_shapes(torch.full((1, 3, 64, 64), 0.84), SHAPES) == [None]


def test_no_shapes_and_unknown_ones_are_refused():
    x = torch.zeros(1, 3, 64, 64)
    with pytest.raises(ValueError, match="shapes: expected"):
        nearest_shapes(x, ())
    with pytest.raises(ValueError, match="shape: expected"):
        nearest_shapes(x, ("dragon",))
