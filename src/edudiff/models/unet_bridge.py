"""The U-Net to diffusers and back, so that saving is diffusers' own `save_pretrained`.

A network with a context is diffusers' `UNet2DConditionModel`, one without is its `UNet2DModel`.
"""

import copy
import inspect
from collections.abc import Sequence
from typing import Any

import torch

from edudiff import checks
from edudiff.models.unet import TIME_ID_DIM, UNet

# Options that mean the same in ours and in diffusers': our name, then theirs.
BOTH = {
    "in_channels": "in_channels",
    "out_channels": "out_channels",
    "block_out_channels": "block_out_channels",
    "layers_per_block": "layers_per_block",
    "norm_num_groups": "norm_num_groups",
    "norm_eps": "norm_eps",
    "downsample_padding": "downsample_padding",
    "flip_sin_to_cos": "flip_sin_to_cos",
    "freq_shift": "freq_shift",
}
WITHOUT_CONTEXT = {"mid_block_add_attention": "add_attention"}
WITH_CONTEXT = {
    "context_dim": "cross_attention_dim",
    "num_heads": "attention_head_dim",
    "num_transformer_layers": "transformer_layers_per_block",
    "linear_projection": "use_linear_projection",
}
# Options of theirs that change nothing in what is computed, at least in float32.
NO_EFFECT = ("sample_size", "num_train_timesteps", "upcast_attention")


def _names(with_context: bool) -> dict[str, str]:
    return BOTH | (WITH_CONTEXT if with_context else WITHOUT_CONTEXT)


def structure(levels: Sequence[bool], with_context: bool, told: int | None) -> dict[str, Any]:
    """Options of theirs that follow from ours: block types, and what SDXL is told beside words."""
    kinds = [("CrossAttn" if with_context else "Attn") if level else "" for level in levels]
    types: dict[str, Any] = {
        "down_block_types": tuple(f"{kind}DownBlock2D" for kind in kinds),
        "up_block_types": tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
    }
    if told is not None:
        types["addition_embed_type"] = "text_time"
        types["addition_time_embed_dim"] = TIME_ID_DIM
        types["projection_class_embeddings_input_dim"] = told
    return types


def to_diffusers(model: UNet, **config: Any) -> Any:
    """The same network as diffusers', a copy in evaluation mode.

    Args:
        model: ours.
        config: further entries of diffusers' configuration, such as `sample_size=64`.

    Returns:
        a `diffusers.UNet2DConditionModel` for a network with a context, else a
        `diffusers.UNet2DModel`.

    Raises:
        ValueError: if diffusers has no such network: one that knows no time or has no skips, that
            has a context but no attention in the middle, or a pooled text but no context.
    """
    _check_known_to_diffusers(model)
    import diffusers

    with_context = model.context_dim is not None
    kind = diffusers.UNet2DConditionModel if with_context else diffusers.UNet2DModel
    told = None if model.add_embedding is None else model.add_embedding.linear_1.in_features
    options = {theirs: getattr(model, ours) for ours, theirs in _names(with_context).items()}
    options = {"attention_head_dim": None} | options  # without a context, one head
    options |= structure(model.attention_levels, with_context, told)
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = kind(**options, **config)
    reference.load_state_dict(copy.deepcopy(model.state_dict()), assign=True)
    return reference.eval()


def _check_known_to_diffusers(model: UNet) -> None:
    if model.time_embedding is None:
        raise ValueError("time_embedding: expected a model that knows the time, got one without")
    if not model.skips:
        raise ValueError("skips: expected a model that has them, got one without")
    if model.context_dim is not None and not model.mid_block_add_attention:
        raise ValueError("mid_block_add_attention: expected True beside a context, got False")
    if model.context_dim is None and model.pooled_dim is not None:
        raise ValueError(f"pooled_dim: expected None without a context, got {model.pooled_dim}")


def from_diffusers(reference: Any, *, num_time_ids: int = 6) -> UNet:
    """The same network as ours, a copy in evaluation mode.

    Args:
        reference: a `diffusers.UNet2DConditionModel` or `diffusers.UNet2DModel`.
        num_time_ids: how many numbers about the picture's size come with SDXL's pooled text: 6, or
            5 for its refiner. diffusers writes down only how long everything is together.

    Raises:
        ValueError: if the reference has an option that ours does not have, such as, without a
            context, attention with several heads; or what it is told is too short for
            `num_time_ids`.
    """
    config = reference.config
    names = _names("cross_attention_dim" in config)
    levels = tuple("Attn" in kind for kind in config["down_block_types"])
    told = config.get("projection_class_embeddings_input_dim")
    check_known_to_us(reference, names, structure(levels, "context_dim" in names, told))
    for name in ("layers_per_block", names.get("context_dim", "layers_per_block")):
        checks.whole_at_least(1, **{name: config[name]})  # theirs may have one for each level
    options = {ours: config[theirs] for ours, theirs in names.items()}
    if told is not None:
        options |= {"pooled_dim": pooled_dim(told, num_time_ids), "num_time_ids": num_time_ids}
    model = UNet(**options, attention_levels=levels)
    model.load_state_dict(copy.deepcopy(reference.state_dict()), assign=True)
    return model.eval()


def check_known_to_us(reference: Any, names: dict[str, str], follows: dict[str, Any]) -> None:
    """Whatever is not translated must be as diffusers has it when nothing is said.

    Args:
        reference: a network of theirs.
        names: the options that are translated: our name, then theirs.
        follows: what `structure` says.

    Raises:
        ValueError: naming the option, with what was expected and what came.
    """
    for name, parameter in inspect.signature(type(reference).__init__).parameters.items():
        if name in (*names.values(), *NO_EFFECT, "self", "attention_head_dim"):
            continue
        expected = follows.get(name, parameter.default)
        got = reference.config.get(name, expected)
        got = tuple(got) if isinstance(got, list) else got
        if got != expected:
            raise ValueError(f"{name}: expected {expected!r}, got {got!r}")
    heads = max(getattr(module, "heads", 1) for module in reference.modules())
    if "num_heads" not in names and heads > 1:
        got = reference.config["attention_head_dim"]
        raise ValueError(f"attention_head_dim: expected one head, got {got}, up to {heads} heads")


def pooled_dim(told: int, num_time_ids: int) -> int:
    """How many of the numbers that SDXL is told beside words are the pooled text.

    Raises:
        ValueError: if so many of them cannot be left for the picture's size.
    """
    most = (told - 1) // TIME_ID_DIM
    if not 1 <= num_time_ids <= most:
        expected = f"1 to {most}, as {told} numbers are told in all"
        raise ValueError(f"num_time_ids: expected {expected}, got {num_time_ids}")
    return told - num_time_ids * TIME_ID_DIM
