"""Weights into a nested U-Net, or a clear word on which of its dolls they are not for."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from edudiff.models.doll import Doll
from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet

INSIDE = "inner_unet."
COMMON = ("block_out_channels", "layers_per_block", "attention_layers", "scale")
OUTER = (*COMMON, "normalize_input")
INNERMOST = (
    *COMMON,
    "channels",
    "text_dim",
    "context_dim",
    "masked_cross_attention",
    "time_embed_dim",
    "num_heads",
    "norm_num_groups",
)


def dolls(model: Doll) -> list[Doll]:
    """The network and all inside it, from the highest resolution to the lowest."""
    inner = getattr(model, "inner_unet", None)
    return [model] if inner is None else [model, *dolls(inner)]


def configuration(model: Doll) -> list[dict[str, Any]]:
    """The options of each doll, high to low, as numbers and lists that JSON can hold."""
    *outer, innermost = dolls(model)
    pairs = [(doll, OUTER) for doll in outer] + [(innermost, INNERMOST)]
    return [{name: getattr(doll, name) for name in names} for doll, names in pairs]


def build(options: Sequence[Mapping[str, Any]]) -> Doll:
    """The untrained network with these options, the innermost doll's being the last.

    Raises:
        ValueError: if there are none, and what the networks refuse.
    """
    if not options:
        raise ValueError("options: expected those of at least one network, got none")
    *outer, innermost = options
    model: Doll = MatryoshkaUNet(**innermost)
    for doll in reversed(outer):
        model = NestedUNet(model, **doll)
    return model


def load(model: Doll, path: Path | str) -> None:
    """Read weights from a safetensors file into the network.

    Raises:
        ValueError: if the file is not of that kind, and what `load_state` raises.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        state = load_file(path)
    except SafetensorError as error:
        hint = "`checkpoints.pickled.convert` makes one of a .pth file"
        expected = f"a safetensors file ({hint})"
        raise ValueError(f"path: expected {expected}, got {str(path)!r}: {error}") from error
    load_state(model, state)


def load_state(model: Doll, state: Mapping[str, Tensor]) -> None:
    """Put weights into the network, which then has exactly these.

    Raises:
        ValueError: if they are those of another nesting, saying which levels are missing or too
            many, or those of other widths, saying which weights do not fit.
    """
    _same_nesting(model, state)
    own = model.state_dict()
    wrong = [
        name
        for name in sorted(own.keys() | state.keys())
        if name not in own or name not in state or own[name].shape != state[name].shape
    ]
    if wrong:
        expected, got = (_shape(weights, wrong[0]) for weights in (own, state))
        raise ValueError(
            f"weights: expected {wrong[0]} {expected}, got {got}; "
            f"{len(wrong)} of {len(own)} do not fit"
        )
    model.load_state_dict(state)


def _same_nesting(model: Doll, state: Mapping[str, Tensor]) -> None:
    levels = dolls(model)
    expected, got = len(levels), 1 + max((name.count(INSIDE) for name in state), default=-1)
    if got == expected:
        return
    message = f"weights: expected a nesting of {expected} resolutions, got one of {got}"
    if got > expected:
        raise ValueError(f"{message}: this network has no {got - expected} outer levels of it")
    # A smaller nesting is the inner part of a larger one, so what is missing is outside.
    missing = ", ".join(_name(i, doll) for i, doll in enumerate(levels[: expected - got]))
    inside = ".".join(["model", *["inner_unet"] * (expected - got)])
    raise ValueError(f"{message}: missing {missing}; to grow from these weights, load {inside}")


def _name(i: int, doll: Doll) -> str:
    return f"level {i}" if doll.scale is None else f"level {i} ({doll.scale} pixels)"


def _shape(weights: Mapping[str, Tensor], name: str) -> str:
    return f"of shape {tuple(weights[name].shape)}" if name in weights else "nowhere"
