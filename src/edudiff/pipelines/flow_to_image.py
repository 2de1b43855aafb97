"""Stable Diffusion 3, read in one sitting: a transformer, and the straight way from noise.

prompts → tokens → two text encoders → states side by side, and one vector ┐
noise → Euler's method ⇄ transformer, asked with the prompt and without → latents → pictures
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff import checks
from edudiff.data.tokens import tokenize, unconditional
from edudiff.diffusion.flow import FlowModel, flow_times, sample_flow
from edudiff.diffusion.guidance import check_scale, guide
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.mmdit import MMDiT
from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines.decoding import to_pictures
from edudiff.pipelines.prompts import check_negative_prompts, check_prompts

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

CLOCK = 1000
"""The transformer is told 1000 s where the flow's time is s, as diffusion models count to 1000."""


@dataclass(frozen=True, eq=False)
class FlowToImage:
    """Everything that takes part when words become a picture.

    Attributes:
        tokenizer: cuts a prompt into tokens.
        text_encoder: reads them, and sums them up.
        text_encoder_2: does so too; may be the same one once more.
        transformer: says where noisy latents came from, reading text and picture together.
        vae: its decoder turns latents into pictures.
        shift: how much longer the walk stays near the noise, see `flow_times`.

    Raises:
        ValueError: if the parts do not fit together; the message says which two.

    Source:
        Esser et al. 2024 (arXiv:2403.03206), figure 2. In diffusers: `StableDiffusion3Pipeline`
        with `text_encoder_3=None, tokenizer_3=None`, called with `max_sequence_length=0`: of a
        third encoder that is not there, it would tell 256 tokens of zeros.
    """

    tokenizer: "CLIPTokenizer"
    text_encoder: TextWithProjection
    text_encoder_2: TextWithProjection
    transformer: MMDiT
    vae: AutoencoderKL
    shift: float = 1.0

    def __post_init__(self) -> None:
        """Refuse parts that were not made for each other."""
        net, channels, encoders = self.transformer, self.vae.latent_channels, self.text_encoders
        pooled, width = (
            sum(encoder.projection_dim for encoder in encoders),
            sum(encoder.text_model.width for encoder in encoders),
        )
        for name, part, expected, fits in (
            ("in_channels", "the vae has", channels, net.in_channels == channels),
            ("out_channels", "the vae has", channels, net.out_channels == channels),
            ("pooled_dim", "both text encoders have", pooled, net.pooled_dim == pooled),
            ("context_dim", "both text encoders have", f"≥ {width}", net.context_dim >= width),
        ):
            if not fits:
                got = getattr(net, name)
                raise ValueError(f"transformer.{name}: expected {expected}, as {part}, got {got}")
        ids, length = len(self.tokenizer), self.tokenizer.model_max_length
        for text in (encoder.text_model for encoder in encoders):
            if ids > text.vocab_size or length > text.context_length:
                raise ValueError(
                    f"tokenizer: expected at most {text.vocab_size} ids and texts of "
                    f"{text.context_length}, as the text encoder has, got {ids} and {length}"
                )

    @property
    def text_encoders(self) -> tuple[TextWithProjection, TextWithProjection]:
        """Both of them."""
        return self.text_encoder, self.text_encoder_2

    @property
    def size(self) -> int:
        """Height and width of the pictures it was trained on, in pixels."""
        return self.transformer.sample_size * self.vae.downsampling_factor

    @property
    def smallest_size(self) -> int:
        """In pixels, what every picture's sides are a multiple of."""
        return self.transformer.patch_size * self.vae.downsampling_factor

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "FlowToImage":
        """Move all networks, as `nn.Module.to` does, and return the pipeline itself."""
        for network in (*self.text_encoders, self.transformer, self.vae):
            network.to(device, dtype)
        return self


class Told(NamedTuple):
    """What the transformer is told of texts.

    Attributes:
        context: of each token what both encoders say, and zeros up to the width it was built for.
        pooled: of each text what both encoders say.
    """

    context: Float[Tensor, " b m d_context"]
    pooled: Float[Tensor, " b d_pooled"]


def read(pipe: FlowToImage, input_ids: Int[Tensor, " b m"]) -> Told:
    """What the transformer is told of these tokens."""
    first = pipe.text_encoder(input_ids)
    same = pipe.text_encoder is pipe.text_encoder_2
    second = first if same else pipe.text_encoder_2(input_ids)
    states = torch.cat([first.hidden_states[-2], second.hidden_states[-2]], dim=-1)
    context = F.pad(states, (0, pipe.transformer.context_dim - states.shape[-1]))
    return Told(context, torch.cat([first.text_embeds, second.text_embeds], dim=-1))


def sample(
    pipe: FlowToImage,
    prompts: Sequence[str],
    *,
    generator: Generator,
    num_inference_steps: int = 20,
    guidance_scale: float = 5.0,
    negative_prompts: Sequence[str] | None = None,
    size: int | None = None,
) -> Iterator[Float[Tensor, "b c h w"]]:
    """Walk from noise to latents of what the prompts say, yielding the latents after each step.

    All noise is drawn on the CPU, one picture after the other, before the first step; after that
    nothing is random.

    Args:
        pipe: the pipeline.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        num_inference_steps: how many times the transformer is asked.
        guidance_scale: how far to go from the answer without the prompt to the one with it, and
            beyond; 1 = off, so that the transformer is asked with the prompt alone.
        negative_prompts: a text for each picture to go away from instead of no text, which is "";
            without a meaning when guidance is off.
        size: height and width of the pictures, in pixels; as trained if not given.

    Yields:
        Latents as the transformer knows them; `decode` makes pictures of them.

    Raises:
        ValueError: at once, if the prompts or negative prompts are not lists of texts of one
            length, or one is empty (a negative one may be) or too long; if there is not at least
            one step, the guidance scale is below 0, or the size is no multiple of
            `pipe.smallest_size` or larger than the transformer knows places for; and while walking,
            if the transformer's answer is not finite.

    Source:
        Esser et al. 2024 (arXiv:2403.03206), sections 2 and 3. In diffusers:
        `StableDiffusion3Pipeline(…, sigmas=flow_times(S).tolist(), output_type="latent")`; without
        `sigmas`, diffusers walks from 1 to 1/1000 in S − 1 steps and makes a last, tiny one.
    """
    check_prompts(prompts, pipe.tokenizer)
    negative_prompts = check_negative_prompts(negative_prompts, prompts, pipe.tokenizer)
    times = flow_times(num_inference_steps, pipe.shift)
    shape = _latent_shape(pipe, size)
    model = flow_model(pipe, prompts, negative_prompts, guidance_scale)
    noise = torch.stack([torch.randn(shape, generator=generator) for _ in prompts])
    return sample_flow(model, noise.to(pipe.transformer.proj_out.weight.device), times)


def flow_model(
    pipe: FlowToImage,
    prompts: Sequence[str],
    negative_prompts: Sequence[str],
    guidance_scale: float,
) -> FlowModel:
    """The transformer as `sample_flow` wants it: (x, s) → its guided velocity for these prompts.

    With guidance it is asked about every picture twice, in one batch: first with the negative
    prompt, then with the prompt.

    Raises:
        ValueError: for a guidance scale below 0 or infinite; when asked, for an infinite answer.
    """
    check_scale(guidance_scale)
    guided = guidance_scale != 1
    texts = [*negative_prompts, *prompts] if guided else prompts
    weight = pipe.transformer.proj_out.weight
    ids = [
        tokenize([text], pipe.tokenizer) if text.strip() else unconditional(pipe.tokenizer)
        for text in texts
    ]
    with torch.no_grad():
        told = read(pipe, torch.cat(ids).to(weight.device))

    def model(x: Float[Tensor, "b c h w"], s: Float[Tensor, " b"]) -> Float[Tensor, "b c h w"]:
        times = 2 if guided else 1
        t = (CLOCK * s).repeat(times)
        answer = pipe.transformer(x.to(weight.dtype).repeat(times, 1, 1, 1), t, *told)
        if not answer.isfinite().all():
            raise ValueError(f"transformer: expected finite answers, got NaN or ∞ at s = {s[0]}")
        if not guided:
            return answer.to(x.dtype)
        without, told_of = answer.to(x.dtype).chunk(2)
        return guide(without, told_of, guidance_scale)

    return model


def decode(pipe: FlowToImage, latents: Float[Tensor, "b c h w"]) -> Float[Tensor, "b 3 H W"]:
    """Pictures in [-1, 1] of latents as `sample` yields them.

    Raises:
        ValueError: if latents or pictures are not finite.
    """
    return to_pictures(pipe.vae, latents)


def generate(
    pipe: FlowToImage, prompts: Sequence[str], *, generator: Generator, **options: Any
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


def _latent_shape(pipe: FlowToImage, size: int | None) -> tuple[int, int, int]:
    size, factor = pipe.size if size is None else size, pipe.smallest_size
    checks.whole_at_least(1, size=size)
    largest = pipe.transformer.pos_embed_max_size * factor
    if size % factor or size > largest:
        raise ValueError(f"size: expected a multiple of {factor} up to {largest}, got {size}")
    side = size // pipe.vae.downsampling_factor
    return pipe.vae.latent_channels, side, side
