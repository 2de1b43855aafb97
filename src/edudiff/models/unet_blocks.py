"""The levels of the U-Net: down, through the middle, and up with what the way down has kept.

Modules and parameters are named as in diffusers, so weights go both ways as they are. What a level
is made of comes in as functions: (width before, width after) → residual block, width → attention,
which is asked (x), or (x, context) if there is a context.
"""

import itertools
from collections.abc import Callable, Iterable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn

from edudiff.layers.resnet import Downsample, Upsample

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
        self,
        i: int,
        x: Float[Tensor, " b c h w"],
        temb: Float[Tensor, " b d"] | None,
        context: Float[Tensor, " b m d_context"] | None = None,
    ) -> Float[Tensor, " b c_out h w"]:
        """Residual block i, then attention i."""
        x = self.resnets[i](x, temb)
        for attention in self.attentions[i : i + 1]:  # none at all on some levels
            x = attention(x) if context is None else attention(x, context)
        return x


class DownBlock(Level):
    """A level of the way down; in diffusers: `(Attn|CrossAttn)DownBlock2D`."""

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
        self,
        x: Float[Tensor, " b c h w"],
        temb: Float[Tensor, " b d"] | None,
        context: Float[Tensor, " b m d_context"] | None = None,
    ) -> list[Tensor]:
        """Every state on the way: after each residual block, and last after halving."""
        states = []
        for i in range(len(self.resnets)):
            x = self.refine(i, x, temb, context)
            states.append(x)
        return states + [downsampler(x) for downsampler in self.downsamplers]


class MidBlock(Level):
    """The smallest level: refine, look around, refine.

    In diffusers: `UNetMidBlock2D`, or `UNetMidBlock2DCrossAttn`.
    """

    def __init__(
        self, width: int, resnet: MakeResnet, attention: MakeAttention | None = None
    ) -> None:
        super().__init__([(width, width)], resnet, attention)
        self.resnets.append(resnet(width, width))

    def forward(
        self,
        x: Float[Tensor, " b c h w"],
        temb: Float[Tensor, " b d"] | None,
        context: Float[Tensor, " b m d_context"] | None = None,
    ) -> Float[Tensor, " b c h w"]:
        """Two residual blocks, with attention between them if there is any."""
        return self.resnets[1](self.refine(0, x, temb, context), temb)


class UpBlock(Level):
    """A level of the way up; in diffusers: `(Attn|CrossAttn)UpBlock2D`.

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
        context: Float[Tensor, " b m d_context"] | None = None,
    ) -> Float[Tensor, " b c_out h_out w_out"]:
        """Refine, each time beside the last of the states, which is taken off; then double."""
        for i in range(len(self.resnets)):
            x = self.refine(i, torch.cat([x, states.pop()], dim=1), temb, context)
        for upsampler in self.upsamplers:
            x = upsampler(x)
        return x


def way_down(
    widths: Sequence[int],
    number: int,
    padding: int,
    resnet: MakeResnet,
    attentions: Sequence[MakeAttention | None],
) -> nn.ModuleList:
    """The levels of the way down, each but the last halving at its end."""
    blocks = nn.ModuleList()
    for level, (before, after) in enumerate(itertools.pairwise([widths[0], *widths])):
        halve = Downsample(after, padding=padding) if level < len(widths) - 1 else None
        blocks.append(DownBlock(before, after, number, resnet, attentions[level], halve))
    return blocks


def kept_widths(widths: Sequence[int], number: int) -> list[int]:
    """Widths of the states of the way down: after conv_in, each residual block, each halving."""
    kept = [widths[0]]
    for width in widths:
        kept += [width] * (number + 1)
    return kept[:-1]  # the last level is not halved


def way_up(
    widths: Sequence[int],
    number: int,
    kept: list[int],
    resnet: MakeResnet,
    attentions: Sequence[MakeAttention | None],
) -> nn.ModuleList:
    """The levels of the way up, each beside what the way down has kept on it."""
    blocks, before = nn.ModuleList(), widths[-1]
    for level in reversed(range(len(widths))):
        own = [kept.pop() for _ in range(number)]
        attention, double = attentions[level], level > 0
        blocks.append(UpBlock(before, widths[level], own, resnet, attention, double=double))
        before = widths[level]
    return blocks
