import json

import numpy as np
import pytest
import torch

from edudiff.exercises import plain


@pytest.mark.parametrize(
    "value",
    [
        1,
        0.1,
        True,
        float("inf"),
        None,
        ...,
        (1.0, [2, torch.ones(2)]),
        torch.linspace(0, 1, 7),
        torch.tensor([1 / 3, 2 / 7], dtype=torch.float64),
        torch.tensor(3, dtype=torch.uint8),
        torch.zeros(0, 4),
        torch.tensor([True]),
    ],
    ids=str,
)
def test_a_value_comes_back_through_json_bit_for_bit(value):
    back = plain.decode(json.loads(json.dumps(plain.encode(value))))
    assert type(back) is type(value)
    torch.testing.assert_close(torch_parts(back), torch_parts(value), rtol=0, atol=0)


def torch_parts(value):
    if isinstance(value, list | tuple):
        return [torch_parts(item) for item in value]
    return None if value in (None, ...) else value if torch.is_tensor(value) else float(value)


def test_not_a_number_survives():
    back = plain.decode(json.loads(json.dumps(plain.encode(torch.tensor([float("nan")])))))
    assert back.isnan().all()


@pytest.mark.parametrize("value", [np.float32(0.5), np.array(0.5), np.array([[1.0, 2.0]])])
def test_numpys_numbers_are_numbers(value):
    assert np.array_equal(np.asarray(plain.decode(plain.encode(value))), value)


def test_gradients_are_left_behind():
    value = torch.ones(2, requires_grad=True)
    assert not plain.decode(plain.encode(value * 2)).requires_grad


@pytest.mark.parametrize(
    "value",
    [
        torch.ones(2, dtype=torch.complex64),
        torch.ones(2, device="meta"),
        torch.ones(200_000),
        torch.eye(2).to_sparse(),
        10**400,
        "a string",
        object(),
        np.array(["text"]),
        {1: 2},
        [0] * 1000,
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_listed_is_described_and_never_decoded(value):
    described = plain.encode(value)
    json.dumps(described)
    with pytest.raises(ValueError, match="plain: expected"):
        plain.decode(described)


def test_a_list_that_holds_itself_has_an_end():
    endless = []
    endless.append(endless)
    assert "other" in json.dumps(plain.encode(endless))
