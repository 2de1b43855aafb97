"""A Stable Diffusion small enough to be drawn at random, and the folder diffusers writes of it."""

from pathlib import Path
from typing import Any

import diffusers
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTextModelWithProjection

from edudiff.data.tokens import make_tokenizer

WORDS = ["a red circle left of a blue square", "a big green star", "two small yellow triangles"]
CONTEXT_LENGTH = 12
WIDTH = 16


def theirs(**unet: Any) -> diffusers.StableDiffusionPipeline:
    """Diffusers' pipeline with random weights: 32 × 32 pixels, latents 4 × 8 × 8."""
    torch.manual_seed(20)
    tokenizer = make_tokenizer(WORDS, num_merges=50, context_length=CONTEXT_LENGTH)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=WIDTH,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        max_position_embeddings=CONTEXT_LENGTH,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_factor=20.0,  # so that words differ
    )
    options = {
        "sample_size": 8,
        "block_out_channels": (16, 32),
        "down_block_types": ("CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D"),
        "layers_per_block": 1,
        "cross_attention_dim": WIDTH,
        "attention_head_dim": 2,
        "norm_num_groups": 8,
    }
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
        latent_channels=4,
        scaling_factor=0.7,
        sample_size=32,
    )
    scheduler = diffusers.DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,  # without a meaning here, but diffusers warns of anything else
    )
    return diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=diffusers.UNet2DConditionModel(**options | unet),
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `theirs()`; not to be changed."""
    path = tmp_path_factory.mktemp("pipeline")
    theirs().save_pretrained(path)
    return path


def theirs_xl(*, refiner: bool = False, zeros: bool = True) -> Any:
    """Diffusers' pipeline for SDXL, or for its refiner, with random weights."""
    base = theirs()
    torch.manual_seed(21)
    # Smaller weights than with normalised states, lest rounding errors grow with every step.
    text = base.text_encoder.config.to_dict() | {"initializer_factor": 4.0}
    text_2 = text | {"projection_dim": 24, "num_hidden_layers": 3, "hidden_act": "gelu"}
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        cross_attention_dim=WIDTH if refiner else 2 * WIDTH,
        attention_head_dim=(2, 4),
        transformer_layers_per_block=(1, 2),
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=256,
        projection_class_embeddings_input_dim=24 + (5 if refiner else 6) * 256,
        norm_num_groups=8,
    )
    kind = diffusers.StableDiffusionXLPipeline
    options: dict[str, Any] = {"force_zeros_for_empty_prompt": zeros}
    if refiner:
        kind = diffusers.StableDiffusionXLImg2ImgPipeline
        options["requires_aesthetics_score"] = True
    return kind(
        vae=base.vae,
        text_encoder=None if refiner else CLIPTextModel(CLIPTextConfig(**text)),
        text_encoder_2=CLIPTextModelWithProjection(CLIPTextConfig(**text_2)),
        tokenizer=None if refiner else base.tokenizer,
        tokenizer_2=base.tokenizer,
        unet=unet,
        scheduler=base.scheduler,
        add_watermarker=False,
        **options,
    )


@pytest.fixture(scope="session")
def base_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `theirs_xl()`; not to be changed."""
    path = tmp_path_factory.mktemp("base")
    theirs_xl().save_pretrained(path)
    return path


@pytest.fixture(scope="session")
def refiner_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of `theirs_xl(refiner=True)`; not to be changed."""
    path = tmp_path_factory.mktemp("refiner")
    theirs_xl(refiner=True).save_pretrained(path)
    return path
