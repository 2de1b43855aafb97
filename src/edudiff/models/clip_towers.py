"""CLIP's two towers: one reads tokens, one looks at patches, and both are transformers.

Parameter names are those of transformers, so that state dicts go both ways unchanged.
"""

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from edudiff import checks
from edudiff.layers.transformer import Activation, Encoder, quick_gelu


class TowerOutput(NamedTuple):
    """What a tower found.

    Attributes:
        last_hidden_state: the tokens after the last layer; those of text normalised.
        pooler_output: one vector for the whole text or picture, normalised.
        hidden_states: the tokens before the first layer and after each one, none normalised;
            [-2] is what Stable Diffusion XL reads.
    """

    last_hidden_state: Float[Tensor, " b n d"]
    pooler_output: Float[Tensor, " b d"]
    hidden_states: list[Float[Tensor, " b n d"]]


class TextEmbeddings(nn.Module):
    """What a token means plus where it stands."""

    def __init__(self, vocab_size: int, context_length: int, width: int) -> None:
        super().__init__()
        checks.whole_at_least(1, vocab_size=vocab_size, context_length=context_length)
        self.token_embedding = nn.Embedding(vocab_size, width)
        self.position_embedding = nn.Embedding(context_length, width)
        nn.init.normal_(self.token_embedding.weight, std=0.02)
        nn.init.normal_(self.position_embedding.weight, std=0.01)

    def forward(self, input_ids: Int[Tensor, " b n"]) -> Float[Tensor, " b n d"]:
        """One vector for each token."""
        return (
            self.token_embedding(input_ids) + self.position_embedding.weight[: input_ids.shape[1]]
        )


class TextTransformer(nn.Module):
    """Token ids → what CLIP read in them.

    Args:
        vocab_size: number of token ids.
        eos_token_id: the id that ends a text; the text's one vector is read there.
        width: channels of a token.
        num_layers: transformer layers.
        num_heads: attention heads of each layer; they divide the width.
        context_length: the longest text, in tokens, with the two that begin and end it.
        mlp_width: channels inside the perceptrons; 4 · width if not given.
        activation: `quick_gelu` (OpenAI's weights) or `torch.nn.functional.gelu` (OpenCLIP's).

    Raises:
        ValueError: if a size is below 1, the heads do not divide the width, or eos_token_id is
            not in the vocabulary.

    Source:
        Radford et al. 2021 (arXiv:2103.00020), section 2.4. In transformers: `CLIPTextModel` (its
        `text_model` in earlier releases), with the same parameter names.
    """

    def __init__(
        self,
        vocab_size: int,
        eos_token_id: int,
        *,
        width: int = 128,
        num_layers: int = 3,
        num_heads: int = 4,
        context_length: int = 24,
        mlp_width: int | None = None,
        activation: Activation = quick_gelu,
    ) -> None:
        super().__init__()
        checks.whole_at_least(1, width=width)
        self.vocab_size, self.context_length, self.width = vocab_size, context_length, width
        self.embeddings = TextEmbeddings(vocab_size, context_length, width)
        self.encoder = Encoder(width, num_layers, num_heads, mlp_width, activation, causal=True)
        self.final_layer_norm = nn.LayerNorm(width)
        checks.whole_at_least(0, eos_token_id=eos_token_id)
        if eos_token_id >= vocab_size:
            raise ValueError(f"eos_token_id: expected an id below {vocab_size}, got {eos_token_id}")
        self.eos_token_id = eos_token_id

    def forward(self, input_ids: Int[Tensor, " b n"]) -> TowerOutput:
        """Read each text; pooled at its first end-of-text token, so that padding is never seen.

        Raises:
            ValueError: if the ids are not whole numbers of shape (b, n), stand outside the
                vocabulary, are more than fit, or a text has no end.
        """
        self._check(input_ids)
        hidden_states = self.encoder(self.embeddings(input_ids))
        last = self.final_layer_norm(hidden_states[-1])
        end = (input_ids == self.eos_token_id).int().argmax(dim=1)
        return TowerOutput(last, last[torch.arange(len(last)), end], hidden_states)

    def _check(self, input_ids: Tensor) -> None:
        if input_ids.dtype not in (torch.int64, torch.int32):
            raise ValueError(f"input_ids: expected int64 token ids, got {input_ids.dtype}")
        if input_ids.ndim != 2 or not 1 <= input_ids.shape[1] <= self.context_length:
            raise ValueError(
                f"input_ids: expected shape (b, n) with 1 ≤ n ≤ {self.context_length}, "
                f"got {tuple(input_ids.shape)}"
            )
        if input_ids.numel() and not 0 <= input_ids.min() <= input_ids.max() < self.vocab_size:
            raise ValueError(
                f"input_ids: expected ids in [0, {self.vocab_size - 1}], "
                f"got ids in [{int(input_ids.min())}, {int(input_ids.max())}]"
            )
        endless = ~(input_ids == self.eos_token_id).any(dim=1)
        if endless.any():
            raise ValueError(
                f"input_ids: expected the end-of-text id {self.eos_token_id} in every text, "
                f"got none in text {int(endless.int().argmax())}"
            )


class VisionEmbeddings(nn.Module):
    """A token that will sum up the picture, then one for each patch, plus where each stands."""

    def __init__(self, image_size: int, patch_size: int, width: int) -> None:
        super().__init__()
        checks.whole_at_least(1, image_size=image_size, patch_size=patch_size)
        if image_size % patch_size:
            raise ValueError(
                f"image_size: expected a multiple of patch_size={patch_size}, got {image_size}"
            )
        self.class_embedding = nn.Parameter(width**-0.5 * torch.randn(width))
        self.patch_embedding = nn.Conv2d(3, width, patch_size, stride=patch_size, bias=False)
        self.position_embedding = nn.Embedding((image_size // patch_size) ** 2 + 1, width)
        nn.init.normal_(self.position_embedding.weight, std=width**-0.5)

    def forward(self, pixel_values: Float[Tensor, " b 3 h w"]) -> Float[Tensor, " b n d"]:
        """Cut the picture into patches and lay them out in a row."""
        patches = self.patch_embedding(pixel_values).flatten(2).transpose(1, 2)
        summary = self.class_embedding.expand(len(patches), 1, -1)
        return torch.cat([summary, patches], dim=1) + self.position_embedding.weight


class VisionTransformer(nn.Module):
    """Pictures → what CLIP saw in them.

    Args:
        image_size: height and width of a picture, in pixels.
        patch_size: height and width of a patch; it divides the image size.
        width: channels of a token.
        num_layers: transformer layers.
        num_heads: attention heads of each layer; they divide the width.
        mlp_width: channels inside the perceptrons; 4 · width if not given.
        activation: `quick_gelu` (OpenAI's weights) or `torch.nn.functional.gelu` (OpenCLIP's).

    Raises:
        ValueError: if a size is below 1, the heads do not divide the width, or the patches do not
            divide the picture.

    Source:
        Dosovitskiy et al. 2021 (arXiv:2010.11929), eq. 1–4; Radford et al. 2021
        (arXiv:2103.00020), section 2.4, normalise once more before the first layer. In
        transformers: `CLIPVisionModel` (its `vision_model` in earlier releases), with the same
        parameter names.
    """

    def __init__(
        self,
        image_size: int = 64,
        patch_size: int = 8,
        *,
        width: int = 128,
        num_layers: int = 3,
        num_heads: int = 4,
        mlp_width: int | None = None,
        activation: Activation = quick_gelu,
    ) -> None:
        super().__init__()
        checks.whole_at_least(1, width=width)
        self.image_size, self.patch_size, self.width = image_size, patch_size, width
        self.embeddings = VisionEmbeddings(image_size, patch_size, width)
        self.pre_layrnorm = nn.LayerNorm(width)  # transformers' spelling
        self.encoder = Encoder(width, num_layers, num_heads, mlp_width, activation, causal=False)
        self.post_layernorm = nn.LayerNorm(width)

    def forward(self, pixel_values: Float[Tensor, " b 3 h w"]) -> TowerOutput:
        """Look at each picture; pooled at the first token, which stands for no patch.

        Raises:
            ValueError: if the pictures are not floating-point of shape (b, 3, size, size).
        """
        checks.floating(pixel_values=pixel_values)
        size = (3, self.image_size, self.image_size)
        if tuple(pixel_values.shape[1:]) != size:
            raise ValueError(
                f"pixel_values: expected shape (b, {', '.join(map(str, size))}), "
                f"got {tuple(pixel_values.shape)}"
            )
        hidden_states = self.encoder(self.pre_layrnorm(self.embeddings(pixel_values)))
        last = hidden_states[-1]
        return TowerOutput(last, self.post_layernorm(last[:, 0]), hidden_states)
