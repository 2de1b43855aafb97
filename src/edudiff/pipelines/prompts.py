"""From prompts to what the text encoder says of each of their tokens, and what is no prompt."""

from bisect import bisect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor

from edudiff.data.tokens import tokenize, unconditional
from edudiff.models.clip_towers import TextTransformer

if TYPE_CHECKING:
    from transformers import CLIPTokenizer


def check_prompts(
    prompts: Sequence[str],
    tokenizer: "CLIPTokenizer",
    *,
    name: str = "prompts",
    may_be_empty: bool = False,
) -> None:
    """Refuse what cannot be read, rather than leave words out.

    Args:
        prompts: a list of texts.
        tokenizer: it knows how long a text may be.
        name: what the message calls the argument.
        may_be_empty: whether "", no text at all, is meant.

    Raises:
        ValueError: for anything but a list of texts, for none, for one without words, and for one
            that is too long; the message says which words would have been cut.
    """
    is_list = isinstance(prompts, Sequence) and not isinstance(prompts, str)
    if not is_list or not all(isinstance(prompt, str) for prompt in prompts):
        raise ValueError(f"{name}: expected a list of texts, got {prompts!r}")
    if not prompts:
        raise ValueError(f"{name}: expected at least one text, got none")
    most = tokenizer.model_max_length - 2
    for i, prompt in enumerate(prompts):
        if not prompt.strip() and not may_be_empty:
            raise ValueError(f"{name}[{i}]: expected some words, got {prompt!r}")
        check_length(prompt, most, lambda text: _length(text, tokenizer), name=f"{name}[{i}]")


def check_length(prompt: str, most: int, length: Callable[[str], int], *, name: str) -> None:
    """Refuse a text of more tokens than can be read.

    Args:
        prompt: the text.
        most: how many tokens can be read.
        length: how many tokens a text has; more words never have fewer.
        name: what the message calls the text.

    Raises:
        ValueError: if it is too long; the message says which words would have been cut.
    """
    words = prompt.split()
    fits = bisect(range(1, len(words) + 1), most, key=lambda n: length(" ".join(words[:n])))
    if fits < len(words):
        cut, got = " ".join(words[fits:]), length(" ".join(words))
        raise ValueError(f"{name}: expected at most {most} tokens, got {got}; too long by {cut!r}")


def check_negative_prompts(
    negative_prompts: Sequence[str] | None, prompts: Sequence[str], tokenizer: "CLIPTokenizer"
) -> Sequence[str]:
    """One negative prompt for each prompt: those given, or no text for each if none are.

    Raises:
        ValueError: what `check_prompts` raises, or if there are not as many as prompts.
    """
    if negative_prompts is None:
        return [""] * len(prompts)
    check_prompts(negative_prompts, tokenizer, name="negative_prompts", may_be_empty=True)
    if len(negative_prompts) != len(prompts):
        raise ValueError(
            f"negative_prompts: expected one for each of {len(prompts)} prompts, "
            f"got {len(negative_prompts)}"
        )
    return negative_prompts


def encode(
    prompts: Sequence[str], tokenizer: "CLIPTokenizer", text_encoder: TextTransformer
) -> Float[Tensor, " b m d"]:
    """What the text encoder says of each token, padding included; "" stands for no text.

    Raises:
        ValueError: if states are not finite, and what `tokenize` raises, such as for special tokens
            in a prompt.
    """
    ids = [
        tokenize([prompt], tokenizer) if prompt.strip() else unconditional(tokenizer)
        for prompt in prompts
    ]
    device = text_encoder.final_layer_norm.weight.device
    with torch.no_grad():
        states = text_encoder(torch.cat(ids).to(device)).last_hidden_state
    if not states.isfinite().all():
        raise ValueError("text_encoder: expected finite states, got infinity or NaN")
    return states


def _length(text: str, tokenizer: "CLIPTokenizer") -> int:
    return len(tokenizer(text, add_special_tokens=False, verbose=False).input_ids)
