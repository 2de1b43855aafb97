"""A block of a diffusion transformer: two streams that meet in attention and nowhere else."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from edudiff.layers.joint_attention import JointAttention
from edudiff.layers.modulation import AdaLayerNormContinuous, AdaLayerNormZero, Modulated, modulate


class GELU(nn.Module):
    """A linear layer, then a bend.

    Args:
        width: channels of a token that comes in.
        inner_width: channels of a token that goes out.

    Source:
        Hendrycks and Gimpel 2016 (arXiv:1606.08415), section 2, the approximation with tanh. In
        diffusers: `GELU(approximate="tanh")`, same parameter names.
    """

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, inner_width)

    def forward(self, x: Float[Tensor, " b n d"]) -> Float[Tensor, " b n d_inner"]:
        """Widen and bend."""
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    """What each token thinks over by itself: four times as wide, and back.

    Args:
        width: channels of a token.

    Source:
        In diffusers: `FeedForward(activation_fn="gelu-approximate")`, same parameter names.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        # Place 1 is the reference's dropout, which has no weights.
        self.net = nn.ModuleList(
            [GELU(width, 4 * width), nn.Identity(), nn.Linear(4 * width, width)]
        )

    def forward(self, x: Float[Tensor, " b n d"]) -> Float[Tensor, " b n d"]:
        """Widen, bend, narrow."""
        for layer in self.net:
            x = layer(x)
        return x


class JointTransformerBlock(nn.Module):
    """Modulate, look around together, think it over apart; each time added through a gate.

    Args:
        width: channels of a token, of either kind.
        num_heads: attention heads; they divide the width.
        context_pre_only: whether this is the last block: what it would say of the text, nobody
            reads any more.
        qk_norm: whether queries and keys are normalised.

    Source:
        Esser et al. 2024 (arXiv:2403.03206), figure 2b. In diffusers: `JointTransformerBlock`,
        same parameter names.
    """

    def __init__(
        self, width: int, *, num_heads: int, context_pre_only: bool = False, qk_norm: bool = False
    ) -> None:
        super().__init__()
        norm_context = AdaLayerNormContinuous if context_pre_only else AdaLayerNormZero
        self.norm1 = AdaLayerNormZero(width)
        self.norm1_context = norm_context(width)
        self.attn = JointAttention(
            width, num_heads=num_heads, context_pre_only=context_pre_only, qk_norm=qk_norm
        )
        self.ff = FeedForward(width)
        self.ff_context = None if context_pre_only else FeedForward(width)

    def forward(
        self,
        x: Float[Tensor, " b n d"],
        context: Float[Tensor, " b m d"],
        temb: Float[Tensor, " b d"],
    ) -> tuple[Float[Tensor, " b n d"], Float[Tensor, " b m d"] | None]:
        """The tokens of the picture and of the text, a little wiser; after the last block only x.

        Args:
            x: tokens of the picture.
            context: tokens of the text.
            temb: the time and the meaning of the whole text, one vector for each picture.
        """
        for_x, for_context = self.norm1(x, temb), self.norm1_context(context, temb)
        if self.ff_context is None:
            heard, _ = self.attn(for_x.x, for_context)
            return _finish(x, heard, for_x, self.ff), None
        heard, heard_by_text = self.attn(for_x.x, for_context.x)
        return (
            _finish(x, heard, for_x, self.ff),
            _finish(context, heard_by_text, for_context, self.ff_context),
        )


def _finish(tokens: Tensor, heard: Tensor, by: Modulated, ff: FeedForward) -> Tensor:
    """Add what was heard, then what is thought of it."""
    tokens = tokens + by.gate_msa[:, None] * heard
    thought = ff(modulate(tokens, by.shift_mlp, by.scale_mlp))
    return tokens + by.gate_mlp[:, None] * thought
