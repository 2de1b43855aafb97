"""What a Matryoshka U-Net is made of: levels of blocks, and what every level is told.

Modules and parameters are named as in the published code, so that its weights load as they are.
"""

import dataclasses
from collections.abc import Iterable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from edudiff.layers.modulated_resnet import ModulatedResnet
from edudiff.layers.pixel_text_attention import PixelTextAttention


@dataclass(frozen=True, eq=False)
class Told:
    """What is told beside the pictures, the same to all resolutions; words are read only once.

    Attributes:
        t: timesteps.
        size: sides of the original pictures in pixels; None for pictures that were large enough.
        summary: one vector for each text, as wide as the time embedding, to which it is added.
        context: one vector for each word.
        mask: which words may be asked; None for all, padding included.
    """

    t: Int[Tensor, " b"]
    size: Float[Tensor, " b"] | None = None
    summary: Float[Tensor, " b d"] | None = None
    context: Float[Tensor, " b m d_context"] | None = None
    mask: Bool[Tensor, " b m"] | None = None

    def first(self, count: int) -> "Told":
        """What is told of the first so many pictures."""
        told = {name: value for name, value in vars(self).items() if value is not None}
        return dataclasses.replace(self, **{name: value[:count] for name, value in told.items()})


class Level(nn.Module):
    """Residual blocks of one width, each followed by so many layers of attention.

    Args:
        widths: (before, after) of each block.
        temb_channels: width of the time embedding.
        attention_layers: how many follow each block.
        resample: at the end "halve" or "double" height and width, or "keep" them.
        context_dim: width of a word; None for a network that is told none.
        num_heads: attention heads.
        groups: number of groups that are normalised separately.
    """

    def __init__(
        self,
        widths: Iterable[tuple[int, int]],
        temb_channels: int,
        *,
        attention_layers: int = 0,
        resample: str = "keep",
        context_dim: int | None = None,
        num_heads: int = 8,
        groups: int = 32,
    ) -> None:
        super().__init__()
        pairs, self.attention_layers = list(widths), attention_layers
        self.resnets = nn.ModuleList(
            ModulatedResnet(*pair, temb_channels=temb_channels, groups=groups) for pair in pairs
        )
        self.attn = nn.ModuleList(
            PixelTextAttention(after, context_dim=context_dim, num_heads=num_heads, groups=groups)
            for _, after in pairs
            for _ in range(attention_layers)
        )
        self.doubles, width = resample == "double", pairs[-1][1]
        stride = 1 if self.doubles else 2
        conv = nn.Conv2d(width, width, 3, stride=stride, padding=1)
        self.resample = None if resample == "keep" else conv

    def forward(
        self,
        x: Float[Tensor, " b c h w"],
        temb: Float[Tensor, " b d"],
        told: Told,
        kept: list[Tensor] | None = None,
    ) -> list[Tensor]:
        """Every state on the way; the last one is the result.

        Args:
            x: features.
            temb: the time, and all else that is told in one vector.
            told: with the words, for attention.
            kept: on the way up, what the way down has kept; each block takes the last one off.
        """
        states, layers = [], iter(self.attn)
        for resnet in self.resnets:
            x = resnet(x if kept is None else torch.cat([x, kept.pop()], dim=1), temb)
            for _ in range(self.attention_layers):
                x = next(layers)(x, told.context, told.mask)
            states.append(x)
        if self.resample is not None:
            x = F.interpolate(x, scale_factor=2.0, mode="nearest") if self.doubles else x
            states.append(self.resample(x))
        return states
