"""A LoRA in a file: what diffusers loads, and what diffusers, peft and kohya's scripts write.

    save(unet, "pytorch_lora_weights.safetensors", about={"base_model": "tiny-sd", …})
    pipe.load_lora_weights("pytorch_lora_weights.safetensors")       # diffusers
    load(unet, "pytorch_lora_weights.safetensors")                   # ours

A file holds A and B of each layer. What they are multiplied by, and what the LoRA is for, stands in
the same file: in its metadata, texts under names.
"""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from edudiff.layers.lora import candidates, lora_layers, lora_state_dict
from edudiff.layers.lora_state import load_lora_state_dict
from edudiff.models import lora_names
from edudiff.models.lora_names import Part

FILE_NAME = "pytorch_lora_weights.safetensors"
"""What diffusers looks for in a folder."""

CONFIG = "lora_adapter_metadata"
"""Where diffusers keeps peft's configuration, as JSON, in the metadata."""

ABOUT = "edudiff"
"""Where we keep, as JSON, what else there is to know: base model, licence, training."""


@dataclass(frozen=True, eq=False)
class LoRAFile:
    """What a file holds.

    Attributes:
        tensors: under the file's own names.
        config: peft's configuration, its names beginning with "unet." or "text_encoder."; empty in
            files that do not have it.
        about: what `save` was told; empty in the files of others.
        metadata: all texts in the file.
    """

    tensors: dict[str, Tensor]
    config: dict[str, Any]
    about: dict[str, Any]
    metadata: dict[str, str]


def save(
    unet: nn.Module,
    path: Path | str,
    *,
    adapter: str = "default",
    about: Mapping[str, Any] | None = None,
    dtype: torch.dtype = torch.float32,
) -> None:
    """Write an adapter as diffusers' `load_lora_weights` reads it, whole or not at all.

    Args:
        unet: a U-Net with LoRA.
        path: the file, ending in .safetensors; a folder gets one called `FILE_NAME`.
        adapter: which one.
        about: what should be known of it, as numbers, texts and lists of them: "base_model",
            "licence", "training", …; rank, lora_alpha and targets are written down anyway.
        dtype: of the matrices in the file.

    Raises:
        ValueError: if there is no such adapter, it is not finite, or the name has another ending.
        OSError: if it cannot be written, as on a full disk; nothing is left behind.
    """
    state = _finite(lora_state_dict(unet, adapter))
    config = config_of(unet, adapter)
    told = {"rank": config["r"], "lora_alpha": config["lora_alpha"]}
    told |= {"targets": config["target_modules"]} | dict(about or {})
    metadata = {
        "format": "pt",
        CONFIG: json.dumps({f"unet.{k}": v for k, v in config.items()}, indent=2, sort_keys=True),
        ABOUT: json.dumps(told, indent=2, sort_keys=True),
    }
    tensors = {f"unet.{name}": matrix for name, matrix in state.items()}
    _write(_file(Path(path)), tensors, dtype, metadata)


def save_kohya(unet: nn.Module, path: Path | str, *, adapter: str = "default") -> None:
    """Write an adapter as kohya's scripts do, which many other programs read.

    Raises:
        ValueError: as `save`.
        OSError: as `save`.
    """
    tensors = lora_names.to_kohya(_finite(lora_state_dict(unet, adapter)))
    for name, layer in lora_layers(unet, adapter).items():
        alpha = layer.scaling(adapter) * layer.rank[adapter]
        tensors[f"lora_unet_{name.replace('.', '_')}.alpha"] = torch.tensor(alpha)
    _write(_file(Path(path)), tensors, torch.float32, {"format": "pt"})


def read(path: Path | str) -> LoRAFile:
    """Read a file, or `FILE_NAME` or peft's adapter_model.safetensors in a folder.

    Raises:
        ValueError: if there is none, or it is not a safetensors file, or broken.
    """
    path = Path(path)
    if path.is_dir():
        names = [path / FILE_NAME, path / "adapter_model.safetensors"]
        path = next((name for name in names if name.is_file()), names[0])
    if not path.is_file():
        raise ValueError(f"{path}: expected a file with a LoRA, got none")
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            metadata = dict(file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        config = json.loads(metadata.get(CONFIG, "{}"))
        about = json.loads(metadata.get(ABOUT, "{}"))
        beside = path.with_name("adapter_config.json")  # peft keeps its configuration there
        if not config and path.name == "adapter_model.safetensors" and beside.is_file():
            theirs = json.loads(beside.read_text("utf-8"))
            config = {f"unet.{name}": value for name, value in theirs.items()}
    except (safetensors.SafetensorError, ValueError) as error:
        raise ValueError(f"{path}: expected a whole safetensors file, got {error}") from error
    return LoRAFile(tensors, config, about, metadata)


def load(
    unet: nn.Module,
    path: Path | str,
    *,
    text_encoder: nn.Module | None = None,
    adapter: str = "default",
) -> LoRAFile:
    """Put the LoRA in a file into a U-Net, and into a text encoder if there is something for it.

    Args:
        unet: ours; other adapters may be in it.
        path: as for `read`.
        text_encoder: ours; needed only if the file has something for it.
        adapter: its name here.

    Returns:
        what was in the file.

    Raises:
        ValueError: what `read` and `load_lora_state_dict` raise: above all, which layers do not
            fit; or if the file has something for a text encoder and none is given.
    """
    file = read(path)
    models: dict[Part, nn.Module] = {"unet": unet}
    if text_encoder is not None:
        models["text_encoder"] = text_encoder
    layers = {part: list(candidates(model)) for part, model in models.items()}
    try:
        parts = lora_names.sort(file.tensors, layers)
        for part in parts.keys() - models.keys():
            count = len(parts[part][0]) // 2
            raise ValueError(f"{part}: expected to be given, as {count} layers are for it")
        for part, (state, alphas) in parts.items():
            config = _config_for(part, file.config)
            for name in dict.fromkeys(key.rpartition(".lora_")[0] for key in state):
                alphas.setdefault(name, _alpha(name, config, state))
            rslora = bool(config.get("use_rslora"))
            load_lora_state_dict(
                models[part], state, lora_alpha=alphas, adapter=adapter, rslora=rslora
            )
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return file


def _config_for(part: Part, config: Mapping[str, Any]) -> dict[str, Any]:
    start = f"{part}."
    return {k.removeprefix(start): value for k, value in config.items() if k.startswith(start)}


def config_of(model: nn.Module, adapter: str = "default") -> dict[str, Any]:
    """What peft's `LoraConfig` must be told to make an adapter like this one.

    Raises:
        ValueError: if there is no such adapter, or only some of its layers are rank-stabilised.
    """
    layers = lora_layers(model, adapter)
    ranks = {name: layer.rank[adapter] for name, layer in layers.items()}
    alphas = {name: layer.lora_alpha[adapter] for name, layer in layers.items()}
    rslora = {layer.rslora[adapter] for layer in layers.values()}
    if len(rslora) > 1:
        raise ValueError("rslora: expected the same in all layers of an adapter")
    rank, alpha = (_commonest(values) for values in (ranks, alphas))
    return {
        "r": rank,
        "lora_alpha": alpha,
        "rank_pattern": {f"^{name}": r for name, r in ranks.items() if r != rank},
        "alpha_pattern": {f"^{name}": a for name, a in alphas.items() if a != alpha},
        "target_modules": list(layers),
        "use_rslora": rslora.pop(),
    }


def _commonest(values: Mapping[str, Any]) -> Any:
    found = list(values.values())
    return max(found, key=found.count)


def _alpha(name: str, config: Mapping[str, Any], state: Mapping[str, Tensor]) -> float:
    """lora_alpha of a layer; its rank, so that it counts once, where nothing is said."""
    for pattern, alpha in (config.get("alpha_pattern") or {}).items():
        if re.fullmatch(rf"(.*\.)?({pattern})", name):
            return float(alpha)
    down = state.get(f"{name}.lora_A.weight")
    return float(config.get("lora_alpha", 1 if down is None else len(down)))


def _finite(state: dict[str, Tensor]) -> dict[str, Tensor]:
    for name, matrix in state.items():
        if not matrix.isfinite().all():
            raise ValueError(f"{name}: expected finite numbers, got infinity or NaN")
    return state


def _file(path: Path) -> Path:
    path = path / FILE_NAME if path.is_dir() else path
    if path.suffix != ".safetensors":
        raise ValueError(f"path: expected a name ending in .safetensors, got {path}")
    return path


def _write(
    path: Path, tensors: Mapping[str, Tensor], dtype: torch.dtype, metadata: dict[str, str]
) -> None:
    """`path` is at every moment the old file, or none, or the whole new one."""
    ready = {name: tensor.detach().cpu().to(dtype).contiguous() for name, tensor in tensors.items()}
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with unfinished.open("wb") as file:
            file.write(safetensors.torch.save(ready, metadata))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except OSError as error:
        raise OSError(f"{path}: {error.strerror or error}. Nothing was written.") from error
    finally:
        unfinished.unlink(missing_ok=True)
