"""What the U-Net refuses: levels that do not fit, and questions it was not built to be asked."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edudiff import checks


def for_each_level(value: int | Sequence[int], levels: int) -> tuple[int, ...]:
    """An option that may be given once for all levels, or for each."""
    return (value,) * levels if isinstance(value, int) else tuple(value)


def options(network: Any, *, time_embedding: bool) -> None:
    """Refuse options of a `UNet` that do not fit together, before anything is built.

    Raises:
        ValueError: naming the option, with what was expected and what came.
    """
    numbers = ("in_channels", "out_channels", "layers_per_block", "norm_num_groups", "num_time_ids")
    optional = ("context_dim", "pooled_dim")
    for name in numbers + tuple(name for name in optional if getattr(network, name) is not None):
        checks.whole_at_least(1, **{name: getattr(network, name)})
    checks.positive(norm_eps=network.norm_eps)
    _widths(network.block_out_channels, network.norm_num_groups)
    for name in ("attention_levels", "num_heads", "num_transformer_layers"):
        _one_each(len(network.block_out_channels), getattr(network, name), name)
    if network.downsample_padding not in (0, 1):
        raise ValueError(f"downsample_padding: expected 0 or 1, got {network.downsample_padding}")
    if time_embedding:
        _clock(network.block_out_channels[0], network.freq_shift)
    elif network.pooled_dim is not None:
        raise ValueError(f"pooled_dim: expected None without a time, got {network.pooled_dim}")


def _widths(block_out_channels: Sequence[int], groups: int) -> None:
    if not block_out_channels or any(width < 1 or width % groups for width in block_out_channels):
        expected = f"multiples of norm_num_groups={groups}"
        raise ValueError(f"block_out_channels: expected {expected}, got {block_out_channels}")


def _one_each(levels: int, entries: Sequence[int], name: str) -> None:
    if len(entries) != levels:
        expected = f"one entry for each of {levels} levels"
        raise ValueError(f"{name}: expected {expected}, got {entries}")
    if name != "attention_levels":
        checks.whole_at_least(1, **{f"{name}[{i}]": entry for i, entry in enumerate(entries)})


def _clock(dim: int, freq_shift: int) -> None:
    checks.whole_at_least(0, freq_shift=freq_shift)
    if dim % 2:
        raise ValueError(f"block_out_channels[0]: expected an even number, got {dim}")
    if 2 * freq_shift >= dim:
        raise ValueError(f"freq_shift: expected a number below {dim // 2}, got {freq_shift}")


def picture(x: Tensor, channels: int, halvings: int) -> None:
    """Refuse pictures that are stored as bytes, shaped otherwise, or cannot be halved so often.

    Raises:
        ValueError: with what was expected and what came.
    """
    checks.floating(x=x)
    shape(x, ("b", channels, "h", "w"), "x")
    factor = 2**halvings
    if x.shape[2] % factor or x.shape[3] % factor:
        raise ValueError(f"x: expected sides divisible by {factor}, got {tuple(x.shape[2:])}")


def time(t: Tensor | None, x: Tensor, *, wanted: bool) -> None:
    """Refuse a missing time, one that is not wanted, and all but one int64 for each picture.

    Raises:
        ValueError: with what was expected and what came.
    """
    if (t is not None) != wanted:
        expected, got = ("one for each picture", "none") if wanted else ("none", "some")
        raise ValueError(f"t: expected {expected}, as the network was built, got {got}")
    if t is not None:
        if t.dtype != torch.int64:
            raise ValueError(f"t: expected int64 timesteps, got {t.dtype}")
        checks.one_timestep_each(x, t)


def shape(tensor: Tensor | None, expected: tuple[int | str, ...] | None, name: str) -> None:
    """Refuse a tensor of another shape; in `expected`, letters stand for any length.

    Args:
        tensor: what came, None for nothing.
        expected: lengths and letters, None if nothing should come.
        name: the argument's.

    Raises:
        ValueError: with the expected and the given shape.
    """
    got = None if tensor is None else tuple(tensor.shape)
    if got is None or expected is None:
        fits = got is expected
    else:
        fits = len(got) == len(expected) and all(
            isinstance(length, str) or length == found
            for length, found in zip(expected, got, strict=True)
        )
    if not fits:
        wanted = "none, as the network was built" if expected is None else _words(expected)
        raise ValueError(f"{name}: expected {wanted}, got {'none' if got is None else _words(got)}")


def _words(lengths: tuple[int | str, ...]) -> str:
    return f"shape ({', '.join(map(str, lengths))})"
