"""Stable Diffusion, read in one sitting: from words to a picture.

prompts → tokens → text states ┐
noise → sampler ⇄ U-Net, asked with the prompt and without → latents → decoder → pictures
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff import checks
from edudiff.diffusion.guidance import check_scale, guide
from edudiff.diffusion.prediction import PredictionType
from edudiff.diffusion.samplers import SAMPLERS, Denoiser
from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.spacing import Spacing, spaced_timesteps
from edudiff.models.clip_towers import TextTransformer
from edudiff.models.unet import UNet
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines import folder as parts
from edudiff.pipelines.canvas import check_sides
from edudiff.pipelines.decoding import to_pictures
from edudiff.pipelines.prompts import check_negative_prompts, check_prompts, encode

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


@dataclass(frozen=True, eq=False)
class TextToImage:
    """Everything that takes part when words become a picture.

    Attributes:
        tokenizer: cuts a prompt into tokens.
        text_encoder: reads them.
        unet: says what is noise in noisy latents, asking the text.
        vae: its decoder turns latents into pictures.
        schedule: the noise tables the U-Net was trained with.
        prediction_type: what the U-Net predicts.
        spacing: how a few timesteps are chosen of all.
        steps_offset: see `spaced_timesteps`.
        size: height and width of the pictures it was trained on, in pixels.

    Raises:
        ValueError: if the parts do not fit together; the message says which two.

    Source:
        Rombach et al. 2022 (arXiv:2112.10752), figure 3. In diffusers: `StableDiffusionPipeline`.
    """

    tokenizer: "CLIPTokenizer"
    text_encoder: TextTransformer
    unet: UNet
    vae: AutoencoderKL
    schedule: NoiseSchedule
    prediction_type: PredictionType = "epsilon"
    spacing: Spacing = "leading"
    steps_offset: int = 0
    size: int = 64

    def __post_init__(self) -> None:
        """Refuse parts that were not made for each other."""
        unet, text, latent_channels = self.unet, self.text_encoder, self.vae.latent_channels
        for name, part, expected, got in (
            ("in_channels", "vae", latent_channels, unet.in_channels),
            ("out_channels", "vae", latent_channels, unet.out_channels),
            ("context_dim", "text encoder", text.width, unet.context_dim),
            ("pooled_dim", "text encoder", None, unet.pooled_dim),
        ):
            if got != expected:
                raise ValueError(f"unet.{name}: expected {expected}, as the {part} has, got {got}")
        ids, length = len(self.tokenizer), self.tokenizer.model_max_length
        if ids > text.vocab_size or length > text.context_length:
            raise ValueError(
                f"tokenizer: expected at most {text.vocab_size} ids and texts of "
                f"{text.context_length}, as the text encoder has, got {ids} and {length}"
            )

    @property
    def smallest_size(self) -> int:
        """In pixels, what every picture's sides are a multiple of."""
        return self.vae.downsampling_factor * 2 ** (len(self.unet.block_out_channels) - 1)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "TextToImage":
        """Move all networks, as `nn.Module.to` does, and return the pipeline itself."""
        for network in (self.text_encoder, self.unet, self.vae):
            network.to(device, dtype)
        return self


def load(folder: str | Path) -> TextToImage:
    """Read a pipeline from a folder that diffusers has written, into our own modules.

    Weights are read from safetensors only, in float32, onto the CPU; nothing is downloaded.

    Args:
        folder: with `model_index.json` and a folder for each part; a safety checker is left out.

    Raises:
        ValueError: if the folder holds no `StableDiffusionPipeline`, or not all of one; if a part
            has an option that ours does not have, or weights that are missing or not finite; or if
            the parts do not fit together.
    """
    folder = Path(folder)
    parts.check_folder(folder)
    unet, sample_size = parts.read_unet(folder)
    vae = parts.read_vae(folder)
    return TextToImage(
        parts.read_tokenizer(folder),
        parts.read_text_encoder(folder),
        unet,
        vae,
        **parts.read_noise(folder),
        size=sample_size * vae.downsampling_factor,
    )


def sample(
    pipe: TextToImage,
    prompts: Sequence[str],
    *,
    generator: Generator,
    num_inference_steps: int = 20,
    guidance_scale: float = 5.0,
    negative_prompts: Sequence[str] | None = None,
    sampler: str = "dpm-solver++",
    height: int | None = None,
    width: int | None = None,
) -> Iterator[Float[Tensor, "b c h w"]]:
    """Walk from noise to latents of what the prompts say, yielding the latents after each step.

    All noise is drawn on the CPU, one picture after the other, so that a seed means the same on
    every device, and a picture stays the same whatever the other prompts say and however many come
    after it ("ddpm" and "euler-ancestral" draw at every step, so that their number does matter).

    Args:
        pipe: the pipeline.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        num_inference_steps: S, how many times the U-Net is asked.
        guidance_scale: how far to go from the answer without the prompt to the one with it, and
            beyond; 1 = off, so that the U-Net is asked with the prompt alone.
        negative_prompts: a text for each picture to go away from instead of no text, which is "";
            without a meaning when guidance is off.
        sampler: one of `SAMPLERS`.
        height: of the pictures, in pixels; as trained if not given.
        width: of the pictures, in pixels; as trained if not given.

    Yields:
        S tensors, latents as the U-Net knows them; `decode` makes pictures of them.

    Raises:
        ValueError: at once, if the prompts or negative prompts are not lists of texts of one
            length, or one is empty (a negative one may be) or too long; if S is not in 1…T, the
            guidance scale is below 0, there is no such sampler, or a side is no multiple of
            `pipe.smallest_size`; and while walking, if the U-Net's answer is not finite.

    Source:
        Rombach et al. 2022 (arXiv:2112.10752), section 3.3; guidance as in Ho and Salimans 2022
        (arXiv:2207.12598). In diffusers: `StableDiffusionPipeline(…, output_type="latent")`, whose
        DPM-Solver++ and Heun visit the same timesteps only if `spacing` is "trailing".
    """
    check_prompts(prompts, pipe.tokenizer)
    negative_prompts = check_negative_prompts(negative_prompts, prompts, pipe.tokenizer)
    walk = checks.choose("sampler", sampler, SAMPLERS)
    timesteps = spaced_timesteps(
        pipe.schedule.num_train_timesteps, num_inference_steps, pipe.spacing, pipe.steps_offset
    )
    shape = _latent_shape(pipe, height, width)
    model = denoiser(pipe, prompts, negative_prompts, guidance_scale)
    noise = torch.stack([torch.randn(shape, generator=generator) for _ in prompts])
    return walk(
        model,
        noise.to(pipe.unet.conv_in.weight.device),
        timesteps,
        pipe.schedule,
        prediction_type=pipe.prediction_type,
        generator=generator,
    )


def denoiser(
    pipe: TextToImage,
    prompts: Sequence[str],
    negative_prompts: Sequence[str],
    guidance_scale: float,
) -> Denoiser:
    """The U-Net as samplers want it: (xt, t) → its guided answer for these prompts.

    With guidance it is asked about every picture twice, in one batch: first with the negative
    prompt, then with the prompt.

    Raises:
        ValueError: for a guidance scale below 0 or infinite; when asked, for an infinite answer.
    """
    check_scale(guidance_scale)
    guided = guidance_scale != 1
    texts = [*negative_prompts, *prompts] if guided else prompts
    context = encode(texts, pipe.tokenizer, pipe.text_encoder)
    dtype = pipe.unet.conv_in.weight.dtype

    def model(xt: Float[Tensor, "b c h w"], t: Int[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        times = 2 if guided else 1
        answer = pipe.unet(xt.to(dtype).repeat(times, 1, 1, 1), t.repeat(times), context)
        if not answer.isfinite().all():
            raise ValueError(f"unet: expected finite answers, got infinity or NaN at t = {t[0]}")
        if not guided:
            return answer.to(xt.dtype)
        unconditional, conditional = answer.to(xt.dtype).chunk(2)
        return guide(unconditional, conditional, guidance_scale)

    return model


def decode(pipe: TextToImage, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 H W"]:
    """Pictures in [-1, 1] of latents as `sample` yields them.

    Raises:
        ValueError: if latents or pictures are not finite.
    """
    return to_pictures(pipe.vae, latents)


def generate(
    pipe: TextToImage, prompts: Sequence[str], *, generator: Generator, **options: Any
) -> Float[Tensor, "b 3 h w"]:
    """A picture in [-1, 1] for each prompt: what `sample` ends with, decoded.

    Args:
        pipe: the pipeline.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        options: the other arguments of `sample`, such as `num_inference_steps=50`.

    Raises:
        ValueError: what `sample` and `decode` raise.
    """
    steps = sample(pipe, prompts, generator=generator, **options)
    return decode(pipe, deque(steps, maxlen=1)[0])


def _latent_shape(pipe: TextToImage, height: int | None, width: int | None) -> tuple[int, int, int]:
    height, width = (pipe.size if side is None else side for side in (height, width))
    check_sides(pipe.smallest_size, height=height, width=width)
    factor = pipe.vae.downsampling_factor
    return pipe.vae.latent_channels, height // factor, width // factor
