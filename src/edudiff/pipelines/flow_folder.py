"""The pipeline of a flow as a folder that diffusers' `StableDiffusion3Pipeline` reads, and back.

folder/model_index.json                               what kind of pipeline this is
folder/transformer/ vae/                              config.json and …safetensors
folder/text_encoder/ text_encoder_2/                  the same; there is no text_encoder_3
folder/tokenizer/ tokenizer_2/                        the words they know
folder/scheduler/scheduler_config.json                how times are shifted
"""

import json
from pathlib import Path
from typing import Any

import diffusers

from edudiff.models import clip_text_bridge, mmdit_bridge, vae_bridge
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines import folder as parts
from edudiff.pipelines.flow_to_image import FlowToImage

KIND = "StableDiffusion3Pipeline"
WEIGHTS, TOKENS = ("config.json", "*.safetensors"), ("*.json",)
PARTS = {
    "transformer": WEIGHTS,
    "vae": WEIGHTS,
    "text_encoder": WEIGHTS,
    "text_encoder_2": WEIGHTS,
    "tokenizer": TOKENS,
    "tokenizer_2": TOKENS,
    "scheduler": ("scheduler_config.json",),
}
"""Each part's folder, and what must be in it."""
WITHOUT = {
    "use_dynamic_shifting": False,
    "shift_terminal": None,
    "invert_sigmas": False,
    "use_karras_sigmas": False,
    "use_exponential_sigmas": False,
    "use_beta_sigmas": False,
    "stochastic_sampling": False,
}
"""A scheduler's options that we do not have, and the value that stands for leaving them out."""


def save(pipe: FlowToImage, folder: Path | str) -> None:
    """Write all parts, in half precision.

    Args:
        pipe: the pipeline.
        folder: where to; made if it is not there.
    """
    vae: Any = vae_bridge.to_diffusers(pipe.vae, sample_size=pipe.size, shift_factor=0.0)
    texts: dict[str, Any] = {
        name: clip_text_bridge.to_transformers_with_projection(each, pipe.tokenizer.bos_token_id)
        for name, each in zip(("text_encoder", "text_encoder_2"), pipe.text_encoders, strict=True)
    }
    theirs: Any = diffusers.StableDiffusion3Pipeline(
        transformer=mmdit_bridge.to_diffusers(pipe.transformer).half(),
        scheduler=diffusers.FlowMatchEulerDiscreteScheduler(shift=pipe.shift),
        vae=vae.half(),
        tokenizer=pipe.tokenizer,
        tokenizer_2=pipe.tokenizer,
        text_encoder_3=None,
        tokenizer_3=None,
        **{name: text.half() for name, text in texts.items()},
    )
    theirs.save_pretrained(folder)
    for name, text in texts.items():
        text.config.dtype = "float32"  # what to compute in; the file stays half as large
        text.config.save_pretrained(Path(folder) / name)


def load(folder: str | Path) -> FlowToImage:
    """Read a pipeline from a folder that diffusers has written, into our own modules.

    Weights are read from safetensors only, in float32, onto the CPU; nothing is downloaded.

    Args:
        folder: with `model_index.json` and a folder for each part.

    Raises:
        ValueError: if the folder holds no `StableDiffusion3Pipeline`, or not all of one, or one
            with a third text encoder or two different tokenisers; if a part has an option that
            ours does not have, or weights that are missing or not finite; or if the parts do not
            fit together.
    """
    folder = Path(folder)
    parts.check_files(folder, PARTS)
    index = json.loads((folder / "model_index.json").read_text("utf-8"))
    if index.get("_class_name") != KIND:
        raise ValueError(f"folder: expected a {KIND}, got a {index.get('_class_name')}")
    if index.get("text_encoder_3", [None, None]) != [None, None]:
        raise ValueError(f"text_encoder_3: expected none, got {index['text_encoder_3'][1]}")
    tokenizer = parts.read_tokenizer(folder)
    if parts.read_tokenizer(folder, "tokenizer_2").get_vocab() != tokenizer.get_vocab():
        raise ValueError("tokenizer_2: expected the words of tokenizer, got others")
    reference = parts.read_weights(folder, "transformer", diffusers.SD3Transformer2DModel)
    return FlowToImage(
        tokenizer,
        _read_text_encoder(folder, "text_encoder"),
        _read_text_encoder(folder, "text_encoder_2"),
        parts.sound("transformer", mmdit_bridge.from_diffusers, reference),
        _read_vae(folder),
        shift=_read_shift(folder),
    )


def _read_text_encoder(folder: Path, part: str) -> TextWithProjection:
    from transformers import CLIPTextModelWithProjection

    reference = parts.read_weights(folder, part, CLIPTextModelWithProjection)
    return parts.sound(part, clip_text_bridge.from_transformers_with_projection, reference)


def _read_vae(folder: Path) -> AutoencoderKL:
    reference = parts.read_weights(folder, "vae", diffusers.AutoencoderKL)
    if reference.config["shift_factor"] == 0:  # that pipeline asks for one; ours needs none
        reference.register_to_config(shift_factor=None)
    return parts.sound("vae", vae_bridge.from_diffusers, reference)


def _read_shift(folder: Path) -> float:
    written = json.loads((folder / "scheduler" / "scheduler_config.json").read_text("utf-8"))
    expected = "FlowMatchEulerDiscreteScheduler"
    if written.get("_class_name") != expected:
        raise ValueError(f"scheduler: expected {expected}, got {written.get('_class_name')}")
    for name, value in WITHOUT.items():
        if written.get(name, value) != value:
            raise ValueError(f"scheduler: {name}: expected {value!r}, got {written[name]!r}")
    return float(written.get("shift", 1.0))
