"""The refusals every room shares: say what was expected, say what came."""

import difflib
from collections.abc import Mapping
from typing import TypeVar

import torch
from torch import Tensor

Choice = TypeVar("Choice")


def choose(kind: str, name: str, choices: Mapping[str, Choice]) -> Choice:
    """Return `choices[name]`.

    Raises:
        ValueError: if there is no such name; the message lists the valid ones and the nearest.
    """
    if isinstance(name, str) and name in choices:
        return choices[name]
    nearest = difflib.get_close_matches(str(name), choices, n=1, cutoff=0.4)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise ValueError(f"unknown {kind}: expected one of {sorted(choices)}, got {name!r}.{hint}")


def positive(**numbers: float) -> None:
    """Refuse numbers that are not above zero.

    Raises:
        ValueError: naming the first number that is zero, negative or not a number.
    """
    for name, number in numbers.items():
        if not number > 0:
            raise ValueError(f"{name}: expected a number above 0, got {number!r}")


def whole_at_least(minimum: int, **numbers: int) -> None:
    """Refuse anything but whole numbers of at least `minimum`.

    Raises:
        ValueError: naming the first argument that is not such a number.
    """
    for name, number in numbers.items():
        if isinstance(number, bool) or not isinstance(number, int) or number < minimum:
            raise ValueError(f"{name}: expected a whole number ≥ {minimum}, got {number!r}")


def same_shape(**tensors: Tensor) -> None:
    """Refuse tensors whose shapes differ; broadcasting would hide the mistake.

    Raises:
        ValueError: naming the two arguments and their shapes.
    """
    (first, reference), *others = tensors.items()
    for name, tensor in others:
        if tensor.shape != reference.shape:
            raise ValueError(
                f"{name}: expected the shape of {first}, {tuple(reference.shape)}, "
                f"got {tuple(tensor.shape)}"
            )


def floating(**tensors: Tensor) -> None:
    """Refuse tensors of whole numbers or booleans, such as pictures still stored as bytes.

    Raises:
        ValueError: naming the argument and its dtype.
    """
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            raise ValueError(f"{name}: expected a floating-point tensor, got {tensor.dtype}")


def in_range(low: float, high: float, **tensors: Tensor) -> None:
    """Refuse tensors with a value outside [low, high] or a value that is not a number.

    Raises:
        ValueError: naming the argument and the range that came.
    """
    for name, tensor in tensors.items():
        if tensor.numel() and not bool(((tensor >= low) & (tensor <= high)).all()):
            raise ValueError(
                f"{name}: expected values in [{low:g}, {high:g}], "
                f"got values in [{tensor.min().item():g}, {tensor.max().item():g}]"
            )


def timesteps(t: Tensor, num_train_timesteps: int, *, lowest: int = 0, name: str = "t") -> None:
    """Refuse timesteps that are not int64 or lie outside the table.

    Tensors index from the end for negative numbers, so t = -1 would silently mean the last
    timestep. Samplers that mean "the clean data" by -1 say so with `lowest=-1`.

    Raises:
        ValueError: with the allowed range and the range that came.
    """
    if t.dtype != torch.int64:
        raise ValueError(f"{name}: expected int64 timesteps, got {t.dtype}")
    if t.numel() and (int(t.min()) < lowest or int(t.max()) >= num_train_timesteps):
        raise ValueError(
            f"{name}: expected timesteps in [{lowest}, {num_train_timesteps - 1}], "
            f"got timesteps in [{int(t.min())}, {int(t.max())}]"
        )


def one_timestep_each(x: Tensor, t: Tensor, *, name: str = "t") -> None:
    """Refuse a `t` that does not hold exactly one timestep for each member of the batch `x`.

    Raises:
        ValueError: with the expected and the given shape.
    """
    if t.ndim != 1 or x.ndim == 0 or t.shape[0] != x.shape[0]:
        expected = tuple(x.shape[:1])
        raise ValueError(
            f"{name}: expected one timestep each, shape {expected}, got {tuple(t.shape)}"
        )
