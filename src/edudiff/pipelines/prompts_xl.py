"""What Stable Diffusion XL is told: what two encoders say of the words, and how large a picture is.

Each token's states are those before an encoder's last layer, of both encoders side by side. The
second encoder also sums the whole text up, and with that come a few numbers about the picture.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from edudiff import checks
from edudiff.data.tokens import tokenize, unconditional
from edudiff.models.clip_text_projection import TextWithProjection
from edudiff.models.clip_towers import TextTransformer

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

Pair = tuple[int, int]


class Told(NamedTuple):
    """What the U-Net is told of words.

    Attributes:
        context: of each token, what all encoders say.
        text_embeds: of each text, its sum.
    """

    context: Float[Tensor, " b m d_context"]
    text_embeds: Float[Tensor, " b d_pooled"]


class PictureSize(NamedTuple):
    """What the U-Net is told of a picture's size, in pixels, heights before widths.

    Attributes:
        original_size: of the picture before it was brought to its present size.
        crops_coords_top_left: where in the whole the picture begins.
        target_size: of the picture.
        aesthetic_score: what a refiner is told in place of the target size, 6 being good.
    """

    original_size: Pair
    crops_coords_top_left: Pair
    target_size: Pair
    aesthetic_score: float = 6.0

    def time_ids(self, *, scored: bool) -> tuple[float, ...]:
        """The numbers in the order in which SDXL (6), or if `scored` its refiner (5), takes them.

        Source:
            Podell et al. 2023 (arXiv:2307.01952), section 2.2. In diffusers: `_get_add_time_ids`.
        """
        last = (self.aesthetic_score,) if scored else self.target_size
        return tuple(map(float, (*self.original_size, *self.crops_coords_top_left, *last)))


def read(
    text_encoder: TextTransformer | None, text_encoder_2: TextWithProjection, ids: Sequence[Tensor]
) -> Told:
    """What both encoders, or the second alone, say of texts.

    Args:
        text_encoder: the first one; None for a refiner.
        text_encoder_2: the second one, with a projection.
        ids: token ids for each encoder.
    """
    second = text_encoder_2(ids[-1])
    states = [second.hidden_states[-2]]
    if text_encoder is not None:
        states.insert(0, text_encoder(ids[0]).hidden_states[-2])
    return Told(torch.cat(states, dim=-1), second.text_embeds)


def encode(
    prompts: Sequence[str],
    tokenizers: Sequence["CLIPTokenizer"],
    text_encoder: TextTransformer | None,
    text_encoder_2: TextWithProjection,
) -> Told:
    """What is said of each prompt, padding included; "" stands for no text.

    Args:
        prompts: the texts.
        tokenizers: one for each encoder.
        text_encoder: the first encoder; None for a refiner.
        text_encoder_2: the second encoder.

    Raises:
        ValueError: if states are not finite, and what `tokenize` raises, such as for special tokens
            in a prompt.
    """
    device = text_encoder_2.text_projection.weight.device
    ids = [
        torch.cat([tokenize([p], each) if p.strip() else unconditional(each) for p in prompts])
        for each in tokenizers
    ]
    with torch.no_grad():
        told = read(text_encoder, text_encoder_2, [each.to(device) for each in ids])
    if not all(states.isfinite().all() for states in told):
        raise ValueError("text encoders: expected finite states, got infinity or NaN")
    return told


def check_size(name: str, size: Any, *, least: int = 1) -> Pair:
    """Refuse what is no height and width, or corner, in whole pixels.

    Raises:
        ValueError: with what came.
    """
    if not isinstance(size, tuple) or len(size) != 2:
        raise ValueError(f"{name}: expected (height, width), got {size!r}")
    checks.whole_at_least(least, **{f"{name}[{i}]": number for i, number in enumerate(size)})
    return size
