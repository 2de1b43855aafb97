"""Repositories of the hub, with all the files of the true ones and small random weights in them.

They stand for full-size models where tests have no network: `fill` puts one into the hub's cache
under the true name and revision, as huggingface_hub would.
"""

import hashlib
import shutil
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DPMSolverMultistepScheduler,
    EulerDiscreteScheduler,
    FlowMatchEulerDiscreteScheduler,
    SD3Transformer2DModel,
    StableDiffusion3Pipeline,
    StableDiffusionPipeline,
    StableDiffusionXLImg2ImgPipeline,
    StableDiffusionXLPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion import StableDiffusionSafetyChecker
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPModel,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTextModelWithProjection,
    CLIPTokenizer,
)

from edudiff.checkpoints import registry
from edudiff.checkpoints.table import FullSize

WIDTH, LENGTH = 16, 77
SMALL = {
    "hidden_size": WIDTH,
    "intermediate_size": 32,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}
STRAYS = ("v1-5-pruned.safetensors", "unet/pytorch_model.bin", "unet/model.ckpt", "run.py")


def unet(**options: object) -> UNet2DConditionModel:
    return UNet2DConditionModel(
        sample_size=16,
        block_out_channels=(32, 32),
        layers_per_block=1,
        attention_head_dim=4,
        norm_num_groups=8,
        **{
            "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
            "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
            "cross_attention_dim": WIDTH,
            **options,
        },
    )


def unet_xl(*, context_dim: int, num_time_ids: int) -> UNet2DConditionModel:
    return unet(
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=context_dim,
        transformer_layers_per_block=[0, 2],
        use_linear_projection=True,
        addition_embed_type="text_time",
        addition_time_embed_dim=8,
        projection_class_embeddings_input_dim=WIDTH + 8 * num_time_ids,
    )


def vae(**options: object) -> AutoencoderKL:
    return AutoencoderKL(
        block_out_channels=(8,) * 4,
        down_block_types=("DownEncoderBlock2D",) * 4,
        up_block_types=("UpDecoderBlock2D",) * 4,
        norm_num_groups=4,
        **options,
    )


def clip() -> CLIPConfig:
    vision = {**SMALL, "image_size": 16, "patch_size": 8}
    return CLIPConfig(text_config=SMALL, vision_config=vision, projection_dim=WIDTH)


def tokenizer() -> CLIPTokenizer:
    return CLIPTokenizer.from_pretrained(registry.path("tiny-clip"), model_max_length=LENGTH)


def text_config() -> CLIPTextConfig:
    words = tokenizer()
    return CLIPTextConfig(
        vocab_size=len(words),
        max_position_embeddings=LENGTH,
        bos_token_id=words.bos_token_id,
        eos_token_id=words.eos_token_id,
        projection_dim=WIDTH,
        **SMALL,
    )


def save(pipe: object, folder: Path) -> None:
    """Both precisions, and what nobody should download or run."""
    pipe.to(dtype=torch.float16).save_pretrained(folder, variant="fp16")
    # Last, as the configuration says which precision transformers loads.
    pipe.to(dtype=torch.float32).save_pretrained(folder)
    for stray in STRAYS:
        (folder / stray).parent.mkdir(exist_ok=True)
        (folder / stray).write_bytes(b"not wanted")


def save_stable_diffusion(folder: Path) -> None:
    torch.manual_seed(0)
    pipe = StableDiffusionPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(text_config()),
        tokenizer=tokenizer(),
        unet=unet(),
        scheduler=DPMSolverMultistepScheduler(steps_offset=1),
        safety_checker=StableDiffusionSafetyChecker(clip()),
        feature_extractor=CLIPImageProcessor(size={"shortest_edge": 16}, crop_size=16),
    )
    save(pipe, folder)


def save_sdxl(folder: Path) -> None:
    torch.manual_seed(0)
    pipe = StableDiffusionXLPipeline(
        vae=vae(),
        text_encoder=CLIPTextModel(text_config()),
        text_encoder_2=CLIPTextModelWithProjection(text_config()),
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        unet=unet_xl(context_dim=2 * WIDTH, num_time_ids=6),
        scheduler=EulerDiscreteScheduler(steps_offset=1),
        add_watermarker=False,
    )
    save(pipe, folder)


def save_sdxl_refiner(folder: Path) -> None:
    torch.manual_seed(0)
    pipe = StableDiffusionXLImg2ImgPipeline(
        vae=vae(),
        text_encoder=None,
        text_encoder_2=CLIPTextModelWithProjection(text_config()),
        tokenizer=None,
        tokenizer_2=tokenizer(),
        unet=unet_xl(context_dim=WIDTH, num_time_ids=5),
        scheduler=EulerDiscreteScheduler(steps_offset=1),
        requires_aesthetics_score=True,
        add_watermarker=False,
    )
    save(pipe, folder)


def save_stable_diffusion_3(folder: Path) -> None:
    """Without the third text encoder, which the book leaves out as well."""
    torch.manual_seed(0)
    transformer = SD3Transformer2DModel(
        sample_size=16,
        patch_size=1,
        in_channels=4,
        out_channels=4,
        num_layers=2,
        attention_head_dim=8,
        num_attention_heads=2,
        caption_projection_dim=16,
        joint_attention_dim=2 * WIDTH,
        pooled_projection_dim=2 * WIDTH,
        pos_embed_max_size=32,
    )
    pipe = StableDiffusion3Pipeline(
        transformer=transformer,
        vae=vae(shift_factor=0.06),
        text_encoder=CLIPTextModelWithProjection(text_config()),
        text_encoder_2=CLIPTextModelWithProjection(text_config()),
        text_encoder_3=None,
        tokenizer=tokenizer(),
        tokenizer_2=tokenizer(),
        tokenizer_3=None,
        scheduler=FlowMatchEulerDiscreteScheduler(shift=3.0),
    )
    save(pipe, folder)


def save_vae(folder: Path) -> None:
    torch.manual_seed(0)
    vae().save_pretrained(folder)


def save_clip(folder: Path) -> None:
    torch.manual_seed(0)
    CLIPModel(clip()).save_pretrained(folder)
    tokenizer().save_pretrained(folder)


SAVERS = {
    "vae": save_vae,
    "clip": save_clip,
    "stable-diffusion": save_stable_diffusion,
    "sdxl": save_sdxl,
    "sdxl-refiner": save_sdxl_refiner,
    "stable-diffusion-3": save_stable_diffusion_3,
}


def fill(home: Path, full: FullSize, repository: Path) -> Path:
    """Put a folder into the cache of this HF_HOME, as the hub's own library would.

    Returns:
        The folder of the snapshot.
    """
    root = home / "hub" / f"models--{full.repository.replace('/', '--')}"
    snapshot = root / "snapshots" / full.revision
    (root / "blobs").mkdir(parents=True)
    (root / "refs").mkdir()
    (root / "refs" / "main").write_text(full.revision)
    for file in (file for file in repository.rglob("*") if file.is_file()):
        blob = root / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copyfile(file, blob)
        link = snapshot / file.relative_to(repository)
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(blob)
    return snapshot
