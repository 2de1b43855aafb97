"""How a Matryoshka pipeline reads prompts: with the small CLIP of the book, or with T5."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from edudiff.data.tokens import tokenize, unconditional
from edudiff.models.clip_towers import TextTransformer
from edudiff.pipelines.prompts import check_length, check_prompts, encode

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

    def check(self, prompts: Sequence[str], name: str = "prompts") -> None:
        """Refuse texts that cannot be read whole.

        Raises:
            ValueError: for one that is too long, called by `name`; the message says which words
                would have been cut.
        """
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

    def check(self, prompts: Sequence[str], name: str = "prompts") -> None:
        """Refuse texts that cannot be read whole.

        Raises:
            ValueError: what `check_prompts` raises.
        """
        check_prompts(prompts, self.tokenizer, name=name, may_be_empty=True)

    def __call__(self, prompts: Sequence[str]) -> Words:
        """Read each text.

        Raises:
            ValueError: what `check`, `tokenize` and `encode` raise.
        """
        self.check(prompts)
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

    def check(self, prompts: Sequence[str], name: str = "prompts") -> None:
        """Refuse texts that cannot be read whole.

        Raises:
            ValueError: for one longer than `longest`, less the end that every text gets; the
                message says which words would have been cut.
        """

        def length(text: str) -> int:
            return self.tokenizer([text], padding=True, return_tensors="pt").input_ids.shape[1] - 1

        for i, prompt in enumerate(prompts):
            check_length(prompt, self.longest - 1, length, name=f"{name}[{i}]")

    def __call__(self, prompts: Sequence[str]) -> Words:
        """Read each text, padded to the longest of them; what stands for padding is zero.

        Raises:
            ValueError: what `check` raises.
        """
        self.check(prompts)
        tokens = self.tokenizer(list(prompts), padding=True, return_tensors="pt")
        ids, mask = tokens.input_ids, tokens.attention_mask
        ids, mask = ids.to(self.encoder.device), mask.to(self.encoder.device)
        with torch.no_grad():
            states = self.encoder(input_ids=ids, attention_mask=mask).last_hidden_state
        return states * mask[..., None].to(states), mask.bool()
