"""A residual block whose features the time does not only shift, but stretch."""

from typing import TypeVar

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

Module = TypeVar("Module", bound=nn.Module)


class ModulatedResnet(nn.Module):
    """Two convolutions; between them every channel is scaled and shifted as the time says.

        scale, shift = W silu(temb)
        h = norm2(conv1(silu(norm1(x)))) · (1 + scale) + shift
        y = conv3(x) + conv2(silu(h)),   conv3 being nothing where the width stays

    `conv2` begins at zero, so that an untrained block changes nothing but the width.

    Args:
        in_channels: width of what comes in.
        out_channels: width of what comes out.
        temb_channels: width of the time embedding.
        groups: number of groups that are normalised separately; divides both widths.

    Source:
        Dhariwal and Nichol 2021 (arXiv:2105.05233), section 3.1, "adaptive group normalization";
        as Gu et al. 2023 (arXiv:2310.15111) use it, with their parameter names.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, temb_channels: int, groups: int = 32
    ) -> None:
        super().__init__()
        self.norm1 = nn.GroupNorm(groups, in_channels)
        self.conv1 = nn.Conv2d(in_channels, out_channels, 3, padding=1)
        self.time_layer = nn.Linear(temb_channels, 2 * out_channels)
        self.norm2 = nn.GroupNorm(groups, out_channels)
        self.conv2 = zero(nn.Conv2d(out_channels, out_channels, 3, padding=1))
        same = in_channels == out_channels
        self.conv3 = None if same else nn.Conv2d(in_channels, out_channels, 1)

    def forward(
        self, x: Float[Tensor, " b c_in h w"], temb: Float[Tensor, " b d"]
    ) -> Float[Tensor, " b c_out h w"]:
        """Refine features, in the light of the time."""
        scale, shift = self.time_layer(F.silu(temb))[:, :, None, None].chunk(2, dim=1)
        h = self.conv1(F.silu(self.norm1(x)))
        h = self.conv2(F.silu(self.norm2(h) * (1 + scale) + shift))
        return h + (x if self.conv3 is None else self.conv3(x))


def zero(module: Module) -> Module:
    """The same module, all its parameters set to zero: what it feeds is as if it were not there."""
    for parameter in module.parameters():
        nn.init.zeros_(parameter)
    return module
