"""DALL·E's transformer to transformers' GPT-2 and back, so that saving is their own."""

from typing import TYPE_CHECKING, Any

import torch

from edudiff.models.dalle import DALLE

if TYPE_CHECKING:
    from transformers import GPT2LMHeadModel

HEAD = "lm_head.weight"


def to_transformers(model: DALLE) -> "GPT2LMHeadModel":
    """The same network as a `transformers.GPT2LMHeadModel`, a copy in evaluation mode.

    How text and picture share its vocabulary and its places is written into its configuration
    under our names.
    """
    from transformers import GPT2Config, GPT2LMHeadModel

    options: dict[str, Any] = {
        "vocab_size": model.text_vocab_size + model.num_codes,
        "n_positions": model.text_length + model.image_length,
        "n_embd": model.width,
        "n_layer": model.num_layers,
        "n_head": model.num_heads,
        **dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
        **dict.fromkeys(("bos_token_id", "eos_token_id")),
        "text_vocab_size": model.text_vocab_size,
        "text_length": model.text_length,
    }
    with torch.random.fork_rng(devices=[]):  # saving must not change what a training draws next
        reference: Any = GPT2LMHeadModel(GPT2Config(**options))
    weights = model.state_dict()
    reference.load_state_dict(weights | {HEAD: weights["transformer.wte.weight"]})
    weight = weights["transformer.wte.weight"]
    return reference.to(weight.device, weight.dtype).eval()


def from_transformers(reference: "GPT2LMHeadModel") -> DALLE:
    """The same network as ours, a copy in evaluation mode.

    Raises:
        ValueError: if the reference has an option that ours does not have, or does not say how
            text and picture share its vocabulary.
    """
    config: Any = reference.config
    for name, expected in {
        "activation_function": "gelu_new",
        "layer_norm_epsilon": 1e-5,
        "n_inner": None,
        "tie_word_embeddings": True,
        "scale_attn_weights": True,
        "scale_attn_by_inverse_layer_idx": False,
        "add_cross_attention": False,
    }.items():
        if getattr(config, name, expected) != expected:
            raise ValueError(f"{name}: expected {expected!r}, got {getattr(config, name)!r}")
    for name in ("text_vocab_size", "text_length"):
        if getattr(config, name, None) is None:
            raise ValueError(f"{name}: expected it in the configuration, got none")
    model = DALLE(
        text_vocab_size=config.text_vocab_size,
        num_codes=config.vocab_size - config.text_vocab_size,
        text_length=config.text_length,
        image_length=config.n_positions - config.text_length,
        width=config.n_embd,
        num_layers=config.n_layer,
        num_heads=config.n_head,
    )
    weights = {name: weight for name, weight in reference.state_dict().items() if name != HEAD}
    model.load_state_dict(weights)
    return model.to(weights["transformer.wte.weight"]).eval()
