"""The convolutional bricks of autoencoder and U-Net: refine, halve, double."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


class ResnetBlock(nn.Module):
    """Two convolutions whose result is added to what came in.

        h = conv1(silu(norm1(x))) + W silu(temb)
        y = shortcut(x) + conv2(silu(norm2(h)))

    Args:
        in_channels: width of what comes in.
        out_channels: width of what comes out; where it differs, the shortcut is a 1×1 convolution.
        temb_channels: width of the time embedding, None for a block that knows no time.
        groups: number of groups that are normalised separately; divides both widths.
        eps: added to the variance when normalising.

    Source:
        He et al. 2016 (arXiv:1603.05027), pre-activation; the time embedding as in Ho et al. 2020
        (arXiv:2006.11239), appendix B. In diffusers: `ResnetBlock2D`, same parameter names.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        temb_channels: int | None = None,
        groups: int = 32,
        eps: float = 1e-6,
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels, eps)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_emb_proj = nn.Linear(temb_channels, out_channels) if temb_channels else None
        self.norm2 = nn.GroupNorm(groups, out_channels, eps)
        self.conv2 = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = in_channels == out_channels
        self.conv_shortcut = None if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(
        self, x: Float[Tensor, " b c_in h w"], temb: Float[Tensor, " b t"] | None = None
    ) -> Float[Tensor, " b c_out h w"]:
        """Refine features, in the light of the time where there is one.

        Raises:
            ValueError: if the block was built for a time embedding and gets none, or the reverse.
        """
        if (temb is None) != (self.time_emb_proj is None):
            expected, got = ("none", "one") if self.time_emb_proj is None else ("one", "none")
            raise ValueError(f"temb: expected {expected}, as the block was built, got {got}")
        h = self.conv1(F.silu(self.norm1(x)))
        if self.time_emb_proj is not None and temb is not None:
            h = h + self.time_emb_proj(F.silu(temb))[:, :, None, None]
        h = self.conv2(F.silu(self.norm2(h)))
        return h + (x if self.conv_shortcut is None else self.conv_shortcut(x))


class Downsample(nn.Module):
    """Half the height and width, by a convolution with stride 2.

    Args:
        channels: width, kept.
        padding: zeros around the picture: 1 on every side (U-Net), or 0, which puts one row below
            and one column to the right (the encoder of the autoencoder).

    Source:
        In diffusers: `Downsample2D(use_conv=True)`, same parameter names.
    """

    def __init__(self, channels: int, *, padding: int = 1) -> None:
        super().__init__()
        self.padding = padding
        self.conv = nn.Conv2d(channels, channels, 3, stride=2, padding=padding)

    def forward(self, x: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c h_half w_half"]:
        """Halve height and width; odd sides are rounded, up with padding 1 and down with 0."""
        return self.conv(x if self.padding else F.pad(x, (0, 1, 0, 1)))


class Upsample(nn.Module):
    """Twice the height and width: every pixel four times, then a convolution.

    Args:
        channels: width, kept.

    Source:
        Odena et al. 2016 (doi:10.23915/distill.00003): no chequerboard, unlike a transposed
        convolution. In diffusers: `Upsample2D(use_conv=True)`, same parameter names.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Float[Tensor, " b c h w"]) -> Float[Tensor, " b c h_twice w_twice"]:
        """Double height and width."""
        return self.conv(F.interpolate(x, scale_factor=2.0, mode="nearest"))
