"""A small Matryoshka pipeline as a folder: networks in half precision, options in JSON.

folder/matryoshka.json               the options of each network, high to low, and of the pipeline
folder/unet.safetensors              all networks' weights
folder/text_encoder/  tokenizer/     of CLIP, as transformers writes them
"""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file

from edudiff.diffusion.schedule import NoiseSchedule, cosine_betas
from edudiff.models import clip_text_bridge, nested_weights
from edudiff.pipelines import folder as parts
from edudiff.pipelines.matryoshka import Matryoshka
from edudiff.pipelines.words import ClipReader


def save(pipe: Matryoshka, folder: Path | str) -> None:
    """Write a pipeline that reads with CLIP and has the cosine schedule.

    Args:
        pipe: the pipeline.
        folder: where to; made if it is not there.

    Raises:
        ValueError: if the pipeline reads otherwise or has another schedule.
    """
    folder, reader = Path(folder), pipe.reader
    if not isinstance(reader, ClipReader):
        raise ValueError(f"reader: expected a ClipReader, got a {type(reader).__name__}")
    betas = pipe.schedule.betas
    if not torch.equal(betas, cosine_betas(len(betas))):
        raise ValueError("schedule: expected the cosine schedule, got another")
    folder.mkdir(parents=True, exist_ok=True)
    options = {
        "networks": nested_weights.configuration(pipe.unet),
        "num_train_timesteps": len(betas),
        "power": pipe.power,
        "size": pipe.size,
        "spacing": pipe.spacing,
    }
    (folder / "matryoshka.json").write_text(json.dumps(options, indent=2) + "\n", "utf-8")
    weights = {name: w.half().contiguous() for name, w in pipe.unet.state_dict().items()}
    save_file(weights, folder / "unet.safetensors")
    bos = reader.tokenizer.bos_token_id
    theirs = clip_text_bridge.to_transformers(reader.text_encoder, bos).half()
    theirs.save_pretrained(folder / "text_encoder")
    theirs.config.dtype = "float32"  # what to compute in; the file stays half as large
    theirs.config.save_pretrained(folder / "text_encoder")
    reader.tokenizer.save_pretrained(folder / "tokenizer")


def load(folder: Path | str) -> Matryoshka:
    """Read a pipeline that `save` has written, in float32, onto the CPU.

    Raises:
        ValueError: if the folder holds no such pipeline, or not all of one; if weights do not fit
            the options, or are not finite.
    """
    folder = Path(folder)
    wanted = ("matryoshka.json", "unet.safetensors", "text_encoder", "tokenizer")
    missing = [name for name in wanted if not (folder / name).exists()]
    if missing:
        expected, got = "a Matryoshka pipeline", f"{str(folder)!r} without {', '.join(missing)}"
        raise ValueError(f"folder: expected {expected}, got {got}")
    options = json.loads((folder / "matryoshka.json").read_text("utf-8"))
    unet = nested_weights.build(options.pop("networks"))
    nested_weights.load(unet, folder / "unet.safetensors")
    for name, weight in unet.state_dict().items():
        if not weight.isfinite().all():
            raise ValueError(f"unet: expected finite weights, got infinity or NaN in {name}")
    schedule = NoiseSchedule(cosine_betas(options.pop("num_train_timesteps")))
    reader = ClipReader(parts.read_tokenizer(folder), parts.read_text_encoder(folder))
    return Matryoshka(reader, unet.eval(), schedule, **options)
