"""GPT-2's bricks: every token asks itself and those before it, and answers are kept for later.

Parameter names are those of transformers, so that state dicts go both ways unchanged.
"""

import torch
import torch.nn.functional as F
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from edudiff import checks

Kept = tuple[Float[Tensor, " b heads _ head_dim"], Float[Tensor, " b heads _ head_dim"]]
"""Keys and values of the tokens so far, so that no token is computed twice."""


class Conv1D(nn.Module):
    """A linear layer whose weight lies the other way round: (in, out).

    Args:
        in_width: channels of a token that comes in.
        out_width: channels of a token that goes out.

    Source:
        Radford et al. 2019, whose code called it a convolution. In transformers: `Conv1D`, with
        the same parameter names; its arguments are the other way round.
    """

    def __init__(self, in_width: int, out_width: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(0.02 * torch.randn(in_width, out_width))
        self.bias = nn.Parameter(torch.zeros(out_width))

    def forward(self, x: Float[Tensor, " b n d"]) -> Float[Tensor, " b n d_out"]:
        """Multiply, add."""
        return F.linear(x, self.weight.T, self.bias)


class CausalAttention(nn.Module):
    """Self-attention in which no token sees a later one.

    Args:
        width: channels of a token.
        num_heads: attention heads; they divide the width.

    Raises:
        ValueError: if a number is below 1, or the heads do not divide the width.

    Source:
        Radford et al. 2019, section 2.3. In transformers: `GPT2Attention`, with the same parameter
        names.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        checks.whole_at_least(1, width=width, num_heads=num_heads)
        if width % num_heads:
            raise ValueError(f"width: expected a multiple of num_heads={num_heads}, got {width}")
        self.num_heads = num_heads
        self.c_attn = Conv1D(width, 3 * width)
        self.c_proj = Conv1D(width, width)

    def forward(
        self, x: Float[Tensor, " b n d"], kept: Kept | None = None
    ) -> tuple[Float[Tensor, " b n d"], Kept]:
        """What the new tokens hear, and the keys and values of all tokens so far.

        Args:
            x: the new tokens.
            kept: keys and values of the tokens before them, if there are any.
        """
        q, k, v = rearrange(
            self.c_attn(x), "b n (three h d) -> three b h n d", three=3, h=self.num_heads
        )
        if kept is not None:
            k, v = torch.cat([kept[0], k], dim=2), torch.cat([kept[1], v], dim=2)
        weights = (q @ k.mT / q.shape[-1] ** 0.5).masked_fill(self._later(q, k), -torch.inf)
        heard = rearrange(weights.softmax(dim=-1) @ v, "b h n d -> b n (h d)")
        return self.c_proj(heard), (k, v)

    @staticmethod
    def _later(q: Tensor, k: Tensor) -> Tensor:
        """True where a key stands after a query; the queries are the last of the tokens."""
        n, m = q.shape[2], k.shape[2]
        return torch.ones(n, m, dtype=torch.bool, device=q.device).triu(m - n + 1)


class MLP(nn.Module):
    """What each token thinks over by itself: four times as wide, and back."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.c_fc, self.c_proj = Conv1D(width, 4 * width), Conv1D(4 * width, width)

    def forward(self, x: Float[Tensor, " b n d"]) -> Float[Tensor, " b n d"]:
        """Widen, bend, narrow."""
        return self.c_proj(F.gelu(self.c_fc(x), approximate="tanh"))


class Block(nn.Module):
    """Ask the tokens before, think it over; each time added to what came in.

    Args:
        width: channels of a token.
        num_heads: attention heads; they divide the width.

    Source:
        Radford et al. 2019, section 2.3. In transformers: `GPT2Block`, with the same parameter
        names.
    """

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.ln_1, self.attn = nn.LayerNorm(width), CausalAttention(width, num_heads)
        self.ln_2, self.mlp = nn.LayerNorm(width), MLP(width)

    def forward(
        self, x: Float[Tensor, " b n d"], kept: Kept | None = None
    ) -> tuple[Float[Tensor, " b n d"], Kept]:
        """The new tokens, a little wiser, and what to keep for those that follow."""
        heard, kept = self.attn(self.ln_1(x), kept)
        x = x + heard
        return x + self.mlp(self.ln_2(x)), kept
