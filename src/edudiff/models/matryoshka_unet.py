"""The innermost doll, solid: a text-to-image U-Net for the lowest resolution."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edudiff.models import nested_checks
from edudiff.models.doll import Doll
from edudiff.models.matryoshka_blocks import Told


class MatryoshkaUNet(Doll):
    """([x], t, words) → [v̂]: a network of its own, and the one that others are nested around.

    It alone reads the words: `lm_proj` maps them to `context_dim`, and their mean becomes a vector
    that every doll adds to its time embedding.

    Args:
        channels: channels of the pictures.
        block_out_channels: width of every level; between two levels sides are halved.
        layers_per_block: residual blocks on the way down, for all levels or each; the way up has
            one more.
        attention_layers: layers of attention after each of them, for all levels or each.
        text_dim: width of the text encoder's states; None for a network that is told no words.
        context_dim: width they are mapped to; `text_dim` if not given.
        masked_cross_attention: False lets pixels ask padding too, as in the published weights.
        time_embed_dim: width of the time embedding; 4 times the first level if not given.
        scale: the side in pixels it is trained for, told to it ("micro-conditioning"); None for a
            network that is not told.
        num_heads: attention heads; divides every width that has attention.
        norm_num_groups: number of groups that are normalised separately; divides every width.

    Raises:
        ValueError: if a number is too small, does not divide what it must, or an option for each
            level has not one entry for each; if time_embed_dim is no multiple of 8.

    Source:
        Gu et al. 2023 (arXiv:2310.15111), in its published code `UNet`.
    """

    ratios = (1,)

    def __init__(
        self,
        *,
        channels: int = 3,
        block_out_channels: Sequence[int] = (32, 64),
        layers_per_block: int | Sequence[int] = 1,
        attention_layers: int | Sequence[int] = (0, 1),
        text_dim: int | None = None,
        context_dim: int | None = None,
        masked_cross_attention: bool = True,
        time_embed_dim: int | None = None,
        scale: int | None = None,
        num_heads: int = 8,
        norm_num_groups: int = 8,
    ) -> None:
        nested_checks.widths(block_out_channels, norm_num_groups)
        told = text_dim if context_dim is None else context_dim
        super().__init__(
            channels=channels,
            block_out_channels=block_out_channels,
            layers_per_block=layers_per_block,
            attention_layers=attention_layers,
            time_embed_dim=time_embed_dim or 4 * block_out_channels[0],
            context_dim=None if text_dim is None else told,
            scale=scale,
            num_heads=num_heads,
            norm_num_groups=norm_num_groups,
        )
        self.text_dim, self.masked_cross_attention = text_dim, masked_cross_attention
        self.smallest_side = 2 ** (len(self.block_out_channels) - 1)
        same = [(self.block_out_channels[-1],) * 2]
        self.mid_blocks = nn.ModuleList([self.level(same, attention_layers=1), self.level(same)])
        if text_dim is not None and self.context_dim is not None:
            self.lm_proj = nn.Linear(text_dim, self.context_dim)
            self.cond_emb = nn.Linear(self.context_dim, self.time_embed_dim, bias=False)

    def middle(
        self, x: Tensor, temb: Tensor, told: Told, lower: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Refine, look around, refine; there is nothing further inside."""
        for block in self.mid_blocks:
            x = block(x, temb, told)[-1]
        return x, []

    def read(
        self, encoder_hidden_states: Tensor | None, mask: Tensor | None, count: int
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Map the words; their mean, without padding, is the summary."""
        nested_checks.words(encoder_hidden_states, mask, count, self.text_dim)
        if encoder_hidden_states is None:
            return None, None, None
        context = self.lm_proj(encoder_hidden_states)
        counts = torch.ones_like(context[..., :1]) if mask is None else mask[..., None].to(context)
        summary = self.cond_emb((counts * context).sum(dim=1) / counts.sum(dim=1))
        return summary, context, mask if self.masked_cross_attention else None
