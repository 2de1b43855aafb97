"""LoRA on a whole network: put it in, weigh several, merge it, take it out, read it off.

add_lora(unet, ["to_q", "to_v"], rank=8)      now only the A and B of these layers learn
set_adapters(unet, {"default": 0.7})          a little less of it
merge(unet); remove_lora(unet)                in the weights for good, at no cost
"""

from collections.abc import Collection, Mapping, Sequence

import torch
from torch import Tensor, nn

from edudiff import checks
from edudiff.layers.lora_layers import LoRAConv2d, LoRALayer, LoRALinear, check_rank

QUERY_VALUE = ("to_q", "to_v")
"""The targets of the paper's main results (section 4.2), as attention calls them here."""

ATTENTION = ("to_q", "to_k", "to_v", "to_out.0")
"""All four matrices of every attention."""

_INSIDE = {"base_layer", "lora_A", "lora_B"}


def all_linear(model: nn.Module) -> list[str]:
    """The names of all linear layers, as targets."""
    return [
        n for n, layer in candidates(model).items() if isinstance(layer, nn.Linear | LoRALinear)
    ]


def find_layers(model: nn.Module, targets: Sequence[str]) -> list[str]:
    """The names of the layers that targets mean, in the order of the network.

    Args:
        model: any network; linear layers and convolutions can be meant.
        targets: a layer's whole name, or how it ends: "to_q", "attn2.to_k", "to_out.0".

    Raises:
        ValueError: if there are no targets, or one of them means no layer; the message says which
            endings there are.
    """
    if isinstance(targets, str) or not targets:
        raise ValueError(f"targets: expected a list of names, got {targets!r}")
    names = list(candidates(model))
    endings = {_ending(name): name for name in names}
    for target in targets:
        if not any(_means(target, name) for name in names):
            checks.choose("target", target, endings)
    return [name for name in names if any(_means(target, name) for target in targets)]


def add_lora(
    model: nn.Module,
    targets: Sequence[str],
    *,
    rank: int,
    lora_alpha: int | float | None = None,
    adapter: str = "default",
    rslora: bool = False,
) -> list[str]:
    """Put a new adapter into some layers, in place; from now on nothing else of the network learns.

    The network answers as before, bit for bit, until a step is taken.

    Args:
        model: the network; it may have other adapters, which keep their weights.
        targets: see `find_layers`.
        rank: r, how many numbers are left between A and B.
        lora_alpha: what is learned counts lora_alpha / rank times; the rank if not given.
        adapter: its name.
        rslora: whether it counts lora_alpha / √rank times instead.

    Returns:
        the layers' names, in the order of the network.

    Raises:
        ValueError: what `find_layers` and `LoRALayer.add` raise; then nothing has changed.

    Source:
        Hu et al. 2021 (arXiv:2106.09685). In peft: `LoraConfig(r, lora_alpha, target_modules,
        use_rslora)` and `inject_adapter_in_model`.
    """
    names = find_layers(model, targets)
    lora_alpha = rank if lora_alpha is None else lora_alpha
    checks.positive(lora_alpha=float(lora_alpha))
    for name in names:
        check_free(name, candidates(model)[name], adapter, rank)
    model.requires_grad_(False)
    for name in names:
        wrapped(model, name).add(adapter, rank=rank, lora_alpha=lora_alpha, rslora=rslora)
    return names


def lora_layers(model: nn.Module, adapter: str | None = None) -> dict[str, LoRALayer]:
    """The layers with LoRA, by name; if an adapter is named, those that have it.

    Raises:
        ValueError: if no layer has it.
    """
    found = {name: m for name, m in model.named_modules() if isinstance(m, LoRALayer)}
    if adapter is None:
        return found
    checks.choose("adapter", adapter, {name: None for m in found.values() for name in m.rank})
    return {name: layer for name, layer in found.items() if adapter in layer.rank}


def adapters(model: nn.Module) -> dict[str, float]:
    """The adapters of a network and how much of each is added."""
    found: dict[str, float] = {}
    for layer in lora_layers(model).values():
        found |= layer.weights
    return found


def set_adapters(model: nn.Module, weights: Mapping[str, int | float]) -> None:
    """Say how much of each adapter is added; those not named are left out.

    Args:
        model: a network with LoRA.
        weights: adapter → weight; 1 is as it was trained, 0 is off.

    Raises:
        ValueError: for an unknown adapter, a weight that is not finite, or a merged network.
    """
    known = adapters(model)
    for adapter, weight in weights.items():
        checks.choose("adapter", adapter, known)
        checks.in_range(-1e6, 1e6, **{adapter: torch.tensor(float(weight))})
    for layer in lora_layers(model).values():
        layer.refuse_merged()
    for layer in lora_layers(model).values():
        layer.weights = {adapter: float(weights.get(adapter, 0)) for adapter in layer.weights}


def lora_parameters(model: nn.Module, adapter: str = "default") -> dict[str, nn.Parameter]:
    """What an adapter learns, under the names that peft gives it in the network.

    Raises:
        ValueError: if no layer has it.
    """
    return {
        f"{name}.{part}.{adapter}.weight": getattr(layer, part)[adapter].weight
        for name, layer in lora_layers(model, adapter).items()
        for part in ("lora_A", "lora_B")
    }


def lora_state_dict(model: nn.Module, adapter: str = "default") -> dict[str, Tensor]:
    """An adapter's matrices, under names without its own: "….to_q.lora_A.weight".

    Raises:
        ValueError: if no layer has it.

    Source:
        In peft: `get_peft_model_state_dict`.
    """
    names, state = lora_parameters(model, adapter), model.state_dict()
    return {name.replace(f".{adapter}.weight", ".weight"): state[name] for name in names}


def merge(model: nn.Module) -> None:
    """Put all adapters, each with its weight, into the weights of their layers.

    Raises:
        ValueError: if there are none, or what `LoRALayer.merge` raises.
    """
    found = _some(model)
    for layer in found:
        layer.check_finite()
    for layer in found:
        layer.merge()


def unmerge(model: nn.Module) -> None:
    """Take all adapters out of the weights again, up to rounding.

    Raises:
        ValueError: if there are none, or what `LoRALayer.unmerge` raises.
    """
    for layer in _some(model):
        layer.unmerge()


def remove_lora(model: nn.Module, adapter: str | None = None) -> None:
    """Take an adapter out, or all; a layer without any is again what it was, or what was merged.

    Raises:
        ValueError: if there is no such adapter, or one of several is to be taken out of merged
            weights.
    """
    for name, layer in lora_layers(model, adapter).items():
        if adapter is not None:
            layer.remove(adapter)
        if adapter is None or not layer.rank:
            _put(model, name, layer.base_layer)


def candidates(model: nn.Module) -> dict[str, nn.Module]:
    """All layers that LoRA can be put into, whether it is there already or not."""
    kinds = (LoRALayer, nn.Linear, nn.Conv2d)
    found = {name: m for name, m in model.named_modules() if isinstance(m, kinds)}
    return {name: layer for name, layer in found.items() if not _INSIDE & {*name.split(".")}}


def _means(target: str, name: str) -> bool:
    return name == target or name.endswith(f".{target}")


def _ending(name: str) -> str:
    """The last part of a name that is not a number, and what follows."""
    *before, last = name.split(".")
    return f"{before[-1]}.{last}" if last.isdigit() and before else last


def check_free(name: str, layer: nn.Module, adapter: str, rank: int) -> None:
    """Refuse what `LoRALayer.add` would, before anything is changed.

    Raises:
        ValueError: naming the layer.
    """
    if isinstance(layer, LoRALayer):
        layer.refuse_merged()
        if adapter in layer.rank:
            raise ValueError(f"adapter: expected another name than {sorted(layer.rank)}")
    check_rank(layer, rank, f"rank at {name}")


def wrapped(model: nn.Module, name: str) -> LoRALayer:
    """The layer of this name with LoRA, put there if need be."""
    layer = model.get_submodule(name)
    if isinstance(layer, LoRALayer):
        return layer
    found: LoRALayer
    if isinstance(layer, nn.Linear):
        found = LoRALinear(layer)
    else:
        assert isinstance(layer, nn.Conv2d)
        found = LoRAConv2d(layer)
    _put(model, name, found.train(layer.training))
    return found


def _put(model: nn.Module, name: str, layer: nn.Module) -> None:
    parent, _, child = name.rpartition(".")
    setattr(model.get_submodule(parent), child, layer)


def _some(model: nn.Module) -> Collection[LoRALayer]:
    found = lora_layers(model).values()
    if not found:
        raise ValueError("model: expected a network with LoRA, got one without")
    return found
