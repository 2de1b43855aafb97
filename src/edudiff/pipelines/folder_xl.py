"""The parts of an SDXL pipeline's folder, or its refiner's, read into our own modules.

folder/model_index.json                     what kind of pipeline this is
folder/unet/ vae/ text_encoder_2/           config.json and …safetensors
folder/tokenizer_2/                         the words it knows
folder/scheduler/scheduler_config.json      the noise it was trained with
folder/text_encoder/ tokenizer/             the first text encoder, which a refiner does not have
"""

import json
from pathlib import Path
from typing import Any

import diffusers

from edudiff.models import clip_text_bridge, unet_bridge
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.unet import UNet
from edudiff.pipelines import folder as parts

BASE, REFINER = "StableDiffusionXLPipeline", "StableDiffusionXLImg2ImgPipeline"


def read_index(folder: Path) -> dict[str, Any]:
    """What `model_index.json` says of a folder that holds a whole pipeline.

    Raises:
        ValueError: if there is no such folder, or it holds another kind of pipeline, or something
            is missing; the message says all that is.
    """
    index = folder / "model_index.json"
    written = json.loads(index.read_text("utf-8")) if index.is_file() else {}
    kind = written.get("_class_name")
    if written and kind not in (BASE, REFINER):
        raise ValueError(f"folder: expected a {BASE} or a {REFINER}, got a {kind}")
    files = dict(parts.PARTS)
    files["text_encoder_2"], files["tokenizer_2"] = files["text_encoder"], files["tokenizer"]
    if not has_first(written):
        del files["text_encoder"], files["tokenizer"]
    parts.check_files(folder, files)
    return written


def has_first(written: dict[str, Any]) -> bool:
    """Whether the pipeline has a first text encoder, as all but refiners have."""
    return written.get("text_encoder", ["transformers", "CLIPTextModel"]) != [None, None]


def read_unet(folder: Path, *, scored: bool) -> tuple[UNet, int]:
    """The network, in float32, and for how many latents a side it was made.

    Args:
        folder: the pipeline's.
        scored: whether it is told an aesthetic score, and so five numbers instead of six.

    Raises:
        ValueError: as `folder.read_unet`.
    """
    reference = parts.read_weights(folder, "unet", diffusers.UNet2DConditionModel)

    def convert(theirs: Any) -> UNet:
        return unet_bridge.from_diffusers(theirs, num_time_ids=5 if scored else 6)

    return parts.sound("unet", convert, reference), reference.config.sample_size


def read_text_encoder_2(folder: Path) -> TextWithProjection:
    """The second text encoder, in float32.

    Raises:
        ValueError: if ours cannot be that network, or the weights are incomplete or not finite.
    """
    from transformers import CLIPTextModelWithProjection

    reference = parts.read_weights(folder, "text_encoder_2", CLIPTextModelWithProjection)
    convert = clip_text_bridge.from_transformers_with_projection
    return parts.sound("text_encoder_2", convert, reference)
