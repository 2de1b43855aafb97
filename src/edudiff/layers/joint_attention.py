"""Joint attention: image tokens and text tokens in one row, each kind with weights of its own."""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from edudiff import checks
from edudiff.layers.attention import attend


class JointAttention(nn.Module):
    """Every token asks all tokens, those of the picture and those of the text.

        softmax([Q_x; Q_c] [K_x; K_c]ᵀ / √d) [V_x; V_c]

    In cross-attention the picture asks and the text only answers; here the text asks too, so that
    what a word means may depend on what is seen so far.

    Args:
        width: channels of a token.
        num_heads: attention heads; they divide the width.
        context_pre_only: whether the text's answer is not needed any more, after the last block.
        qk_norm: whether queries and keys are normalised, as in Stable Diffusion 3.5.

    Raises:
        ValueError: if a number is below 1, or the heads do not divide the width.

    Source:
        Esser et al. 2024 (arXiv:2403.03206), section 4 and figure 2. In diffusers: `Attention`
        with `added_kv_proj_dim` and `JointAttnProcessor2_0`, with the same parameter names.
    """

    def __init__(
        self,
        width: int,
        *,
        num_heads: int,
        context_pre_only: bool = False,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        checks.whole_at_least(1, width=width, num_heads=num_heads)
        if width % num_heads:
            raise ValueError(f"width: expected a multiple of num_heads={num_heads}, got {width}")
        self.num_heads = num_heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.add_q_proj, self.add_k_proj, self.add_v_proj = (
            nn.Linear(width, width) for _ in range(3)
        )
        self.to_out = nn.ModuleList([nn.Linear(width, width)])
        self.to_add_out = None if context_pre_only else nn.Linear(width, width)
        head_dim = width // num_heads
        self.norm_q, self.norm_k, self.norm_added_q, self.norm_added_k = (
            nn.RMSNorm(head_dim, eps=1e-6) if qk_norm else None for _ in range(4)
        )

    def forward(
        self, x: Float[Tensor, " b n d"], context: Float[Tensor, " b m d"]
    ) -> tuple[Float[Tensor, " b n d"], Float[Tensor, " b m d"] | None]:
        """What the tokens of the picture heard, and those of the text, unless it is not needed."""
        of_picture = self._heads(x, (self.to_q, self.norm_q), (self.to_k, self.norm_k), self.to_v)
        of_text = self._heads(
            context,
            (self.add_q_proj, self.norm_added_q),
            (self.add_k_proj, self.norm_added_k),
            self.add_v_proj,
        )
        q, k, v = (torch.cat(pair, dim=2) for pair in zip(of_picture, of_text, strict=True))
        mixture = attend(q, k, v)  # for so few tokens faster on a CPU than the fused one
        heard = rearrange(mixture, "b heads n d -> b n (heads d)")
        of_x, of_context = heard.split([x.shape[1], context.shape[1]], dim=1)
        text = None if self.to_add_out is None else self.to_add_out(of_context)
        return self.to_out[0](of_x), text

    def _heads(
        self,
        tokens: Tensor,
        query: tuple[nn.Linear, nn.RMSNorm | None],
        key: tuple[nn.Linear, nn.RMSNorm | None],
        value: nn.Linear,
    ) -> list[Tensor]:
        """Queries, keys and values of one kind of token, each cut into heads."""
        answers = []
        for linear, norm in (query, key, (value, None)):
            split = rearrange(linear(tokens), "b n (h d) -> b h n d", h=self.num_heads)
            answers.append(split if norm is None else norm(split))
        return answers
