"""What a LoRA is asked to be, and the batches and losses it learns from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from edudiff import checks
from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.min_snr import min_snr_weight
from edudiff.diffusion.prediction import training_target
from edudiff.layers import lora
from edudiff.pipelines import text_to_image
from edudiff.pipelines.text_to_image import TextToImage
from edudiff.training.job import Batch, Settings
from edudiff.training.recipes import lora_pictures, tiny_sd
from edudiff.training.recipes.lora_pictures import Pictures

ALL_LINEAR = "all-linear"
DROPPED = 0.1
NUM_PRIOR = 64


@dataclass(frozen=True)
class LoRASettings(Settings):
    """What decides the weights of a LoRA.

    Attributes:
        data: the folder with pictures.
        caption_from: see `lora_pictures.open_pictures`.
        pictures: their fingerprint.
        base: "tiny", "full", or the folder of a diffusers pipeline.
        targets: ends of layers' names, or `ALL_LINEAR` alone.
        rank: of the change of each layer.
        lora_alpha: what is learned counts lora_alpha / rank times.
        rslora: whether it counts lora_alpha / √rank times.
        rate: the highest learning rate.
        snr_gamma: γ of `min_snr_weight`; 0: every timestep counts the same.
        prior: prompts for pictures that the base draws itself and goes on being trained on, so
            that it forgets less; none: no prior preservation.
        prior_weight: how much such a picture counts.
        licence: of the result, written into its file.

    Raises:
        ValueError: if a number is too small.
    """

    data: str = ""
    caption_from: str = "metadata"
    pictures: str = ""
    base: str = "tiny"
    targets: list[str] = field(default_factory=lambda: [*lora.QUERY_VALUE])
    rank: int = 8
    lora_alpha: float = 8.0
    rslora: bool = False
    rate: float = 1e-3
    snr_gamma: float = 5.0
    prior: list[str] = field(default_factory=list)
    prior_weight: float = 1.0
    licence: str = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        checks.whole_at_least(1, rank=self.rank)
        checks.positive(lora_alpha=self.lora_alpha, rate=self.rate, prior_weight=self.prior_weight)
        if not self.snr_gamma >= 0:
            raise ValueError(f"snr_gamma: expected a number ≥ 0, got {self.snr_gamma}")


def draw_prior(pipe: TextToImage, prompts: Sequence[str], seed: int) -> Float[Tensor, " b c h w"]:
    """Latents of what the base draws for these prompts before it is trained.

    Source:
        Ruiz et al. 2022 (DreamBooth, arXiv:2208.12242), section 3.3.
    """
    generator, found = Generator().manual_seed(seed), []
    for first in range(0, len(prompts), lora_pictures.AT_ONCE):
        some = prompts[first : first + lora_pictures.AT_ONCE]
        options: dict[str, Any] = {"guidance_scale": tiny_sd.GUIDANCE_SCALE}
        *_, latents = text_to_image.sample(pipe, some, generator=generator, **options)
        found.append(latents.float().cpu())
    return torch.cat(found)


class Examples:
    """Latents and text states of all pictures, made once; the last ones are the base's own.

    Args:
        pipe: the base, as it was.
        pictures: the folder's.
        asked: the settings.
    """

    def __init__(self, pipe: TextToImage, pictures: Pictures, asked: LoRASettings) -> None:
        self.names, self.asked = pictures.names, asked
        self.held_out = pictures.held_out()
        self.learnt = [k for k in range(len(pictures)) if k not in self.held_out]
        prior = [asked.prior[k % len(asked.prior)] for k in range(NUM_PRIOR)] if asked.prior else []
        contexts = lora_pictures.contexts_of(pipe, ["", *pictures.captions, *prior])
        self.no_text, self.contexts = contexts[0], contexts[1:]
        self.latents = lora_pictures.latents_of(pipe, pictures)
        if prior:
            self.latents = torch.cat([self.latents, draw_prior(pipe, prior, asked.seed)])
        self.num_train_timesteps = pipe.schedule.num_train_timesteps

    def draw(self, batch_size: int, generator: Generator) -> Batch:
        """Some of them, at timesteps spread evenly over the table, one in ten without its caption.

        With prior preservation every second one is a picture of the base's own.
        """
        some = torch.randint(len(self.learnt), (batch_size,), generator=generator)
        rows = torch.tensor(self.learnt)[some]
        weight = torch.ones(batch_size)
        if self.asked.prior:
            own = torch.randint(NUM_PRIOR, (batch_size,), generator=generator) + len(self.names)
            is_own = torch.arange(batch_size) % 2 == 1
            rows = torch.where(is_own, own, rows)
            weight = torch.where(is_own, self.asked.prior_weight, weight)
        within = torch.arange(batch_size) + torch.rand(batch_size, generator=generator)
        dropped = torch.rand(batch_size, 1, 1, generator=generator) < DROPPED
        return {
            "row": rows,
            "weight": weight,
            "x0": self.latents[rows],
            "context": torch.where(dropped, self.no_text, self.contexts[rows]),
            "t": (within / batch_size * self.num_train_timesteps).long(),
            "eps": torch.randn(batch_size, *self.latents.shape[1:], generator=generator),
        }

    def name(self, row: int) -> str:
        """Which picture that is."""
        return self.names[row] if row < len(self.names) else "a picture of the base's own"


def errors_of(pipe: TextToImage, batch: Batch) -> Float[Tensor, " b"]:
    """The squared error of what the U-Net predicts, for each row."""
    x0, t, eps = batch["x0"], batch["t"], batch["eps"]
    xt = add_noise(x0, eps, t, pipe.schedule)
    target = training_target(x0, eps, t, pipe.schedule, pipe.prediction_type)
    answer = pipe.unet(xt, t, batch["context"])
    return (answer.float() - target).square().flatten(1).mean(1)


def losses(pipe: TextToImage, examples: Examples, batch: Batch) -> dict[str, Tensor]:
    """The weighted mean of the errors; and the plain one, to be compared between settings.

    Raises:
        FloatingPointError: naming the picture whose error is not finite.
    """
    errors = errors_of(pipe, batch)
    broken = ~errors.detach().isfinite()
    if broken.any():
        row = int(batch["row"][broken][0])
        got = errors.detach()[broken][0].item()
        raise FloatingPointError(
            f"loss: expected a finite number, got {got} at {examples.name(row)}; "
            "the weights are as before this step, the last checkpoint is kept"
        )
    weight, gamma = batch["weight"], examples.asked.snr_gamma
    if gamma:
        weight = weight * min_snr_weight(
            batch["t"], pipe.schedule, pipe.prediction_type, gamma=gamma
        )
    return {"loss": (weight * errors).mean(), "error": errors.mean()}
