"""Our pipeline, or refiner, as a folder that diffusers' pipelines for SDXL read."""

from pathlib import Path
from typing import Any

from edudiff.models import clip_text_bridge, unet_bridge, vae_bridge
from edudiff.pipelines.saving import make_scheduler
from edudiff.pipelines.text_to_image_xl import TextToImageXL


def save(pipe: TextToImageXL, folder: Path | str) -> None:
    """Write all parts, in half precision, and a scheduler for DPM-Solver++.

    A pipeline that is told an aesthetic score becomes a `StableDiffusionXLImg2ImgPipeline`, as
    SDXL's refiner is, any other one a `StableDiffusionXLPipeline`.

    Args:
        pipe: the pipeline, its noise schedule being that of Stable Diffusion ("scaled_linear").
        folder: where to; made if it is not there.
    """
    from diffusers import StableDiffusionXLImg2ImgPipeline, StableDiffusionXLPipeline

    texts = _text_encoders(pipe)
    vae: Any = vae_bridge.to_diffusers(pipe.vae, sample_size=pipe.size)
    unet: Any = unet_bridge.to_diffusers(
        pipe.unet, sample_size=pipe.size // pipe.vae.downsampling_factor
    )
    kind: Any = StableDiffusionXLPipeline
    options: dict[str, Any] = {"force_zeros_for_empty_prompt": pipe.zeros_for_no_text}
    if pipe.scored:
        kind = StableDiffusionXLImg2ImgPipeline
        options["requires_aesthetics_score"] = True
    theirs: Any = kind(
        vae=vae.half(),
        tokenizer=pipe.tokenizer,
        tokenizer_2=pipe.tokenizer_2,
        unet=unet.half(),
        scheduler=make_scheduler(pipe),
        add_watermarker=False,
        **{name: text and text.half() for name, text in texts.items()},
        **options,
    )
    theirs.save_pretrained(folder)
    for name, text in texts.items():
        if text is not None:
            text.config.dtype = "float32"  # what to compute in; the file stays half as large
            text.config.save_pretrained(Path(folder) / name)


def _text_encoders(pipe: TextToImageXL) -> dict[str, Any]:
    """Both text encoders as transformers' own, None for one that is not there."""
    first: Any = None
    if pipe.text_encoder is not None and pipe.tokenizer is not None:
        first = clip_text_bridge.to_transformers(pipe.text_encoder, pipe.tokenizer.bos_token_id)
    second: Any = clip_text_bridge.to_transformers_with_projection(
        pipe.text_encoder_2, pipe.tokenizer_2.bos_token_id
    )
    return {"text_encoder": first, "text_encoder_2": second}
