"""What others call the matrices of a LoRA, and what we call them.

ours, peft    down_blocks.0.….to_q.lora_A.weight
diffusers     unet.down_blocks.0.….to_q.lora_A.weight       text_encoder.…
older         unet.down_blocks.0.….attn1.processor.to_q_lora.down.weight
peft's file   base_model.model.down_blocks.0.….to_q.lora_A.weight
kohya         lora_unet_down_blocks_0_…_to_q.lora_down.weight, ….alpha       lora_te_…
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

from torch import Tensor

Part = Literal["unet", "text_encoder"]
PREFIXES: dict[str, Part] = {
    "unet.": "unet",
    "text_encoder.": "text_encoder",
    "lora_unet_": "unet",
    "lora_te_": "text_encoder",
    "lora_te1_": "text_encoder",
    "base_model.model.": "unet",
}
KOHYA = ("lora_unet_", "lora_te_", "lora_te1_")
ENDINGS = {
    ".lora_A.weight": "lora_A",
    ".lora_B.weight": "lora_B",
    ".lora_down.weight": "lora_A",
    ".lora_up.weight": "lora_B",
    "_lora.down.weight": "lora_A",
    "_lora.up.weight": "lora_B",
    ".lora.down.weight": "lora_A",
    ".lora.up.weight": "lora_B",
    ".alpha": "alpha",
}
OLD_NAMES = {"to_out": "to_out.0"}


def sort(
    tensors: Mapping[str, Tensor], layers: Mapping[Part, Iterable[str]]
) -> dict[Part, tuple[dict[str, Tensor], dict[str, float]]]:
    """Give matrices our names, part by part.

    Args:
        tensors: a file's.
        layers: the names of each part's layers, without which kohya's cannot be told apart:
            there "_" stands for "." and for itself.

    Returns:
        For each part that occurs, the matrices as in `lora_state_dict`, and lora_alpha for each
        layer that has it beside its matrices. A name that no layer has stays as it is.

    Raises:
        ValueError: naming what is not from a LoRA of these kinds.
    """
    found: dict[Part, tuple[dict[str, Tensor], dict[str, float]]] = {}
    for key, tensor in tensors.items():
        ending = next((ending for ending in ENDINGS if key.endswith(ending)), None)
        if ending is None:
            raise ValueError(f"expected names ending in {', '.join(ENDINGS)}, got {key!r}")
        prefix = next((prefix for prefix in PREFIXES if key.startswith(prefix)), "")
        part = PREFIXES.get(prefix, "unet")
        name = key.removeprefix(prefix).removesuffix(ending)
        if prefix in KOHYA:
            flat = {layer.replace(".", "_"): layer for layer in layers.get(part, ())}
            name = flat.get(_flat(name, part), name)
        else:
            name = _plain(name, part)
        state, alphas = found.setdefault(part, ({}, {}))
        if ENDINGS[ending] == "alpha":
            alphas[name] = float(tensor)
        else:
            state[f"{name}.{ENDINGS[ending]}.weight"] = tensor
    return found


def _flat(name: str, part: Part) -> str:
    return name.removeprefix("text_model_") if part == "text_encoder" else name


def _plain(name: str, part: Part) -> str:
    """Without what only old files have, and without the name of a text encoder's only part."""
    if part == "text_encoder":
        return name.removeprefix("text_model.")
    parent, dot, last = name.replace(".processor.", ".").rpartition(".")
    return parent + dot + OLD_NAMES.get(last, last)


def to_kohya(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A U-Net's matrices under kohya's names, as from `lora_state_dict`.

    lora_alpha belongs beside them, as "….alpha"; see `lora_files.save_kohya`.
    """
    renamed = {}
    for key, matrix in state.items():
        name, part = re.fullmatch(r"(.*)\.(lora_[AB])\.weight", key).groups()  # type: ignore[union-attr]
        ending = {"lora_A": "lora_down", "lora_B": "lora_up"}[part]
        renamed[f"lora_unet_{name.replace('.', '_')}.{ending}.weight"] = matrix
    return renamed
