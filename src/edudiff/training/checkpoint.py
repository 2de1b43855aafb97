"""Files that are either whole or absent, whatever moment the power goes."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Protocol, runtime_checkable

import torch
from torch import Generator


@runtime_checkable
class Stateful(Protocol):
    """Anything whose state can be saved and taken up: a network, an optimiser, an EMA."""

    def state_dict(self) -> dict[str, Any]:
        """The state, made of tensors, numbers and containers."""

    def load_state_dict(self, state: dict[str, Any], /) -> Any:
        """Take a state up."""


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Write a file so that `path` is at every moment either the old or the new one.

    The bytes go to a neighbouring file first, reach the disk, and only then take the name.

    Args:
        path: the file; its folder is made if need be.
        write: writes the bytes into the open file it is given.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    with unfinished.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    unfinished.replace(path)


def save(
    path: Path,
    step: int,
    parts: Mapping[str, Stateful],
    generator: Generator,
    *,
    writes: bool = True,
) -> None:
    """Write a checkpoint, whole or not at all; see `write_whole`.

    Args:
        path: the file; its folder is made if need be.
        step: how many steps have been done.
        parts: everything that training changes, by name.
        generator: the source of randomness, whose position is saved too.
        writes: False in all but one of several processes. They ask for the states nevertheless,
            because what they have divided among them is gathered by all together.
    """
    state = {
        "step": step,
        "parts": {name: part.state_dict() for name, part in parts.items()},
        "generator": generator.get_state(),
        "global_generator": torch.get_rng_state(),
    }
    if writes:
        write_whole(path, lambda file: torch.save(state, file))


def resume(path: Path, parts: Mapping[str, Stateful], generator: Generator) -> int:
    """Take up what `save` wrote, in place.

    Only tensors, numbers and containers are loaded: a checkpoint cannot run code.

    Returns:
        How many steps had been done; 0, with nothing changed, if there is no such file.

    Raises:
        ValueError: if the file is not a checkpoint, holds other parts than those given, or holds
            parts of other shapes.
    """
    path = Path(path)
    if not path.exists():
        return 0
    with path.open("rb") as file:
        try:
            state = torch.load(file, weights_only=True, map_location="cpu")
            done, saved = int(state["step"]), dict(state["parts"])
            positions = state["generator"], state["global_generator"]
        except Exception as error:  # there is no end to what a broken file can trip over
            raise ValueError(f"{path}: expected a checkpoint of edudiff, got {error!r}") from error
    if set(saved) != set(parts):
        raise ValueError(f"{path}: expected the parts {sorted(parts)}, got {sorted(saved)}")
    for name, part in parts.items():
        try:
            part.load_state_dict(saved[name])
        except (KeyError, RuntimeError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: expected a state that fits {name!r}, got {error}") from error
    generator.set_state(positions[0])
    torch.set_rng_state(positions[1])
    return done
