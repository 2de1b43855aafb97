"""CLIP to transformers and back, so that saving is transformers' own `save_pretrained`."""

from typing import TYPE_CHECKING, Any

import torch
from torch.nn.functional import gelu

from edudiff import checks
from edudiff.layers.transformer import Encoder, quick_gelu
from edudiff.models.clip import CLIP
from edudiff.models.clip_towers import TextTransformer, VisionTransformer

if TYPE_CHECKING:
    from transformers import CLIPImageProcessorPil, CLIPModel

ACTIVATIONS = {"quick_gelu": quick_gelu, "gelu": gelu}
# The id that old configurations give for every end of text; transformers then pools at the
# highest id of a text instead.
LEGACY_EOS = 2


def to_transformers(model: CLIP, bos_token_id: int | None = None) -> "CLIPModel":
    """The same network as a `transformers.CLIPModel`, a copy in evaluation mode.

    Args:
        model: ours.
        bos_token_id: the id that begins a text, for the saved configuration only.

    Raises:
        ValueError: if an activation is not one that transformers knows by name, or texts end in
            id 2, by which transformers means something else.
    """
    from transformers import CLIPConfig, CLIPModel

    text, vision = model.text_model, model.vision_model
    config = CLIPConfig(
        text_config=text_config(text, model.projection_dim, bos_token_id),
        vision_config=_tower_config(vision.encoder, vision.width, model.projection_dim)
        | {"image_size": vision.image_size, "patch_size": vision.patch_size},
        projection_dim=model.projection_dim,
    )
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = CLIPModel(config)
    reference.load_state_dict(model.state_dict())
    return reference.to(model.logit_scale.device, model.logit_scale.dtype).eval()


def from_transformers(reference: "CLIPModel") -> CLIP:
    """The same network as ours, a copy in evaluation mode.

    Raises:
        ValueError: if the reference has an activation, a number of channels, a dropout or an
            epsilon that our towers do not have.
    """
    config: Any = reference.config
    text, vision = config.text_config, config.vision_config
    if vision.num_channels != 3:
        raise ValueError(f"num_channels: expected 3, got {vision.num_channels}")
    legacy = text.eos_token_id == LEGACY_EOS
    model = CLIP(
        TextTransformer(
            text.vocab_size,
            text.vocab_size - 1 if legacy else text.eos_token_id,
            context_length=text.max_position_embeddings,
            **tower_arguments(text),
        ),
        VisionTransformer(vision.image_size, vision.patch_size, **tower_arguments(vision)),
        config.projection_dim,
    )
    model.load_state_dict(reference.state_dict())
    return model.to(reference.logit_scale).eval()


def image_processor(image_size: int) -> "CLIPImageProcessorPil":
    """A `CLIPImageProcessor` that turns photographs into the pictures in [-1, 1] CLIP is shown.

    Raises:
        ValueError: if image_size is below 1.
    """
    import transformers

    checks.whole_at_least(1, image_size=image_size)
    # Before release 5 the processor that needs no torchvision had the shorter name.
    name = "CLIPImageProcessorPil"
    processor: Any = getattr(transformers, name, None) or transformers.CLIPImageProcessor
    return processor(
        size={"shortest_edge": image_size},
        crop_size={"height": image_size, "width": image_size},
        image_mean=[0.5, 0.5, 0.5],
        image_std=[0.5, 0.5, 0.5],
    )


def _tower_config(encoder: Encoder, width: int, projection_dim: int) -> dict[str, Any]:
    names = [name for name, known in ACTIVATIONS.items() if known is encoder.activation]
    if not names:
        raise ValueError(
            f"activation: expected one of {list(ACTIVATIONS)}, got {encoder.activation!r}"
        )
    return {
        "hidden_size": width,
        "intermediate_size": encoder.mlp_width,
        "num_hidden_layers": len(encoder.layers),
        "num_attention_heads": encoder.num_heads,
        "hidden_act": names[0],
        "projection_dim": projection_dim,
    }


def text_config(
    text: TextTransformer, projection_dim: int, bos_token_id: int | None
) -> dict[str, Any]:
    """The entries of transformers' configuration of a text tower.

    Raises:
        ValueError: as `to_transformers`.
    """
    if text.eos_token_id == LEGACY_EOS:
        raise ValueError("eos_token_id: expected any id but 2, which transformers ignores, got 2")
    return _tower_config(text.encoder, text.width, projection_dim) | {
        "vocab_size": text.vocab_size,
        "max_position_embeddings": text.context_length,
        "bos_token_id": bos_token_id,
        "eos_token_id": text.eos_token_id,
        "pad_token_id": text.eos_token_id,
    }


def tower_arguments(config: Any) -> dict[str, Any]:
    """What our towers must be told to be those of transformers' configuration.

    Raises:
        ValueError: if it has an activation, a dropout or an epsilon that our towers do not have.
    """
    for name, expected in {"attention_dropout": 0.0, "layer_norm_eps": 1e-5}.items():
        if getattr(config, name) != expected:
            raise ValueError(f"{name}: expected {expected}, got {getattr(config, name)}")
    return {
        "width": config.hidden_size,
        "num_layers": config.num_hidden_layers,
        "num_heads": config.num_attention_heads,
        "mlp_width": config.intermediate_size,
        "activation": checks.choose("activation", config.hidden_act, ACTIVATIONS),
    }
