"""A Stable Diffusion and a Matryoshka with small random weights, for commands to draw with."""

from pathlib import Path

import diffusers
import pytest
import torch
from transformers import CLIPTextConfig, CLIPTextModel

from edudiff.data.tokens import make_tokenizer
from edudiff.diffusion.schedule import make_schedule
from edudiff.models.clip_towers import TextTransformer
from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet
from edudiff.pipelines import matryoshka_folder
from edudiff.pipelines.matryoshka import Matryoshka
from edudiff.pipelines.words import ClipReader

PROMPTS = ["a red circle left of a blue square", "a big green star"]


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as diffusers writes it: pictures of 32 × 32 pixels, prompts of 10 tokens."""
    torch.manual_seed(0)
    tokenizer = make_tokenizer(PROMPTS, num_merges=50, context_length=12)
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=12,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        initializer_factor=20.0,  # so that words differ
    )
    unet = diffusers.UNet2DConditionModel(
        sample_size=8,
        block_out_channels=(16, 32),
        down_block_types=("CrossAttnDownBlock2D",) * 2,
        up_block_types=("CrossAttnUpBlock2D",) * 2,
        layers_per_block=1,
        cross_attention_dim=16,
        attention_head_dim=2,
        norm_num_groups=8,
    )
    vae = diffusers.AutoencoderKL(
        block_out_channels=(8, 8, 8),
        down_block_types=("DownEncoderBlock2D",) * 3,
        up_block_types=("UpDecoderBlock2D",) * 3,
        norm_num_groups=4,
        sample_size=32,
    )
    scheduler = diffusers.DPMSolverMultistepScheduler(
        beta_start=0.00085,
        beta_end=0.012,
        beta_schedule="scaled_linear",
        prediction_type="v_prediction",
        timestep_spacing="trailing",
        steps_offset=1,
    )
    pipe = diffusers.StableDiffusionPipeline(
        vae=vae,
        text_encoder=CLIPTextModel(text),
        tokenizer=tokenizer,
        unet=unet,
        scheduler=scheduler,
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    folder = tmp_path_factory.mktemp("pipeline")
    pipe.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def nested_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Matryoshka's folder: pictures of 8 × 8 and of 4 × 4 pixels, prompts of 10 tokens."""
    torch.manual_seed(1)
    tokenizer = make_tokenizer(PROMPTS, num_merges=50, context_length=12)
    text = TextTransformer(
        len(tokenizer), tokenizer.eos_token_id, width=16, num_heads=2, context_length=12
    )
    for parameter in text.parameters():
        torch.nn.init.normal_(parameter)  # so that words differ
    unet = NestedUNet(
        MatryoshkaUNet(block_out_channels=(8, 16), text_dim=16), block_out_channels=(8, 8)
    )
    for parameter in unet.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.2)
    reader = ClipReader(tokenizer, text.eval())
    folder = tmp_path_factory.mktemp("matryoshka")
    matryoshka_folder.save(Matryoshka(reader, unet.eval(), make_schedule("cosine"), size=8), folder)
    return folder
