"""DALL·E, read in one sitting: a caption goes on as a picture, one token after the other.

prompts → text tokens ┐
                      GPT → one image token → GPT → the next … → 64 of them → decoder → pictures
"""

import math
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange
from jaxtyping import Float, Int
from torch import Generator, Tensor

from edudiff import checks
from edudiff.data.tokens import tokenize, unconditional
from edudiff.diffusion.guidance import check_scale
from edudiff.layers.gpt import Kept
from edudiff.models.clip import CLIP
from edudiff.models.dalle import DALLE
from edudiff.models.vector_quantizer import VQModel
from edudiff.pipelines.prompts import check_prompts

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


@dataclass(frozen=True, eq=False)
class DalleToImage:
    """Everything that takes part when words become a picture.

    Attributes:
        tokenizer: cuts a prompt into tokens.
        transformer: guesses the next token, of words and pictures alike.
        vqvae: its decoder makes a picture of image tokens.

    Raises:
        ValueError: if the parts do not fit together; the message says which two.

    Source:
        Ramesh et al. 2021 (arXiv:2102.12092), section 2.
    """

    tokenizer: "CLIPTokenizer"
    transformer: DALLE
    vqvae: VQModel

    def __post_init__(self) -> None:
        """Refuse parts that were not made for each other."""
        net = self.transformer
        for name, part, expected in (
            ("num_codes", "vqvae", self.vqvae.num_codes),
            ("text_vocab_size", "tokenizer", len(self.tokenizer)),
            ("text_length", "tokenizer", self.tokenizer.model_max_length),
            ("image_length", "square picture", self.side**2),
        ):
            if (got := getattr(net, name)) != expected:
                raise ValueError(
                    f"transformer.{name}: expected {expected}, as the {part} has, got {got}"
                )

    @property
    def side(self) -> int:
        """Image tokens along a side of a picture."""
        return math.isqrt(self.transformer.image_length)

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "DalleToImage":
        """Move all networks, as `nn.Module.to` does, and return the pipeline itself."""
        for network in (self.transformer, self.vqvae):
            network.to(device, dtype)
        return self


def choose(
    logits: Float[Tensor, " b k"],
    uniform: Float[Tensor, " b"],
    *,
    temperature: float = 1.0,
    top_k: int | None = None,
) -> Int[Tensor, " b"]:
    """One of the codes for each row, the likelier the more often.

    The k-th code is taken if the uniform number falls into its part of [0, 1].

    Args:
        logits: how likely each code is, unnormalised logarithms.
        uniform: random numbers in [0, 1).
        temperature: logits are divided by it: below 1 likely codes become likelier.
        top_k: if given, only so many of the likeliest codes are taken.

    Raises:
        ValueError: if the temperature is not above 0, or top_k is not in 1…k.
    """
    checks.positive(temperature=temperature)
    if top_k is not None:
        checks.whole_at_least(1, top_k=top_k)
        if top_k > logits.shape[1]:
            raise ValueError(f"top_k: expected at most {logits.shape[1]}, got {top_k}")
        least = logits.topk(top_k, dim=1).values[:, -1:]
        logits = logits.masked_fill(logits < least, -torch.inf)
    sums = (logits.double() / temperature).softmax(dim=1).cumsum(dim=1)
    passed = (sums <= uniform[:, None].to(sums) * sums[:, -1:]).sum(dim=1)
    return passed.clamp(max=logits.shape[1] - 1)


@torch.no_grad()
def sample(
    pipe: DalleToImage,
    prompts: Sequence[str],
    *,
    generator: Generator,
    temperature: float = 1.0,
    top_k: int | None = None,
    guidance_scale: float = 1.0,
    use_cache: bool = True,
) -> Iterator[Int[Tensor, "b n"]]:
    """Write pictures token by token, yielding the codes so far after each one.

    All random numbers are drawn on the CPU before the first token, one picture after the other.

    Args:
        pipe: the pipeline.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        temperature: see `choose`.
        top_k: see `choose`.
        guidance_scale: how far to go from the logits without the prompt to those with it, and
            beyond; 1 = off, as in DALL·E.
        use_cache: whether keys and values of earlier tokens are kept; if not, everything is
            computed anew for every token, and comes out the same.

    Yields:
        Codes of the first n places, row by row; `decode` makes pictures of all of them.

    Raises:
        ValueError: on the first step, if the prompts are no list of texts, or one is empty or too
            long, the guidance scale is below 0, or what `choose` raises.

    Source:
        Ramesh et al. 2021 (arXiv:2102.12092), section 2; guidance as in Yu et al. 2022 (Parti,
        arXiv:2206.10789), section 2.
    """
    check_prompts(prompts, pipe.tokenizer)
    check_scale(guidance_scale)
    net, guided = pipe.transformer, guidance_scale != 1
    device = net.transformer.wte.weight.device
    uniform = torch.stack([torch.rand(net.image_length, generator=generator) for _ in prompts])
    text = tokenize(prompts, pipe.tokenizer)
    if guided:
        text = torch.cat([unconditional(pipe.tokenizer).expand_as(text), text])
    text = text.to(device)
    codes, new, kept = text[: len(prompts), :0], text, None
    for u in uniform.to(device).T:
        logits, kept = _next(net, new, kept)
        if guided:
            without, told = logits.chunk(2)
            logits = without + guidance_scale * (told - without)
        found = choose(logits, u, temperature=temperature, top_k=top_k)
        codes = torch.cat([codes, found[:, None]], dim=1)
        yield codes
        asked = codes.repeat(2 if guided else 1, 1)
        new = net.sequence(text, asked)
        new, kept = (new[:, -1:], kept) if use_cache else (new, None)


def _next(net: DALLE, new: Tensor, kept: list[Kept] | None) -> tuple[Tensor, list[Kept]]:
    """Logits of the codes that may follow; words may not."""
    logits, kept = net(new, kept)
    return logits[:, -1, net.text_vocab_size :].float(), kept


@torch.no_grad()
def decode(pipe: DalleToImage, codes: Int[Tensor, "b n"]) -> Float[Tensor, "b 3 h w"]:
    """Pictures in [-1, 1] of the codes of all places.

    Raises:
        ValueError: if there are too few or too many codes, or one is not in the codebook.
    """
    if codes.shape[1] != pipe.side**2:
        raise ValueError(f"codes: expected {pipe.side**2} of each, got {codes.shape[1]}")
    places = rearrange(codes, "b (h w) -> b h w", h=pipe.side)
    return pipe.vqvae.decode(pipe.vqvae.quantize.codes(places)).float().clamp(-1, 1)


def generate(
    pipe: DalleToImage, prompts: Sequence[str], *, generator: Generator, **options: Any
) -> Float[Tensor, "b 3 h w"]:
    """A picture in [-1, 1] for each prompt: what `sample` ends with, decoded.

    Args:
        pipe: the pipeline.
        prompts: a text for each picture.
        generator: the source of randomness, on the CPU.
        options: the other arguments of `sample`, such as `top_k=64`.

    Raises:
        ValueError: what `sample` raises.
    """
    steps = sample(pipe, prompts, generator=generator, **options)
    return decode(pipe, deque(steps, maxlen=1)[0])


@torch.no_grad()
def best_of(
    pipe: DalleToImage,
    clip: CLIP,
    prompts: Sequence[str],
    *,
    number: int,
    generator: Generator,
    **options: Any,
) -> Float[Tensor, "b 3 h w"]:
    """Of several pictures for each prompt the one that CLIP finds most like it.

    Args:
        pipe: the pipeline.
        clip: it reads the same tokens.
        prompts: a text for each picture.
        number: pictures to choose from; DALL·E's were 512.
        generator: the source of randomness, on the CPU.
        options: the other arguments of `sample`.

    Raises:
        ValueError: if the number is below 1, or what `sample` raises.

    Source:
        Ramesh et al. 2021 (arXiv:2102.12092), section 2.6.
    """
    checks.whole_at_least(1, number=number)
    rounds = [generate(pipe, prompts, generator=generator, **options) for _ in range(number)]
    pictures = torch.stack(rounds)
    texts = clip.encode_text(tokenize(prompts, pipe.tokenizer).to(pictures.device))
    seen = clip.encode_image(pictures.flatten(0, 1)).unflatten(0, (number, len(prompts)))
    likeness = torch.cosine_similarity(seen, texts[None], dim=-1)
    return pictures[likeness.argmax(dim=0), torch.arange(len(prompts))]
