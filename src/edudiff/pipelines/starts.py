"""Where a walk begins that begins with a picture: its latents, noised part of the way."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.samplers import Denoiser
from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.spacing import spaced_timesteps
from edudiff.pipelines.canvas import check_pictures
from edudiff.pipelines.prompts import check_negative_prompts, check_prompts
from edudiff.pipelines.text_to_image import TextToImage, denoiser


@dataclass(frozen=True, eq=False)
class Start:
    """What a walk from a picture needs.

    Attributes:
        model: the guided U-Net, as samplers want it.
        timesteps: those to visit, the noisiest left out.
        latents: the picture's own.
        noise: as many numbers, standard normal.
        schedule: the noise tables.
    """

    model: Denoiser
    timesteps: Int[Tensor, " S"]
    latents: Float[Tensor, "b c h w"]
    noise: Float[Tensor, "b c h w"]
    schedule: NoiseSchedule

    def at(self, t: int) -> Float[Tensor, "b c h w"]:
        """The picture's latents with as much of the noise as there is at timestep t; −1: none."""
        if t < 0:
            return self.latents
        here = torch.full(self.latents.shape[:1], t, device=self.latents.device)
        return add_noise(self.latents, self.noise, here, self.schedule)


def start(
    pipe: TextToImage,
    pictures: Float[Tensor, "b 3 H W"],
    prompts: Sequence[str],
    *,
    generator: Generator,
    strength: float,
    num_inference_steps: int,
    guidance_scale: float,
    negative_prompts: Sequence[str] | None,
) -> Start:
    """Look at everything that was asked for, encode the pictures and draw the noise.

    Arguments as of `editing.image_to_image`. Noise is drawn on the CPU, one picture after the
    other.

    Raises:
        ValueError: what `text_to_image.sample`, `encode` and `last_timesteps` raise; for another
            number of pictures than prompts.
    """
    check_prompts(prompts, pipe.tokenizer)
    negative_prompts = check_negative_prompts(negative_prompts, prompts, pipe.tokenizer)
    timesteps = last_timesteps(pipe, num_inference_steps, strength)
    check_pictures(pictures, pipe.smallest_size)
    if len(pictures) != len(prompts):
        expected = f"one for each of {len(prompts)} prompts"
        raise ValueError(f"pictures: expected {expected}, got {len(pictures)}")
    model = denoiser(pipe, prompts, negative_prompts, guidance_scale)
    latents = encode(pipe, pictures)
    shape = latents.shape[1:]
    noise = torch.stack([torch.randn(shape, generator=generator) for _ in prompts])
    return Start(model, timesteps, latents, noise.to(latents), pipe.schedule)


def encode(pipe: TextToImage, pictures: Float[Tensor, "b 3 H W"]) -> Float[Tensor, "b c h w"]:
    """Latents of pictures as the U-Net knows them; `text_to_image.decode` leads back.

    The most likely latents are taken, the mean of the encoder's Gaussian: nothing is drawn.

    Args:
        pipe: the pipeline.
        pictures: in [-1, 1], with sides that are multiples of `pipe.smallest_size`.

    Raises:
        ValueError: for pictures of another shape, another range or another kind of number, or if
            their latents are not finite.
    """
    check_pictures(pictures, pipe.smallest_size)
    weight = pipe.vae.quant_conv.weight
    with torch.no_grad():
        mean = pipe.vae.encode(pictures.to(weight)).mean.to(pictures.dtype)
    if not mean.isfinite().all():
        raise ValueError("vae: expected finite latents, got infinity or NaN")
    return mean * pipe.vae.scaling_factor


def last_timesteps(
    pipe: TextToImage, num_inference_steps: int, strength: float
) -> Int[Tensor, " S_left"]:
    """Of S timesteps the last ⌊strength · S⌋, the cleanest.

    Raises:
        ValueError: for a strength that is not in (0, 1], or so small that no step is left; and what
            `spaced_timesteps` raises.

    Source:
        In diffusers: `StableDiffusionImg2ImgPipeline.get_timesteps`.
    """
    if not 0 < strength <= 1:
        raise ValueError(f"strength: expected a number above 0 and at most 1, got {strength!r}")
    timesteps = spaced_timesteps(
        pipe.schedule.num_train_timesteps, num_inference_steps, pipe.spacing, pipe.steps_offset
    )
    count = int(num_inference_steps * strength)
    if not count:
        expected = f"at least {1 / num_inference_steps:g}, one step of {num_inference_steps}"
        raise ValueError(f"strength: expected {expected}, got {strength!r}")
    return timesteps[-count:]
