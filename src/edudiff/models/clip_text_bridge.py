"""The text tower alone, or with its projection, to transformers and back.

So the folders of Stable Diffusion and Stable Diffusion XL hold them.
"""

from typing import TYPE_CHECKING, Any

import torch

from edudiff.models.clip_bridge import LEGACY_EOS, text_config, tower_arguments
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.clip_towers import TextTransformer

if TYPE_CHECKING:
    from transformers import CLIPTextModel, CLIPTextModelWithProjection


def to_transformers(model: TextTransformer, bos_token_id: int | None = None) -> "CLIPTextModel":
    """The same network as a `transformers.CLIPTextModel`, a copy in evaluation mode.

    Args:
        model: ours.
        bos_token_id: the id that begins a text, for the saved configuration only.

    Raises:
        ValueError: if the activation is not one that transformers knows by name, or texts end in
            id 2, by which transformers means something else.
    """
    from transformers import CLIPTextConfig, CLIPTextModel

    config = CLIPTextConfig(**text_config(model, model.width, bos_token_id))
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = CLIPTextModel(config)
    # Before release 5 every name began with the name of the only part.
    getattr(reference, "text_model", reference).load_state_dict(model.state_dict())
    weight = model.final_layer_norm.weight
    return reference.to(weight.device, weight.dtype).eval()


def from_transformers(reference: "CLIPTextModel") -> TextTransformer:
    """The same network as ours, a copy in evaluation mode.

    Raises:
        ValueError: if the reference has an activation, a dropout or an epsilon that our tower does
            not have.
    """
    tower = _tower(reference.config)
    # Before release 5 every name began with the name of the only part.
    weights = {
        name.removeprefix("text_model."): weight for name, weight in reference.state_dict().items()
    }
    tower.load_state_dict(weights)
    return tower.to(weights["final_layer_norm.weight"]).eval()


def to_transformers_with_projection(
    model: TextWithProjection, bos_token_id: int | None = None
) -> "CLIPTextModelWithProjection":
    """The same network as a `transformers.CLIPTextModelWithProjection`, in evaluation mode.

    Args:
        model: ours.
        bos_token_id: the id that begins a text, for the saved configuration only.

    Raises:
        ValueError: as `to_transformers`.
    """
    from transformers import CLIPTextConfig, CLIPTextModelWithProjection

    tower = model.text_model
    config = CLIPTextConfig(**text_config(tower, model.projection_dim, bos_token_id))
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = CLIPTextModelWithProjection(config)
    reference.load_state_dict(model.state_dict())
    weight = model.text_projection.weight
    return reference.to(weight.device, weight.dtype).eval()


def from_transformers_with_projection(
    reference: "CLIPTextModelWithProjection",
) -> TextWithProjection:
    """The same network as ours, a copy in evaluation mode.

    Raises:
        ValueError: as `from_transformers`.
    """
    config: Any = reference.config
    model = TextWithProjection(_tower(config), config.projection_dim)
    weights = reference.state_dict()
    model.load_state_dict(weights)
    return model.to(weights["text_projection.weight"]).eval()


def _tower(config: Any) -> TextTransformer:
    legacy = config.eos_token_id == LEGACY_EOS
    return TextTransformer(
        config.vocab_size,
        config.vocab_size - 1 if legacy else config.eos_token_id,
        context_length=config.max_position_embeddings,
        **tower_arguments(config),
    )
