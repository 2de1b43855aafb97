"""Values as plain data that fits into JSON, so that answers can cross from process to process.

Whoever judges an answer sees only this: numbers, shapes and names, no object that could act.
"""

from typing import Any

import numpy as np
import torch
from torch import Tensor

Plain = dict[str, Any]

MOST_VALUES = 100_000
MOST_ITEMS = 64
DEEPEST = 3


def encode(value: Any, depth: int = 0) -> Plain:
    """Plain data for any value at all; of what is no number only the type's name is kept.

    Tensors and arrays become kind "tensor", with dtype, device, shape and a flat list of values,
    which is None if they cannot be listed: complex, without memory, or too many.
    """
    if value is None or value is ...:
        return {"kind": "nothing" if value is None else "ellipsis"}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, bool | int | float):
        return _number(value)
    if isinstance(value, np.ndarray) and value.dtype.kind in "fiub":
        value = torch.from_numpy(np.ascontiguousarray(value)).reshape(value.shape)
    if isinstance(value, Tensor):
        return _tensor(value)
    if isinstance(value, list | tuple) and depth < DEEPEST and len(value) <= MOST_ITEMS:
        kind = "tuple" if isinstance(value, tuple) else "list"
        return {"kind": kind, "items": [encode(item, depth + 1) for item in value]}
    return {"kind": "other", "type": type(value).__name__[:80]}


def _number(value: bool | int | float) -> Plain:
    try:
        float(value)
    except OverflowError:
        return {"kind": "other", "type": "int"}
    kind = type(value) if type(value) in (bool, int) else float
    return {"kind": "number", "dtype": kind.__name__, "value": kind(value)}


def _tensor(value: Tensor) -> Plain:
    if value.layout != torch.strided or value.is_quantized:
        return {"kind": "other", "type": "sparse or quantized tensor"}
    real = value.device.type != "meta" and not value.is_complex()
    readable = real and value.numel() <= MOST_VALUES
    return {
        "kind": "tensor",
        "dtype": str(value.dtype).removeprefix("torch."),
        "device": value.device.type,
        "shape": list(value.shape),
        "values": value.detach().cpu().flatten().tolist() if readable else None,
    }


def decode(plain: Plain) -> Any:
    """The value again: arrays come back as tensors on the CPU.

    Raises:
        ValueError: for data from which `encode` kept no value.
    """
    kind = plain.get("kind")
    if kind == "tensor" and plain["values"] is not None:
        dtype = getattr(torch, plain["dtype"])
        return torch.tensor(plain["values"], dtype=dtype).reshape(plain["shape"])
    if kind == "number":
        return plain["value"]
    if kind in ("list", "tuple"):
        items = [decode(item) for item in plain["items"]]
        return tuple(items) if kind == "tuple" else items
    if kind in ("nothing", "ellipsis"):
        return None if kind == "nothing" else ...
    raise ValueError(f"plain: expected data that holds a value, got {plain!r:.200}")
