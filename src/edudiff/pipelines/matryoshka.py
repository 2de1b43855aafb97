"""Matryoshka, read in one sitting: from words to the same picture at all resolutions.

prompts → words ───────────────────────────┐
noise at every resolution → every stream ⇄ nested U-Net, asked with the prompt and without
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff import checks
from edudiff.diffusion.guidance import check_scale, guide
from edudiff.diffusion.multiscale import draw_noise, shifted_schedules
from edudiff.diffusion.multiscale_sampling import (
    MultiscaleDenoiser,
    matryoshka_timesteps,
    multiscale_sample,
)
from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.spacing import spaced_timesteps
from edudiff.diffusion.threshold import THRESHOLDS
from edudiff.models.doll import Doll
from edudiff.pipelines.words import Reader


@dataclass(frozen=True, eq=False)
class Matryoshka:
    """Everything that takes part when words become pictures at several resolutions.

    Attributes:
        reader: turns prompts into words.
        unet: says what is noise in noisy pictures of all resolutions, asking the words.
        schedule: the noise tables of the lowest resolution.
        power: how far the higher ones' are shifted; see `shifted`.
        size: side of the pictures at the highest resolution, in pixels.
        spacing: "matryoshka" for timesteps as the published code has them, or one of
            `spaced_timesteps`: "trailing" begins where there is nothing but noise.

    Raises:
        ValueError: if the reader's words are not as wide as the network wants them, or the size is
            not one it can have.

    Source:
        Gu et al. 2023 (arXiv:2310.15111).
    """

    reader: Reader
    unet: Doll
    schedule: NoiseSchedule
    power: int | float = 1.0
    size: int = 64
    spacing: str = "trailing"

    def __post_init__(self) -> None:
        """Refuse parts that were not made for each other."""
        expected = self.unet.text_dim
        if self.reader.width != expected:
            got = self.reader.width
            raise ValueError(f"reader: expected words {expected} wide, as the unet has, got {got}")
        checks.whole_at_least(1, size=self.size)
        if self.size % self.smallest_size:
            expected_size = f"a multiple of {self.smallest_size}, as the unet needs"
            raise ValueError(f"size: expected {expected_size}, got {self.size}")

    @property
    def smallest_size(self) -> int:
        """What the highest resolution's side is a multiple of, in pixels."""
        return self.unet.ratios[0] * self.unet.smallest_side

    @property
    def sizes(self) -> list[int]:
        """The side of each resolution, high to low, in pixels."""
        return [self.size * ratio // self.unet.ratios[0] for ratio in self.unet.ratios]

    @property
    def schedules(self) -> list[NoiseSchedule]:
        """The noise tables of each resolution."""
        return shifted_schedules(self.schedule, self.unet.ratios, self.power)


def sample(
    pipe: Matryoshka,
    prompts: Sequence[str],
    *,
    generator: Generator,
    num_inference_steps: int = 50,
    guidance_scale: float = 5.0,
    negative_prompts: Sequence[str] | None = None,
    eta: float | None = 0.0,
    threshold: str = "dynamic_if",
) -> Iterator[list[Float[Tensor, "b c _ _"]]]:
    """Walk from noise to pictures, yielding those of all resolutions after each step.

    All noise is drawn on the CPU, one picture after the other, so that a seed means the same on
    every device, and a picture stays the same however many come after it (if η is 0).

    Args:
        pipe: the pipeline.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        num_inference_steps: S, how many times the network is asked.
        guidance_scale: how far to go from the answer without the prompt to the one with it, and
            beyond, at every resolution; 1 = off.
        negative_prompts: a text for each picture to go away from instead of no text, which is "".
        eta: η of DDIM; None for DDPM.
        threshold: what to do with estimates outside [-1, 1]; one of `THRESHOLDS`.

    Yields:
        S lists of noisy pictures, high to low; the last one's are in [-1, 1] unless `threshold` is
        "none".

    Raises:
        ValueError: at once, if there is no prompt, one is not a text, is empty or too long, there
            are not as many negative prompts; if S is not in 1…T, the guidance scale is below 0, the
            threshold or spacing unknown; and while walking, if the network's answer is not finite.

    Source:
        Gu et al. 2023 (arXiv:2310.15111); guidance as in Ho and Salimans 2022 (arXiv:2207.12598).
    """
    checks.choose("threshold", threshold, THRESHOLDS)
    _check_prompts(pipe.reader, prompts, negative_prompts)
    total = pipe.schedule.num_train_timesteps
    if pipe.spacing == "matryoshka":
        timesteps = matryoshka_timesteps(total, num_inference_steps)
    else:
        timesteps = spaced_timesteps(total, num_inference_steps, pipe.spacing)  # type: ignore[arg-type]
    model = denoiser(pipe, prompts, negative_prompts or [""] * len(prompts), guidance_scale)
    shapes = [(pipe.unet.channels, side, side) for side in pipe.sizes]
    noise = draw_noise(len(prompts), shapes, generator)
    device = pipe.unet.conv_in.weight.device
    return multiscale_sample(
        model,
        [level.to(device) for level in noise],
        timesteps,
        pipe.schedules,
        eta=eta,
        threshold=threshold,
        generator=generator,
    )


def denoiser(
    pipe: Matryoshka,
    prompts: Sequence[str],
    negative_prompts: Sequence[str],
    guidance_scale: float,
) -> MultiscaleDenoiser:
    """The nested U-Net as the sampler wants it: (xs, t) → its guided answers for these prompts.

    Raises:
        ValueError: for a guidance scale below 0 or infinite; when asked, for an infinite answer.
    """
    check_scale(guidance_scale)
    guided = guidance_scale != 1
    weight = pipe.unet.conv_in.weight
    states, mask = pipe.reader([*negative_prompts, *prompts] if guided else prompts)
    states, mask = states.to(weight), mask.to(weight.device)

    def model(xs: list[Tensor], t: Int[Tensor, " b"]) -> list[Tensor]:
        times = 2 if guided else 1
        inputs = [x.to(weight.dtype).repeat(times, 1, 1, 1) for x in xs]
        answers = pipe.unet(inputs, t.repeat(times), states, mask)
        if not all(answer.isfinite().all() for answer in answers):
            raise ValueError(f"unet: expected finite answers, got infinity or NaN at t = {t[0]}")
        answers = [answer.to(x.dtype) for answer, x in zip(answers, xs, strict=True)]
        if not guided:
            return answers
        return [_guided(answer, guidance_scale) for answer in answers]

    return model


def _guided(answer: Tensor, guidance_scale: float) -> Tensor:
    unconditional, conditional = answer.chunk(2)
    return guide(unconditional, conditional, guidance_scale)


def generate(
    pipe: Matryoshka, prompts: Sequence[str], *, generator: Generator, **options: Any
) -> list[Float[Tensor, "b c _ _"]]:
    """Pictures in [-1, 1] at every resolution, high to low: what `sample` ends with.

    Args:
        pipe: the pipeline.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        options: the other arguments of `sample`, such as `num_inference_steps=100`.

    Raises:
        ValueError: what `sample` raises.
    """
    steps = sample(pipe, prompts, generator=generator, **options)
    return [x.clamp(-1, 1) for x in deque(steps, maxlen=1)[0]]


def _check_prompts(
    reader: Reader, prompts: Sequence[str], negative_prompts: Sequence[str] | None
) -> None:
    for name, texts in (("prompts", prompts), ("negative_prompts", negative_prompts)):
        if texts is None:
            continue
        if isinstance(texts, str) or not all(isinstance(text, str) for text in texts):
            raise ValueError(f"{name}: expected a list of texts, got {texts!r}")
        if len(texts) != len(prompts) or not texts:
            expected = f"one for each of {max(1, len(prompts))} pictures"
            raise ValueError(f"{name}: expected {expected}, got {len(texts)}")
        reader.check(texts, name)
    for i, prompt in enumerate(prompts):
        if not prompt.strip():
            raise ValueError(f"prompts[{i}]: expected some words, got {prompt!r}")
