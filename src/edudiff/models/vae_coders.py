"""The two halves of the autoencoder: down to the latents and up again.

Modules and parameters are named as in diffusers, so weights go both ways as they are.
"""

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from edudiff.layers.attention import PixelAttention
from edudiff.layers.resnet import Downsample, ResnetBlock, Upsample


def _resnets(in_channels: int, out_channels: int, number: int, groups: int) -> nn.ModuleList:
    widths = itertools.pairwise([in_channels] + [out_channels] * number)
    return nn.ModuleList(ResnetBlock(before, after, groups=groups) for before, after in widths)


class DownBlock(nn.Module):
    """One level of the encoder; in diffusers: `DownEncoderBlock2D`."""

    def __init__(self, before: int, after: int, number: int, groups: int, *, halve: bool) -> None:
        super().__init__()
        self.resnets = _resnets(before, after, number, groups)
        self.downsamplers = nn.ModuleList([Downsample(after, padding=0)] if halve else [])

    def forward(self, x: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c_out h_out w_out"]:
        """Refine, then halve height and width."""
        for layer in (*self.resnets, *self.downsamplers):
            x = layer(x)
        return x


class UpBlock(nn.Module):
    """One level of the decoder; in diffusers: `UpDecoderBlock2D`."""

    def __init__(self, before: int, after: int, number: int, groups: int, *, double: bool) -> None:
        super().__init__()
        self.resnets = _resnets(before, after, number, groups)
        self.upsamplers = nn.ModuleList([Upsample(after)] if double else [])

    def forward(self, x: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c_out h_out w_out"]:
        """Refine, then double height and width."""
        for layer in (*self.resnets, *self.upsamplers):
            x = layer(x)
        return x


class MidBlock(nn.Module):
    """The smallest level, where every pixel may see every other; in diffusers: `UNetMidBlock2D`."""

    def __init__(self, channels: int, groups: int, *, attention: bool) -> None:
        super().__init__()
        self.resnets = _resnets(channels, channels, 2, groups)
        self.attentions = nn.ModuleList(
            [PixelAttention(channels, groups=groups)] if attention else []
        )

    def forward(self, x: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c h w"]:
        """Refine, look around, refine."""
        first, last = self.resnets
        for layer in (first, *self.attentions, last):
            x = layer(x)
        return x


class Encoder(nn.Module):
    """Pictures → mean and logvar of their latents, one after the other along the channels."""

    def __init__(
        self,
        channels: int,
        latent_channels: int,
        widths: Sequence[int],
        number: int,
        groups: int,
        attention: bool,
    ) -> None:
        super().__init__()
        levels = itertools.pairwise([widths[0], *widths])
        self.conv_in = nn.Conv2d(channels, widths[0], 3, padding=1)
        self.down_blocks = nn.ModuleList(
            DownBlock(before, after, number, groups, halve=level < len(widths))
            for level, (before, after) in enumerate(levels, start=1)
        )
        self.mid_block = MidBlock(widths[-1], groups, attention=attention)
        self.conv_norm_out = nn.GroupNorm(groups, widths[-1], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[-1], 2 * latent_channels, 3, padding=1)

    def forward(self, x: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c_out h_out w_out"]:
        """Down the levels, through the middle."""
        x = self.conv_in(x)
        for block in (*self.down_blocks, self.mid_block):
            x = block(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))


class Decoder(nn.Module):
    """Latents → pictures: the way back, with one residual block more on every level."""

    def __init__(
        self,
        latent_channels: int,
        channels: int,
        widths: Sequence[int],
        number: int,
        groups: int,
        attention: bool,
    ) -> None:
        super().__init__()
        levels = itertools.pairwise([widths[-1], *reversed(widths)])
        self.conv_in = nn.Conv2d(latent_channels, widths[-1], 3, padding=1)
        self.mid_block = MidBlock(widths[-1], groups, attention=attention)
        self.up_blocks = nn.ModuleList(
            UpBlock(before, after, number + 1, groups, double=level < len(widths))
            for level, (before, after) in enumerate(levels, start=1)
        )
        self.conv_norm_out = nn.GroupNorm(groups, widths[0], eps=1e-6)
        self.conv_out = nn.Conv2d(widths[0], channels, 3, padding=1)

    def forward(self, z: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c_out h_out w_out"]:
        """Through the middle, up the levels."""
        x = self.conv_in(z)
        for block in (self.mid_block, *self.up_blocks):
            x = block(x)
        return self.conv_out(F.silu(self.conv_norm_out(x)))
