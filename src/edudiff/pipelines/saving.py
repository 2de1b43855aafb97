"""Our pipeline as a folder that diffusers' `StableDiffusionPipeline.from_pretrained` reads."""

from pathlib import Path
from typing import Any

from edudiff.models import clip_text_bridge, unet_bridge, vae_bridge
from edudiff.pipelines.text_to_image import TextToImage
from edudiff.pipelines.text_to_image_xl import TextToImageXL


def save(pipe: TextToImage, folder: Path | str) -> None:
    """Write all parts, in half precision, and a scheduler for DPM-Solver++.

    Args:
        pipe: the pipeline, its noise schedule being that of Stable Diffusion ("scaled_linear").
        folder: where to; made if it is not there.
    """
    from diffusers import StableDiffusionPipeline

    vae: Any = vae_bridge.to_diffusers(pipe.vae, sample_size=pipe.size)
    unet: Any = unet_bridge.to_diffusers(
        pipe.unet, sample_size=pipe.size // pipe.vae.downsampling_factor
    )
    text_encoder: Any = clip_text_bridge.to_transformers(
        pipe.text_encoder, pipe.tokenizer.bos_token_id
    )
    theirs: Any = StableDiffusionPipeline(
        vae=vae.half(),
        text_encoder=text_encoder.half(),
        tokenizer=pipe.tokenizer,
        unet=unet.half(),
        scheduler=make_scheduler(pipe),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    theirs.save_pretrained(folder)
    text_encoder.config.dtype = "float32"  # what to compute in; the file stays half as large
    text_encoder.config.save_pretrained(Path(folder) / "text_encoder")


def make_scheduler(pipe: TextToImage | TextToImageXL) -> Any:
    """Diffusers' DPM-Solver++ for a pipeline's noise, schedule "scaled_linear"."""
    from diffusers import DPMSolverMultistepScheduler

    return DPMSolverMultistepScheduler(
        num_train_timesteps=pipe.schedule.num_train_timesteps,
        beta_start=pipe.schedule.betas[0].item(),
        beta_end=pipe.schedule.betas[-1].item(),
        beta_schedule="scaled_linear",
        prediction_type=pipe.prediction_type,
        timestep_spacing=pipe.spacing,
        steps_offset=1,  # used with "leading" only, but diffusers warns of anything else
    )
