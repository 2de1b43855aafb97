"""LoRA from one network's matrices into another network, if they fit."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from edudiff.layers.lora import candidates, check_free, wrapped

PARTS = ("lora_A", "lora_B")


@torch.no_grad()
def load_lora_state_dict(
    model: nn.Module,
    state: Mapping[str, Tensor],
    *,
    lora_alpha: Mapping[str, int | float] | None = None,
    adapter: str = "default",
    rslora: bool = False,
) -> list[str]:
    """Put an adapter in that was read off another network; nothing of the network learns then.

    Args:
        model: the network.
        state: as from `lora_state_dict`; a layer's rank is that of its matrices.
        lora_alpha: of each layer; a layer's rank where it is not given.
        adapter: its name here.
        rslora: whether it counts lora_alpha / √rank times.

    Returns:
        the layers' names.

    Raises:
        ValueError: if the matrices are not finite, or some are for other layers than this network
            has: the message says which; what `LoRALayer.add` raises; then nothing has changed.
    """
    names = list(dict.fromkeys(key.rpartition(".lora_")[0] for key in state))
    if not names:
        raise ValueError("state: expected the matrices of a LoRA, got none")
    _check_state(model, names, state)
    ranks = {name: state[f"{name}.lora_A.weight"].shape[0] for name in names}
    for name in names:
        check_free(name, candidates(model)[name], adapter, ranks[name])
    model.requires_grad_(False)
    for name in names:
        alpha = (lora_alpha or {}).get(name, ranks[name])
        layer = wrapped(model, name)
        layer.add(adapter, rank=ranks[name], lora_alpha=alpha, rslora=rslora)
        for part in ("lora_A", "lora_B"):
            matrix = getattr(layer, part)[adapter].requires_grad_(False)
            matrix.weight.copy_(state[f"{name}.{part}.weight"])
    return names


def _check_state(model: nn.Module, names: Sequence[str], state: Mapping[str, Tensor]) -> None:
    """Refuse matrices that are not finite, not complete, or not for this network."""
    for key, matrix in state.items():
        if not matrix.isfinite().all():
            raise ValueError(f"{key}: expected finite numbers, got infinity or NaN")
    reasons = [(name, _why_unfit(name, candidates(model).get(name), state)) for name in names]
    unfit = [f"{name} ({reason})" for name, reason in reasons if reason]
    if unfit:
        more = f" and {len(unfit) - 5} more" if len(unfit) > 5 else ""
        raise ValueError(
            f"state: expected a LoRA for this network, but {len(unfit)} of its {len(names)} layers "
            f"do not fit: {', '.join(unfit[:5])}{more}"
        )


def _why_unfit(name: str, layer: nn.Module | None, state: Mapping[str, Tensor]) -> str | None:
    keys = [f"{name}.{part}.weight" for part in PARTS]
    missing = [key for key in keys if key not in state]
    if missing:
        return f"without {missing[0]}"
    if layer is None:
        return "there is no such layer here"
    weight = layer.weight
    assert isinstance(weight, Tensor)
    out, *into = weight.shape
    down, up = (tuple(state[key].shape) for key in keys)
    rank = down[0]
    expected = (rank, *into), (out, rank, *[1] * (len(into) - 1))
    if (down, up) != expected:
        return f"expected A and B of {expected[0]} and {expected[1]}, got {down} and {up}"
    return None
