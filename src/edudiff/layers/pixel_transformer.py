"""The transformer inside a text-to-image U-Net: pixels ask each other, then the words."""

from functools import partial

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from edudiff import checks
from edudiff.layers.attention import Attention


class GEGLU(nn.Module):
    """Two linear maps at once; one of them, through GELU, opens and closes the other.

        (a, g) = W x + b,   y = a · gelu(g)

    Args:
        width: channels of a token that comes in.
        inner_width: channels of a token that goes out.

    Source:
        Shazeer 2020 (arXiv:2002.05202), eq. 6. In diffusers: `GEGLU`, same parameter names.
    """

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 2 * inner_width)

    def forward(self, x: Float[Tensor, " b n d"]) -> Float[Tensor, " b n d_inner"]:
        """Gate each number of the first half by its partner in the second."""
        value, gate = self.proj(x).chunk(2, dim=-1)
        return value * F.gelu(gate)


class FeedForward(nn.Module):
    """What each token thinks over by itself: four times as wide, gated, and back.

    Source:
        In diffusers: `FeedForward(activation_fn="geglu")`, same parameter names.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # Place 1 is the reference's dropout, which has no weights.
        self.net = nn.ModuleList(
            [GEGLU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)]
        )

    def forward(self, x: Float[Tensor, " b n d"]) -> Float[Tensor, " b n d"]:
        """Widen, gate, narrow."""
        for layer in self.net:
            x = layer(x)
        return x


class TransformerBlock(nn.Module):
    """Ask each other, ask the context, think it over; each time added to what came in.

    Args:
        width: channels of a token.
        context_dim: channels of a token of the context.
        num_heads: attention heads; divides `width`.

    Source:
        Rombach et al. 2022 (arXiv:2112.10752), section 3.3. In diffusers: `BasicTransformerBlock`,
        same parameter names.
    """

    def __init__(self, width: int, *, context_dim: int, num_heads: int) -> None:
        super().__init__()
        attention = partial(Attention, width, num_heads=num_heads, head_dim=width // num_heads)
        self.norm1 = nn.LayerNorm(width)
        self.attn1 = attention()
        self.norm2 = nn.LayerNorm(width)
        self.attn2 = attention(context_dim=context_dim)
        self.norm3 = nn.LayerNorm(width)
        self.ff = FeedForward(width)

    def forward(
        self, x: Float[Tensor, " b n d"], context: Float[Tensor, " b m d_context"]
    ) -> Float[Tensor, " b n d"]:
        """Self-attention, cross-attention, perceptron."""
        x = x + self.attn1(self.norm1(x))
        x = x + self.attn2(self.norm2(x), context)
        return x + self.ff(self.norm3(x))


class PixelTransformer(nn.Module):
    """Transformer blocks in which every pixel is a token, and the words are the context.

    Args:
        channels: width of the picture, and of a token.
        context_dim: channels of a token of the context.
        num_heads: attention heads; divides `channels`.
        num_layers: number of transformer blocks.
        linear_projection: whether the way in and out is a linear layer (SD 2, SDXL) or a 1×1
            convolution (SD 1.x). It is the same map; only the shape of its weights differs.
        groups: number of groups that are normalised separately; divides `channels`.

    Raises:
        ValueError: if a number is below 1, or the heads do not divide the channels.

    Source:
        Rombach et al. 2022 (arXiv:2112.10752), appendix E.2.1 and table 16. In diffusers:
        `Transformer2DModel`, same parameter names.
    """

    def __init__(
        self,
        channels: int,
        *,
        context_dim: int,
        num_heads: int,
        num_layers: int = 1,
        linear_projection: bool = False,
        groups: int = 32,
    ) -> None:
        super().__init__()
        checks.whole_at_least(1, context_dim=context_dim, num_heads=num_heads)
        checks.whole_at_least(1, num_layers=num_layers)
        if channels % num_heads:
            raise ValueError(f"channels: expected a multiple of {num_heads} heads, got {channels}")
        self.linear_projection = linear_projection
        self.norm = nn.GroupNorm(groups, channels, eps=1e-6)
        self.proj_in = self._projection(channels)
        self.transformer_blocks = nn.ModuleList(
            TransformerBlock(channels, context_dim=context_dim, num_heads=num_heads)
            for _ in range(num_layers)
        )
        self.proj_out = self._projection(channels)

    def _projection(self, channels: int) -> nn.Module:
        if self.linear_projection:
            return nn.Linear(channels, channels)
        return nn.Conv2d(channels, channels, 1)

    def forward(
        self, x: Float[Tensor, " b c h w"], context: Float[Tensor, " b m d_context"]
    ) -> Float[Tensor, " b c h w"]:
        """Let the pixels ask each other and the context; added to what came in.

        Raises:
            ValueError: if the context's tokens have another width than the layer was built for.
        """
        h = self.norm(x)
        tokens = self.proj_in(_tokens(h)) if self.linear_projection else _tokens(self.proj_in(h))
        for block in self.transformer_blocks:
            tokens = block(tokens, context)
        if self.linear_projection:
            return x + _picture(self.proj_out(tokens), like=x)
        return x + self.proj_out(_picture(tokens, like=x))


def _tokens(x: Tensor) -> Tensor:
    return rearrange(x, "b c h w -> b (h w) c")


def _picture(tokens: Tensor, *, like: Tensor) -> Tensor:
    return rearrange(tokens, "b (h w) c -> b c h w", h=like.shape[2])
