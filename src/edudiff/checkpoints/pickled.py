"""A pickled checkpoint, once and for all, to safetensors: its tensors, and nothing that can run.

A pickle is a programme: it says which functions to import and to call, so that whoever wrote the
file decides what happens on the machine that reads it. A safetensors file is numbers and names.
"""

import pickle
import pickletools
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

INERT = frozenset(
    ("ml_mdm", "config", "diffusion", "language_models", "models", "reader", "samplers")
    + ("argparse", "numpy", "pathlib")
)
"""Modules whose names may stand in a file: those of Matryoshka's code, new and old, and three more.

Its checkpoints hold the settings of the training beside the weights, as objects of these modules.
Nothing is imported from them: an empty object stands in for each.
"""


def convert(source: Path | str, target: Path | str) -> None:
    """Write the weights of a pickled checkpoint, such as `vis_model.pth`, as safetensors.

    Args:
        source: a file that `torch.save` wrote, with the weights alone or under "state_dict".
        target: the file to write.

    Raises:
        ValueError: as `read`.
        OSError: if a file cannot be read or written.
    """
    from safetensors.torch import save_file

    weights = read(source)
    save_file({name: weight.clone().contiguous() for name, weight in weights.items()}, target)


def read(source: Path | str) -> dict[str, Tensor]:
    """The tensors of a pickled checkpoint, on the CPU; no code of the file's choosing is run.

    Raises:
        ValueError: if the file is no checkpoint of `torch.save`, asks for a function or class that
            is neither PyTorch's own for tensors nor one of `INERT`, or holds no weights.
        OSError: if it cannot be read.
    """
    asked = _asked_for(Path(source))
    inert = sorted(name for name in asked if name.partition(".")[0] in INERT)
    stand_ins: list[Any] = [_stand_in(name) for name in inert]
    try:
        with torch.serialization.safe_globals(stand_ins):
            found = torch.load(source, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        got = ", ".join(sorted(asked)) or "what PyTorch does not read safely"
        expected = "a checkpoint of tensors alone"
        raise ValueError(f"source: expected {expected}, got one that asks for {got}") from error
    weights = found.get("state_dict", found) if isinstance(found, dict) else {}
    if not weights or not all(isinstance(weight, Tensor) for weight in weights.values()):
        raise ValueError(f"source: expected weights by name, got none in {str(source)!r}")
    return dict(weights)


def _asked_for(source: Path) -> set[str]:
    """Every function and class the pickle names, found by reading it without running it."""
    try:
        with zipfile.ZipFile(source) as archive:
            inside = [name for name in archive.namelist() if name.endswith("data.pkl")]
            opcodes = [pickletools.genops(archive.read(name)) for name in inside]
            return _globals(opcode for some in opcodes for opcode in some)
    except (zipfile.BadZipFile, ValueError) as error:
        expected = "a checkpoint that torch.save wrote"
        raise ValueError(f"source: expected {expected}, got {str(source)!r}: {error}") from error


def _globals(opcodes: Iterable[tuple[pickletools.OpcodeInfo, object, int | None]]) -> set[str]:
    return {str(arg).replace(" ", ".") for opcode, arg, _ in opcodes if opcode.name == "GLOBAL"}


def _stand_in(name: str) -> type:
    """A class of that name whose objects take whatever they are given and do nothing."""
    module, _, own_name = name.rpartition(".")
    body = {
        "__module__": module,
        "__new__": lambda cls, *args, **kwargs: object.__new__(cls),
        "__init__": lambda self, *args, **kwargs: None,
        "__setstate__": lambda self, state: None,
    }
    return type(own_name, (), body)
