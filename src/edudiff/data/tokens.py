"""From captions to token ids, by a tokeniser that transformers and diffusers read as their own."""

import json
import re
import tempfile
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from jaxtyping import Int
from torch import Tensor

from edudiff import checks
from edudiff.data import bpe

if TYPE_CHECKING:
    from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
WORD = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d|[^\W\d_]+|\d|(?:[^\s\w]|_)+")


def words(caption: str) -> list[str]:
    """The caption in lower case, cut as CLIP cuts it: words, single digits, runs of other signs."""
    return WORD.findall(caption.lower())


def make_tokenizer(
    captions: Iterable[str], *, num_merges: int = 256, context_length: int = 24
) -> "CLIPTokenizer":
    """A `transformers.CLIPTokenizer` that has learnt its merges from these captions.

    Ids 0–511 are the bytes within and at the end of a word, then come the merges, then the two
    ids that begin and end a text; a text is padded with its end, as in Stable Diffusion.

    Args:
        captions: what the merges are learnt from; no text is ever unknown, only cut finer.
        num_merges: how many merges to learn at most.
        context_length: the longest text, in tokens, with its beginning and end.

    Raises:
        ValueError: if num_merges is below 0 or context_length below 3.

    Source:
        Radford et al. 2021 (arXiv:2103.00020), section 2.4.
    """
    from transformers import CLIPTokenizer

    checks.whole_at_least(3, context_length=context_length)
    counts = Counter(word for caption in captions for word in words(caption))
    merges = bpe.learn(counts, num_merges)
    # Through files, because transformers 4 and 5 take vocabularies by different arguments.
    with tempfile.TemporaryDirectory() as folder:
        vocabulary = bpe.vocabulary(merges, [START, END])
        Path(folder, "vocab.json").write_text(json.dumps(vocabulary), "utf-8")
        lines = ["#version: 0.2", *map(" ".join, merges)]
        Path(folder, "merges.txt").write_text("\n".join(lines) + "\n", "utf-8")
        return CLIPTokenizer.from_pretrained(
            folder, model_max_length=context_length, pad_token=END, local_files_only=True
        )


def tokenize(
    captions: Sequence[str],
    tokenizer: "CLIPTokenizer",
    known_words: Collection[str] | None = None,
) -> Int[Tensor, " b n"]:
    """Token ids of each caption: beginning, text, end, then padding up to the context length.

    Args:
        captions: a list of texts, none empty; `unconditional` has the ids of no text.
        tokenizer: from `make_tokenizer`, or any other `CLIPTokenizer`.
        known_words: if given, the only words the captions may use.

    Returns:
        int64 ids of shape (b, context length).

    Raises:
        ValueError: if `captions` is not a list of texts or has none, or a caption is empty, longer
            than the context, holds a special token, or uses a word that is not known.
    """
    is_list = not isinstance(captions, str) and len(captions) > 0
    if not is_list or not all(isinstance(caption, str) for caption in captions):
        raise ValueError(f"captions: expected a list of texts, got {captions!r}")
    return torch.tensor([_ids(caption, tokenizer, known_words) for caption in captions])


def unconditional(tokenizer: "CLIPTokenizer") -> Int[Tensor, " 1 n"]:
    """Token ids of no text: a beginning, an end, and padding; what guidance pushes away from."""
    return torch.tensor([_padded([], tokenizer)])


def _ids(
    caption: str, tokenizer: "CLIPTokenizer", known_words: Collection[str] | None
) -> list[int]:
    if not caption.strip():
        raise ValueError(f"caption: expected some words, got {caption!r}")
    if any(special in caption for special in tokenizer.all_special_tokens):
        raise ValueError(f"caption: expected no special token, got {caption!r}")
    if known_words is not None:
        for word in words(caption):
            checks.choose("word", word, dict.fromkeys(known_words))
    inner = tokenizer(caption, add_special_tokens=False, verbose=False).input_ids
    if len(inner) + 2 > tokenizer.model_max_length:
        raise ValueError(
            f"caption: expected at most {tokenizer.model_max_length - 2} tokens between beginning "
            f"and end, got {len(inner)} from {caption!r}"
        )
    return _padded(inner, tokenizer)


def _padded(inner: list[int], tokenizer: "CLIPTokenizer") -> list[int]:
    ids = [tokenizer.bos_token_id, *inner, tokenizer.eos_token_id]
    return ids + [tokenizer.pad_token_id] * (tokenizer.model_max_length - len(ids))
