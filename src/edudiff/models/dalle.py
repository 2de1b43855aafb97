"""DALL·E: a GPT that reads a caption and goes on in picture tokens, one after the other.

text tokens → | image tokens, row by row: each guessed from everything before it.
Parameter names are those of transformers' GPT-2, so that state dicts go both ways unchanged.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from edudiff import checks
from edudiff.layers.gpt import Block, Kept

TEXT_WEIGHT = 1 / 8
"""How much of the loss is about the caption, which nobody asks for; as in the paper."""


class GPT(nn.Module):
    """Token ids → what is made of each, knowing all before it.

    Args:
        vocab_size: number of token ids.
        length: the longest row of tokens.
        width: channels of a token.
        num_layers: transformer blocks.
        num_heads: attention heads; they divide the width.

    Source:
        Radford et al. 2019, section 2.3. In transformers: `GPT2Model`, with the same parameter
        names.
    """

    def __init__(
        self, vocab_size: int, length: int, width: int, num_layers: int, num_heads: int
    ) -> None:
        super().__init__()
        self.vocab_size, self.length = vocab_size, length
        self.wte, self.wpe = nn.Embedding(vocab_size, width), nn.Embedding(length, width)
        self.h = nn.ModuleList(Block(width, num_heads) for _ in range(num_layers))
        self.ln_f = nn.LayerNorm(width)
        for embedding in (self.wte, self.wpe):
            nn.init.normal_(embedding.weight, std=0.02)
        for name, parameter in self.h.named_parameters():
            if name.endswith("c_proj.weight"):  # what is added up in the end stays of size 1
                nn.init.normal_(parameter, std=0.02 / (2 * num_layers) ** 0.5)

    def forward(
        self, ids: Int[Tensor, " b n"], kept: Sequence[Kept] | None = None
    ) -> tuple[Float[Tensor, " b n d"], list[Kept]]:
        """The tokens' last states, and keys and values to keep for the next call."""
        before = 0 if kept is None else kept[0][0].shape[2]
        places = torch.arange(before, before + ids.shape[1], device=ids.device)
        x = self.wte(ids) + self.wpe(places)
        to_keep: list[Kept] = []
        for i, block in enumerate(self.h):
            x, found = block(x, None if kept is None else kept[i])
            to_keep.append(found)
        return self.ln_f(x), to_keep


class DALLE(nn.Module):
    """Token ids so far → how likely each id comes next.

    Text and picture have one vocabulary: ids below `text_vocab_size` are words, those from there on
    are codes of the picture's codebook.

    Args:
        text_vocab_size: ids of text tokens.
        num_codes: ids of image tokens.
        text_length: tokens of a text, padding included.
        image_length: tokens of a picture.
        width: channels of a token.
        num_layers: transformer blocks.
        num_heads: attention heads; they divide the width.

    Raises:
        ValueError: if a number is below 1, or the heads do not divide the width.

    Source:
        Ramesh et al. 2021 (arXiv:2102.12092), section 2.2; theirs has sparse attention along rows
        and columns. In transformers: `GPT2LMHeadModel`, with the same parameter names, except for
        `lm_head`, which is the token embedding once more.
    """

    def __init__(
        self,
        *,
        text_vocab_size: int,
        num_codes: int = 512,
        text_length: int = 24,
        image_length: int = 64,
        width: int = 192,
        num_layers: int = 5,
        num_heads: int = 4,
    ) -> None:
        super().__init__()
        checks.whole_at_least(1, text_vocab_size=text_vocab_size, num_codes=num_codes)
        checks.whole_at_least(1, text_length=text_length, image_length=image_length)
        checks.whole_at_least(1, num_layers=num_layers)
        self.text_vocab_size, self.num_codes = text_vocab_size, num_codes
        self.text_length, self.image_length = text_length, image_length
        self.width, self.num_layers, self.num_heads = width, num_layers, num_heads
        self.transformer = GPT(
            text_vocab_size + num_codes, text_length + image_length, width, num_layers, num_heads
        )

    def forward(
        self, ids: Int[Tensor, " b n"], kept: Sequence[Kept] | None = None
    ) -> tuple[Float[Tensor, " b n v"], list[Kept]]:
        """Logits of the id that follows each of these, and what to keep for the next call.

        Args:
            ids: the new tokens; at first the text, and then one image token at a time.
            kept: what the last call said to keep, if there was one.

        Raises:
            ValueError: if the ids are not int64 of shape (b, n), outside the vocabulary, or more
                than there are places.
        """
        self._check(ids, 0 if kept is None else kept[0][0].shape[2])
        states, to_keep = self.transformer(ids, kept)
        return F.linear(states, self.transformer.wte.weight), to_keep

    def sequence(
        self, input_ids: Int[Tensor, " b m"], codes: Int[Tensor, " b k"]
    ) -> Int[Tensor, " b n"]:
        """Text and picture in one row, each in its part of the vocabulary.

        Args:
            input_ids: token ids of whole texts.
            codes: the first so many codes of pictures.

        Raises:
            ValueError: if the texts are not `text_length` long, or a code is not in the codebook.
        """
        if input_ids.shape[1] != self.text_length:
            raise ValueError(
                f"input_ids: expected {self.text_length} of each text, got {input_ids.shape[1]}"
            )
        if codes.numel() and not 0 <= codes.min() <= codes.max() < self.num_codes:
            raise ValueError(
                f"codes: expected numbers in [0, {self.num_codes - 1}], "
                f"got some in [{int(codes.min())}, {int(codes.max())}]"
            )
        return torch.cat([input_ids, self.text_vocab_size + codes], dim=1)

    def _check(self, ids: Tensor, before: int) -> None:
        if ids.dtype != torch.int64 or ids.ndim != 2:
            got = f"{ids.dtype} of shape {tuple(ids.shape)}"
            raise ValueError(f"ids: expected int64 of shape (b, n), got {got}")
        vocabulary, places = self.transformer.vocab_size, self.transformer.length
        if before + ids.shape[1] > places:
            raise ValueError(f"ids: expected {places} at most, got {before + ids.shape[1]}")
        if ids.numel() and not 0 <= ids.min() <= ids.max() < vocabulary:
            raise ValueError(
                f"ids: expected ids in [0, {vocabulary - 1}], "
                f"got ids in [{int(ids.min())}, {int(ids.max())}]"
            )


def next_token_losses(
    model: DALLE,
    input_ids: Int[Tensor, " b m"],
    codes: Int[Tensor, " b k"],
    is_word: Int[Tensor, " b m"],
) -> dict[str, Tensor]:
    """How surprised the network is, in nats for each token, by captions and by pictures.

        loss = 1/8 · L_text + 7/8 · L_image

    Args:
        model: the network.
        input_ids: token ids of whole texts.
        codes: all codes of their pictures, row by row.
        is_word: 1 for the tokens of a text up to its end, 0 for its padding, which is not guessed.

    Returns:
        "loss", "text" and "image", scalars.

    Source:
        Ramesh et al. 2021 (arXiv:2102.12092), section 2.2.
    """
    ids = model.sequence(input_ids, codes)
    logits, _ = model(ids[:, :-1])
    rows, following = logits.float().flatten(0, 1), ids[:, 1:]
    surprise = F.cross_entropy(rows, following.flatten(), reduction="none").view_as(following)
    guessed = is_word[:, 1:].to(surprise.dtype)
    text = (surprise[:, : guessed.shape[1]] * guessed).sum() / guessed.sum().clamp(min=1)
    image = surprise[:, guessed.shape[1] :].mean()
    return {"loss": TEXT_WEIGHT * text + (1 - TEXT_WEIGHT) * image, "text": text, "image": image}
