"""The levels of the U-Net: down, through the middle, and up with what the way down has kept.

Modules and parameters are named as in diffusers, so weights go both ways as they are. What a level
is made of comes in as functions: (width before, width after) → residual block, width → attention.
"""

import itertools
from collections.abc import Callable, Iterable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edudiff.layers.resnet import Upsample

MakeResnet = Callable[[int, int], nn.Module]
MakeAttention = Callable[[int], nn.Module]


class Level(nn.Module):
    """Residual blocks, each followed by attention if there is a way to make it."""

    def __init__(
        self,
        widths: Iterable[tuple[int, int]],
        resnet: MakeResnet,
        attention: MakeAttention | None,
    ) -> None:
        super().__init__()
        widths = list(widths)
        self.resnets = nn.ModuleList(resnet(before, after) for before, after in widths)
        self.attentions = nn.ModuleList(attention(after) for _, after in widths if attention)

    def refine(
        self, i: int, x: Float[Tensor, " b c h w"], temb: Float[Tensor, " b d"] | None
    ) -> Float[Tensor, " b c_out h w"]:
        """Residual block i, then attention i."""
        x = self.resnets[i](x, temb)
        return self.attentions[i](x) if self.attentions else x


class DownBlock(Level):
    """A level of the way down; in diffusers: `DownBlock2D`, or `AttnDownBlock2D` with attention."""

    def __init__(
        self,
        before: int,
        after: int,
        number: int,
        resnet: MakeResnet,
        attention: MakeAttention | None = None,
        downsampler: nn.Module | None = None,
    ) -> None:
        super().__init__(itertools.pairwise([before] + [after] * number), resnet, attention)
        self.downsamplers = nn.ModuleList([downsampler] if downsampler else [])

    def forward(
        self, x: Float[Tensor, " b c h w"], temb: Float[Tensor, " b d"] | None
    ) -> list[Tensor]:
        """Every state on the way: after each residual block, and last after halving."""
        states = []
        for i in range(len(self.resnets)):
            x = self.refine(i, x, temb)
            states.append(x)
        return states + [downsampler(x) for downsampler in self.downsamplers]


class MidBlock(Level):
    """The smallest level: refine, look around, refine; in diffusers: `UNetMidBlock2D`."""

    def __init__(
        self, width: int, resnet: MakeResnet, attention: MakeAttention | None = None
    ) -> None:
        super().__init__([(width, width)], resnet, attention)
        self.resnets.append(resnet(width, width))

    def forward(
        self, x: Float[Tensor, " b c h w"], temb: Float[Tensor, " b d"] | None
    ) -> Float[Tensor, " b c h w"]:
        """Two residual blocks, with attention between them if there is any."""
        return self.resnets[1](self.refine(0, x, temb), temb)


class UpBlock(Level):
    """A level of the way up; in diffusers: `UpBlock2D`, or `AttnUpBlock2D` with attention.

    Args:
        before: width of what comes from below.
        after: width of what goes out.
        kept: width of what the way down has kept for each residual block, first used first.
        resnet: makes a residual block.
        attention: makes attention, None for a level without it.
        double: whether height and width are doubled at the end.
    """

    def __init__(
        self,
        before: int,
        after: int,
        kept: list[int],
        resnet: MakeResnet,
        attention: MakeAttention | None = None,
        *,
        double: bool,
    ) -> None:
        own = [before] + [after] * (len(kept) - 1)
        widths = [(x + skip, after) for x, skip in zip(own, kept, strict=True)]
        super().__init__(widths, resnet, attention)
        self.upsamplers = nn.ModuleList([Upsample(after)] if double else [])

    def forward(
        self,
        x: Float[Tensor, " b c h w"],
        states: list[Tensor],
        temb: Float[Tensor, " b d"] | None,
    ) -> Float[Tensor, " b c_out h_out w_out"]:
        """Refine, each time beside the last of the states, which is taken off; then double."""
        for i in range(len(self.resnets)):
            x = self.refine(i, torch.cat([x, states.pop()], dim=1), temb)
        for upsampler in self.upsamplers:
            x = upsampler(x)
        return x
