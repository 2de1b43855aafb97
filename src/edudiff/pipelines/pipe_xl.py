"""What takes part in Stable Diffusion XL, or in its refiner, and how it is read from a folder."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from edudiff.diffusion.prediction import PredictionType
from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.spacing import Spacing
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.clip_towers import TextTransformer
from edudiff.models.unet import UNet
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines import folder as parts
from edudiff.pipelines import folder_xl

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


@dataclass(frozen=True, eq=False)
class TextToImageXL:
    """Everything that takes part when words become a picture, or a picture is refined.

    Attributes:
        tokenizer: cuts a prompt into tokens for the first encoder; None for a refiner.
        tokenizer_2: the same for the second encoder.
        text_encoder: reads them; None for a refiner.
        text_encoder_2: reads them too, and sums them up.
        unet: says what is noise in noisy latents, asking the text.
        vae: its decoder turns latents into pictures.
        schedule: the noise tables the U-Net was trained with.
        prediction_type: what the U-Net predicts.
        spacing: how a few timesteps are chosen of all.
        steps_offset: see `spaced_timesteps`.
        size: height and width of the pictures it was trained on, in pixels.
        zeros_for_no_text: whether the U-Net knows no text as zeros, not as what is said of "".
        scored: whether the U-Net is told an aesthetic score, as refiners are.

    Raises:
        ValueError: if the parts do not fit together; the message says which two.

    Source:
        Podell et al. 2023 (arXiv:2307.01952), section 2. In diffusers: `StableDiffusionXLPipeline`
        and, for the refiner, `StableDiffusionXLImg2ImgPipeline`; the last two attributes are
        theirs, `force_zeros_for_empty_prompt` and `requires_aesthetics_score`.
    """

    tokenizer: "CLIPTokenizer | None"
    tokenizer_2: "CLIPTokenizer"
    text_encoder: TextTransformer | None
    text_encoder_2: TextWithProjection
    unet: UNet
    vae: AutoencoderKL
    schedule: NoiseSchedule
    prediction_type: PredictionType = "epsilon"
    spacing: Spacing = "leading"
    steps_offset: int = 0
    size: int = 64
    zeros_for_no_text: bool = True
    scored: bool = False

    def __post_init__(self) -> None:
        """Refuse parts that were not made for each other."""
        unet, latent_channels = self.unet, self.vae.latent_channels
        if (self.tokenizer is None) != (self.text_encoder is None):
            raise ValueError("tokenizer: expected one exactly if there is a first text encoder")
        told = sum(tower.width for tower in self.towers)
        for name, part, expected, got in (
            ("in_channels", "vae has", latent_channels, unet.in_channels),
            ("out_channels", "vae has", latent_channels, unet.out_channels),
            ("context_dim", "text encoders have", told, unet.context_dim),
            ("pooled_dim", "projection has", self.text_encoder_2.projection_dim, unet.pooled_dim),
            ("num_time_ids", "pipeline tells", 5 if self.scored else 6, unet.num_time_ids),
        ):
            if got != expected:
                raise ValueError(f"unet.{name}: expected {expected}, as the {part}, got {got}")
        for tokenizer, text in zip(self.tokenizers, self.towers, strict=True):
            ids, length = len(tokenizer), tokenizer.model_max_length
            if ids > text.vocab_size or length > text.context_length:
                raise ValueError(
                    f"tokenizer: expected at most {text.vocab_size} ids and texts of "
                    f"{text.context_length}, as its text encoder has, got {ids} and {length}"
                )

    @property
    def towers(self) -> list[TextTransformer]:
        """The text encoders that there are, without projection."""
        second = self.text_encoder_2.text_model
        return [second] if self.text_encoder is None else [self.text_encoder, second]

    @property
    def tokenizers(self) -> "list[CLIPTokenizer]":
        """One tokeniser for each text encoder that there is."""
        return [self.tokenizer_2] if self.tokenizer is None else [self.tokenizer, self.tokenizer_2]

    @property
    def smallest_size(self) -> int:
        """In pixels, what every picture's sides are a multiple of."""
        return self.vae.downsampling_factor * 2 ** (len(self.unet.block_out_channels) - 1)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "TextToImageXL":
        """Move all networks, as `nn.Module.to` does, and return the pipeline itself."""
        for network in (self.text_encoder, self.text_encoder_2, self.unet, self.vae):
            if network is not None:
                network.to(device, dtype)
        return self


def load(folder: str | Path) -> TextToImageXL:
    """Read a pipeline of SDXL, or its refiner, from a folder that diffusers has written.

    Weights are read from safetensors only, in float32, onto the CPU; nothing is downloaded.

    Args:
        folder: with `model_index.json` and a folder for each part.

    Raises:
        ValueError: as `text_to_image.load`, the folder's pipeline being expected to be a
            `StableDiffusionXLPipeline` or a `StableDiffusionXLImg2ImgPipeline`.
    """
    folder = Path(folder)
    written = folder_xl.read_index(folder)
    has_first = folder_xl.has_first(written)
    scored = bool(written.get("requires_aesthetics_score", False))
    unet, sample_size = folder_xl.read_unet(folder, scored=scored)
    vae = parts.read_vae(folder)
    return TextToImageXL(
        tokenizer=parts.read_tokenizer(folder) if has_first else None,
        tokenizer_2=parts.read_tokenizer(folder, "tokenizer_2"),
        text_encoder=parts.read_text_encoder(folder) if has_first else None,
        text_encoder_2=folder_xl.read_text_encoder_2(folder),
        unet=unet,
        vae=vae,
        **parts.read_noise(folder),
        size=sample_size * vae.downsampling_factor,
        zeros_for_no_text=written.get("force_zeros_for_empty_prompt", True),
        scored=scored,
    )
