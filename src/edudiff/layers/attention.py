"""Attention: every query looks at all keys and takes a mixture of their values."""

import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn


def attend(
    q: Float[Tensor, " *b n d"], k: Float[Tensor, " *b m d"], v: Float[Tensor, " *b m dv"]
) -> Float[Tensor, " *b n dv"]:
    """For each query the mean of the values, weighted by how well its key answers the query.

        softmax(Q Kᵀ / √d) V,   the softmax over the m keys

    Source:
        Vaswani et al. 2017 (arXiv:1706.03762), eq. 1. In PyTorch, without writing down the n × m
        weights: `scaled_dot_product_attention`.
    """
    weights = (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)
    return weights @ v


def write_out(network: nn.Module) -> None:
    """Let all attention of a network be computed as `attend` says, in place of the fused formula.

    The numbers are the same. Where tokens are few, a CPU trains faster so: without writing the
    weights down they have to be computed twice.
    """
    for layer in network.modules():
        if isinstance(layer, Attention):
            layer.fused = False


class Attention(nn.Module):
    """Attention with several heads, over the sequence itself or over a context.

    PyTorch's fused formula computes it, unless `write_out` has said otherwise.

    Args:
        query_dim: width of the tokens that ask, and of the result.
        context_dim: width of the tokens that answer; `query_dim` if not given.
        num_heads: number of heads.
        head_dim: width of one head.
        bias: whether queries, keys and values have a bias; the result always has one.

    Source:
        Vaswani et al. 2017 (arXiv:1706.03762), section 3.2.2. In diffusers: `Attention`, with the
        same parameter names; its `heads` and `dim_head` are `num_heads` and `head_dim` here.
    """

    def __init__(
        self,
        query_dim: int,
        *,
        context_dim: int | None = None,
        num_heads: int = 8,
        head_dim: int = 64,
        bias: bool = False,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.fused = True
        inner_dim, context_dim = num_heads * head_dim, context_dim or query_dim
        self.to_q = nn.Linear(query_dim, inner_dim, bias=bias)
        self.to_k = nn.Linear(context_dim, inner_dim, bias=bias)
        self.to_v = nn.Linear(context_dim, inner_dim, bias=bias)
        self.to_out = nn.ModuleList([nn.Linear(inner_dim, query_dim)])

    def forward(
        self, x: Float[Tensor, " b n d"], context: Float[Tensor, " b m d_context"] | None = None
    ) -> Float[Tensor, " b n d"]:
        """Let every token of `x` ask the context, or `x` itself if there is none.

        Raises:
            ValueError: if the tokens that answer are not as wide as the layer was built for.
        """
        q, k = self._queries_and_keys(x, context)
        v = self._heads(self.to_v(x if context is None else context))
        mixture = (F.scaled_dot_product_attention if self.fused else attend)(q, k, v)
        return self.to_out[0](rearrange(mixture, "b heads n d -> b n (heads d)"))

    def weights(
        self, x: Float[Tensor, " b n d"], context: Float[Tensor, " b m d_context"] | None = None
    ) -> Float[Tensor, " b heads n m"]:
        """How much each token of `x` looks at each one that answers; for every query the sum is 1.

        `forward` uses these weights without ever writing them down.

        Raises:
            ValueError: as `forward`.
        """
        q, k = self._queries_and_keys(x, context)
        return (q @ k.mT / q.shape[-1] ** 0.5).softmax(dim=-1)

    def _queries_and_keys(self, x: Tensor, context: Tensor | None) -> tuple[Tensor, Tensor]:
        answering, expected = x if context is None else context, self.to_k.in_features
        if answering.shape[-1] != expected:
            got = answering.shape[-1]
            raise ValueError(f"context: expected tokens {expected} wide, got {got}")
        return self._heads(self.to_q(x)), self._heads(self.to_k(answering))

    def _heads(self, tokens: Tensor) -> Tensor:
        return rearrange(tokens, "b n (heads d) -> b heads n d", heads=self.num_heads)


class PixelAttention(Attention):
    """Self-attention with one head in which every pixel is a token; added to what came in.

    Args:
        channels: width of the picture, and of the head.
        groups: number of groups that are normalised separately; divides `channels`.
        eps: added to the variance when normalising.

    Source:
        In diffusers: `Attention(residual_connection=True, norm_num_groups=…)`, as in the middle of
        `AutoencoderKL`, with the same parameter names.
    """

    def __init__(self, channels: int, *, groups: int = 32, eps: float = 1e-6) -> None:
        super().__init__(channels, num_heads=1, head_dim=channels, bias=True)
        self.group_norm = nn.GroupNorm(groups, channels, eps)

    def forward(self, x: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c h w"]:  # type: ignore[override]
        """Let every pixel ask all the others."""
        pixels = rearrange(self.group_norm(x), "b c h w -> b (h w) c")
        answer = super().forward(pixels)
        return x + rearrange(answer, "b (h w) c -> b c h w", h=x.shape[2])
