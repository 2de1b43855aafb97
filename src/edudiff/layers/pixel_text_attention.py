"""Attention of a picture to itself and to words at once, with one set of questions for both."""

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Bool, Float
from torch import Tensor, nn

from edudiff.layers.modulated_resnet import zero


class PixelTextAttention(nn.Module):
    """Every pixel asks all pixels and all words the same question, and adds up the two answers.

        q, k, v = qkv(norm(x));   k_text, v_text = kv_cond(norm_cond(context))
        x ← x + proj_out(attend(q, k, v) + attend(q, k_text, v_text))
        x ← x + ffn(x)

    There are two softmaxes: pixels and words do not compete for attention. `proj_out` and the last
    map of `ffn` begin at zero, so that an untrained layer changes nothing.

    Args:
        channels: width of the picture.
        context_dim: width of a word's token; None for a layer that is told no words.
        num_heads: number of heads; divides the width.
        groups: number of groups that are normalised separately; divides the width.

    Source:
        Gu et al. 2023 (arXiv:2310.15111), in its published code; same parameter names.
    """

    def __init__(
        self,
        channels: int,
        *,
        context_dim: int | None = None,
        num_heads: int = 8,
        groups: int = 32,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.norm = nn.GroupNorm(groups, channels)
        self.qkv = nn.Conv2d(channels, 3 * channels, 1)
        if context_dim is not None:
            self.norm_cond = nn.LayerNorm(context_dim)
            self.kv_cond = nn.Linear(context_dim, 2 * channels)
        self.proj_out = zero(nn.Conv2d(channels, channels, 1))
        self.ffn = nn.Sequential(
            nn.GroupNorm(groups, channels),
            nn.Conv2d(channels, 4 * channels, 1),
            nn.GELU(),
            zero(nn.Conv2d(4 * channels, channels, 1)),
        )

    def forward(
        self,
        x: Float[Tensor, " b c h w"],
        context: Float[Tensor, " b m d"] | None = None,
        mask: Bool[Tensor, " b m"] | None = None,
    ) -> Float[Tensor, " b c h w"]:
        """Ask pixels and words, then let each pixel think for itself.

        Args:
            x: the picture's features.
            context: the words, for a layer that is told some.
            mask: which of the words may be asked, at least one for each picture; all if not given.
        """
        q, k, v = self._heads(rearrange(self.qkv(self.norm(x)), "b c h w -> b (h w) c"), 3)
        answer = F.scaled_dot_product_attention(q, k, v)
        if context is not None:
            k, v = self._heads(self.kv_cond(self.norm_cond(context)), 2)
            may_ask = None if mask is None else mask[:, None, None, :]
            answer = answer + F.scaled_dot_product_attention(q, k, v, may_ask)
        merged = rearrange(answer, "b heads (h w) d -> b (heads d) h w", h=x.shape[2])
        x = x + self.proj_out(merged)
        return x + self.ffn(x)

    def _heads(self, tokens: Tensor, parts: int) -> Tensor:
        pattern = "b n (parts heads d) -> parts b heads n d"
        return rearrange(tokens, pattern, parts=parts, heads=self.num_heads)
