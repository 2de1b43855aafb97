"""What the nested U-Net refuses: options that do not fit, and pictures that are not a nesting."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from edudiff import checks
from edudiff.models import unet_checks


def options(doll: Any) -> None:
    """Refuse options of a `Doll` that do not fit together, before anything is built.

    Raises:
        ValueError: naming the option, with what was expected and what came.
    """
    numbers = ("channels", "time_embed_dim", "num_heads", "norm_num_groups")
    optional = [name for name in ("context_dim", "scale") if getattr(doll, name) is not None]
    checks.whole_at_least(1, **{name: getattr(doll, name) for name in (*numbers, *optional)})
    widths(doll.block_out_channels, doll.norm_num_groups)
    for name, least in (("layers_per_block", 1), ("attention_layers", 0)):
        entries = getattr(doll, name)
        levels = len(doll.block_out_channels)
        if len(entries) != levels:
            expected = f"one entry for each of {levels} levels"
            raise ValueError(f"{name}: expected {expected}, got {entries}")
        checks.whole_at_least(least, **{f"{name}[{i}]": n for i, n in enumerate(entries)})
    if doll.time_embed_dim % 8:
        raise ValueError(f"time_embed_dim: expected a multiple of 8, got {doll.time_embed_dim}")
    pairs = zip(doll.block_out_channels, doll.attention_layers, strict=True)
    looking = [width for width, number in pairs if number]
    if any(width % doll.num_heads for width in looking):
        raise ValueError(f"num_heads: expected a divisor of {looking}, got {doll.num_heads}")


def widths(block_out_channels: Sequence[int], groups: int) -> None:
    """Refuse widths that are no multiples of the number of groups, or none at all.

    Raises:
        ValueError: with the number of groups and the widths that came.
    """
    checks.whole_at_least(1, norm_num_groups=groups)
    if not block_out_channels or any(w < 1 or w % groups for w in block_out_channels):
        expected, got = f"multiples of norm_num_groups={groups}", tuple(block_out_channels)
        raise ValueError(f"block_out_channels: expected {expected}, got {got}")


def pictures(xs: Sequence[Tensor], doll: Any) -> None:
    """Refuse anything but one batch for each resolution, from high to low, in the right ratio.

    Raises:
        ValueError: with what was expected and what came.
    """
    ratios = doll.ratios
    if isinstance(xs, Tensor) or len(xs) != len(ratios):
        got = "one tensor" if isinstance(xs, Tensor) else len(xs)
        raise ValueError(f"xs: expected {len(ratios)} resolutions, high to low, got {got}")
    checks.floating(**{f"xs[{i}]": x for i, x in enumerate(xs)})
    for i, x in enumerate(xs):
        unet_checks.shape(x, ("b", doll.channels, "h", "w"), f"xs[{i}]")
    _sides([tuple(x.shape[2:]) for x in xs], ratios)
    _lowest(xs[-1], doll)
    counts = [len(x) for x in xs]
    if counts != sorted(counts) or not counts[0]:
        expected = "a picture at every resolution, and never more than at the next lower one"
        raise ValueError(f"xs: expected {expected}, got {counts} of them, high to low")


def _sides(sides: Sequence[tuple[int, ...]], ratios: Sequence[int]) -> None:
    wanted = " : ".join(map(str, ratios))
    if len(sides) > 1 and list(sides) == sorted(sides) and sides[0] != sides[-1]:
        raise ValueError(f"xs: expected resolutions from high to low, got sides {_words(sides)}")
    lowest = sides[-1]
    if any(side != (r * lowest[0], r * lowest[1]) for side, r in zip(sides, ratios, strict=True)):
        expected = f"sides in the ratio of the nesting, {wanted}"
        raise ValueError(f"xs: expected {expected}, got {_words(sides)}")


def _lowest(x: Tensor, doll: Any) -> None:
    factor = doll.smallest_side
    if x.shape[2] % factor or x.shape[3] % factor:
        got = tuple(x.shape[2:])
        raise ValueError(f"xs: expected the lowest sides divisible by {factor}, got {got}")


def _words(sides: Sequence[tuple[int, ...]]) -> str:
    return ", ".join(f"{height} × {width}" for height, width in sides)


def told(lowest: Tensor, t: Tensor, size: Tensor | None) -> None:
    """Refuse all but one int64 timestep, and one size if any, for each picture of the lowest.

    Raises:
        ValueError: with what was expected and what came.
    """
    if t.dtype != torch.int64:
        raise ValueError(f"t: expected int64 timesteps, got {t.dtype}")
    checks.one_timestep_each(lowest, t)
    if size is not None and size.shape != t.shape:
        raise ValueError(f"size: expected shape {tuple(t.shape)}, got {tuple(size.shape)}")


def words(states: Tensor | None, mask: Tensor | None, count: int, text_dim: int | None) -> None:
    """Refuse words that are missing, unwanted or of another width, and texts that are all padding.

    Raises:
        ValueError: with what was expected and what came.
    """
    wanted = None if text_dim is None else (count, "m", text_dim)
    unet_checks.shape(states, wanted, "encoder_hidden_states")
    if mask is None:
        return
    expected = None if states is None else tuple(states.shape[:2])
    unet_checks.shape(mask, expected, "mask")
    if mask.dtype != torch.bool:
        raise ValueError(f"mask: expected torch.bool, got {mask.dtype}")
    if not bool(mask.any(dim=1).all()):
        raise ValueError("mask: expected at least one token of each text, got one without any")
