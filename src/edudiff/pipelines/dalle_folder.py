"""DALL·E's parts as a folder, each as its library writes it, and back.

folder/model_index.json      what kind of pipeline this is
folder/transformer/          transformers' `GPT2LMHeadModel`
folder/vqvae/                diffusers' `VQModel`
folder/tokenizer/            the words it knows
"""

import json
from pathlib import Path
from typing import Any

import diffusers

from edudiff.models import dalle_bridge, vq_bridge
from edudiff.pipelines import folder as parts
from edudiff.pipelines.dalle import DalleToImage

KIND = "DalleToImage"
INDEX = {
    "_class_name": KIND,
    "transformer": ["transformers", "GPT2LMHeadModel"],
    "vqvae": ["diffusers", "VQModel"],
    "tokenizer": ["transformers", "CLIPTokenizer"],
}
PARTS = {
    "transformer": ("config.json", "*.safetensors"),
    "vqvae": ("config.json", "*.safetensors"),
    "tokenizer": ("*.json",),
}
"""Each part's folder, and what must be in it."""


def save(pipe: DalleToImage, folder: Path | str) -> None:
    """Write all parts, in half precision.

    Args:
        pipe: the pipeline.
        folder: where to; made if it is not there.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    transformer: Any = dalle_bridge.to_transformers(pipe.transformer).half()
    transformer.save_pretrained(folder / "transformer")
    transformer.config.dtype = "float32"  # what to compute in; the file stays half as large
    transformer.config.save_pretrained(folder / "transformer")
    size = pipe.side * pipe.vqvae.downsampling_factor
    vqvae = vq_bridge.to_diffusers(pipe.vqvae, sample_size=size)
    vqvae.half().save_pretrained(folder / "vqvae")
    pipe.tokenizer.save_pretrained(folder / "tokenizer")
    (folder / "model_index.json").write_text(json.dumps(INDEX, indent=2) + "\n", "utf-8")


def load(folder: str | Path) -> DalleToImage:
    """Read a pipeline from a folder that `save` has written.

    Weights are read from safetensors only, in float32, onto the CPU; nothing is downloaded.

    Args:
        folder: with `model_index.json` and a folder for each part.

    Raises:
        ValueError: if the folder holds another kind of pipeline, or not all of one; if a part has
            an option that ours does not have, or weights that are missing or not finite; or if the
            parts do not fit together.
    """
    from transformers import GPT2LMHeadModel

    folder = Path(folder)
    parts.check_files(folder, PARTS)
    kind = json.loads((folder / "model_index.json").read_text("utf-8")).get("_class_name")
    if kind != KIND:
        raise ValueError(f"folder: expected a {KIND}, got a {kind}")
    transformer = parts.read_weights(folder, "transformer", GPT2LMHeadModel)
    vqvae = parts.read_weights(folder, "vqvae", diffusers.VQModel)
    return DalleToImage(
        parts.read_tokenizer(folder),
        parts.sound("transformer", dalle_bridge.from_transformers, transformer),
        parts.sound("vqvae", vq_bridge.from_diffusers, vqvae),
    )
