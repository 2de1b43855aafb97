"""How a Matryoshka pipeline reads prompts: with the small CLIP of the book, or with T5."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from edudiff.data.tokens import tokenize, unconditional
from edudiff.models.clip_towers import TextTransformer
from edudiff.pipelines.prompts import encode

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

Words = tuple[Float[Tensor, " b m d"], Bool[Tensor, " b m"]]
"""What an encoder says of each token, and which of them are no padding."""


@runtime_checkable
class Reader(Protocol):
    """Whatever turns texts into `Words`; "" stands for no text."""

    @property
    def width(self) -> int:
        """Channels of a token."""
        ...

    def __call__(self, prompts: Sequence[str]) -> Words:
        """Read each text."""
        ...


@dataclass(frozen=True, eq=False)
class ClipReader:
    """The text side of CLIP; its first end of text is the last token that counts.

    Attributes:
        tokenizer: cuts a prompt into tokens.
        text_encoder: says something of each.
    """

    tokenizer: "CLIPTokenizer"
    text_encoder: TextTransformer

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.text_encoder.width

    def __call__(self, prompts: Sequence[str]) -> Words:
        """Read each text.

        Raises:
            ValueError: what `tokenize` and `encode` raise.
        """
        ids = torch.cat(
            [
                tokenize([prompt], self.tokenizer)
                if prompt.strip()
                else unconditional(self.tokenizer)
                for prompt in prompts
            ]
        )
        states = encode(prompts, self.tokenizer, self.text_encoder)
        return states, up_to_first_end(ids, self.tokenizer.eos_token_id).to(states.device)


def up_to_first_end(ids: Tensor, end: int) -> Bool[Tensor, " b n"]:
    """True up to and with the first `end` of each row: CLIP pads with more of them."""
    ends = ids == end
    return ends.cumsum(dim=1) - ends.long() == 0


@dataclass(frozen=True, eq=False)
class T5Reader:
    """The encoder of T5, as the published Matryoshka models want it.

    Attributes:
        tokenizer: a T5 tokeniser of transformers'.
        encoder: a `transformers.T5EncoderModel`; in bfloat16 it is half as large.
        longest: the longest text in tokens, its end included.
    """

    tokenizer: Any
    encoder: Any
    longest: int = 128

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.encoder.config.d_model

    def __call__(self, prompts: Sequence[str]) -> Words:
        """Read each text, padded to the longest of them; what stands for padding is zero.

        Raises:
            ValueError: if a text is longer than `longest`.
        """
        tokens = self.tokenizer(list(prompts), padding=True, return_tensors="pt")
        ids, mask = tokens.input_ids, tokens.attention_mask
        if ids.shape[1] > self.longest:
            expected, got = f"at most {self.longest} tokens", ids.shape[1]
            raise ValueError(f"prompts: expected {expected}, got {got}")
        ids, mask = ids.to(self.encoder.device), mask.to(self.encoder.device)
        with torch.no_grad():
            states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return states * mask[..., None].to(states), mask.bool()
