"""The U-Net: down to see what is in a picture, up to say where, with bridges between the two ways.

With a time it is the network of diffusion models. Without one it is what it was invented as, a
network that names every pixel.
"""

import itertools
from collections.abc import Sequence
from functools import partial

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from edudiff import checks
from edudiff.layers.attention import PixelAttention
from edudiff.layers.embeddings import TimestepEmbedding, sinusoidal_embedding
from edudiff.layers.resnet import Downsample, ResnetBlock
from edudiff.models.unet_blocks import DownBlock, MakeAttention, MakeResnet, MidBlock, UpBlock


def ddpm_cifar10() -> "UNet":
    """The network of Ho et al. 2020 for 32 × 32 pixels: 35,746,307 parameters.

    Source:
        arXiv:2006.11239, appendix B. As diffusers has it in the repository
        `google/ddpm-cifar10-32`.
    """
    return UNet(
        block_out_channels=(128, 256, 256, 256),
        layers_per_block=2,
        attention_levels=(False, True, False, False),
        norm_num_groups=32,
        norm_eps=1e-6,
        downsample_padding=0,
        flip_sin_to_cos=False,
        freq_shift=1,
    )


def _check_widths(widths: Sequence[int], groups: int) -> None:
    if not widths or any(width < 1 or width % groups for width in widths):
        raise ValueError(
            f"block_out_channels: expected multiples of norm_num_groups={groups}, got {widths}"
        )


def _check_clock(dim: int, freq_shift: int) -> None:
    checks.whole_at_least(0, freq_shift=freq_shift)
    if dim % 2:
        raise ValueError(f"block_out_channels[0]: expected an even number, got {dim}")
    if 2 * freq_shift >= dim:
        raise ValueError(f"freq_shift: expected a number below {dim // 2}, got {freq_shift}")


def _way_down(
    widths: Sequence[int],
    number: int,
    padding: int,
    resnet: MakeResnet,
    attentions: Sequence[MakeAttention | None],
) -> nn.ModuleList:
    blocks = nn.ModuleList()
    for level, (before, after) in enumerate(itertools.pairwise([widths[0], *widths])):
        halve = Downsample(after, padding=padding) if level < len(widths) - 1 else None
        blocks.append(DownBlock(before, after, number, resnet, attentions[level], halve))
    return blocks


def _kept_widths(widths: Sequence[int], number: int) -> list[int]:
    """Widths of the states of the way down: after conv_in, each residual block, each halving."""
    kept = [widths[0]]
    for width in widths:
        kept += [width] * (number + 1)
    return kept[:-1]  # the last level is not halved


def _way_up(
    widths: Sequence[int],
    number: int,
    kept: list[int],
    resnet: MakeResnet,
    attentions: Sequence[MakeAttention | None],
) -> nn.ModuleList:
    blocks, before = nn.ModuleList(), widths[-1]
    for level in reversed(range(len(widths))):
        own = [kept.pop() for _ in range(number)]
        attention, double = attentions[level], level > 0
        blocks.append(UpBlock(before, widths[level], own, resnet, attention, double=double))
        before = widths[level]
    return blocks


class UNet(nn.Module):
    """(x, t) → a tensor of the height and width of x: ε̂, x̂_0 or v̂, as it was trained.

    Args:
        in_channels: channels that come in, 3 for coloured pictures.
        out_channels: channels that come out: as many again for diffusion, one for each class to
            name pixels; the result is then the logits.
        block_out_channels: width of every level, from pixels to the smallest; between two levels
            height and width are halved. The time is first told in as many sines and cosines as the
            first level is wide.
        layers_per_block: residual blocks on a level of the way down; the way up has one more.
        attention_levels: for every level whether its pixels see each other; none do if not given.
        mid_block_add_attention: whether pixels in the middle see each other.
        norm_num_groups: number of groups that are normalised separately; divides every width.
        norm_eps: added to the variance when normalising.
        downsample_padding: where zeros are put before halving, see `Downsample`.
        time_embedding: False for a network that knows no time.
        flip_sin_to_cos: cosines before sines; False for weights of Ho et al. 2020.
        freq_shift: 1 makes the slowest hand of the clock 10,000 times as slow as the first, 0 not
            quite so slow.
        skips: False leaves the bridges out, for an experiment: all must then go through the middle.

    Raises:
        ValueError: if a number is below 1 (freq_shift: 0), a width is no multiple of
            `norm_num_groups`, `attention_levels` has not one entry for each level, norm_eps is not
            above 0, downsample_padding is neither 0 nor 1, or, with a time, the first width is odd
            or not above 2 freq_shift.

    Source:
        Ronneberger et al. 2015 (arXiv:1505.04597), figure 1; residual blocks, attention and time as
        in Ho et al. 2020 (arXiv:2006.11239), appendix B. In diffusers: `UNet2DModel` with
        `attention_head_dim=None`, with the same parameter names.
    """

    def __init__(
        self,
        *,
        in_channels: int = 3,
        out_channels: int = 3,
        block_out_channels: Sequence[int] = (32, 48, 64),
        layers_per_block: int = 1,
        attention_levels: Sequence[bool] | None = None,
        mid_block_add_attention: bool = True,
        norm_num_groups: int = 8,
        norm_eps: float = 1e-5,
        downsample_padding: int = 1,
        time_embedding: bool = True,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        skips: bool = True,
    ) -> None:
        super().__init__()
        checks.whole_at_least(1, in_channels=in_channels, out_channels=out_channels)
        checks.whole_at_least(1, layers_per_block=layers_per_block, norm_num_groups=norm_num_groups)
        checks.positive(norm_eps=norm_eps)
        _check_widths(block_out_channels, norm_num_groups)
        if downsample_padding not in (0, 1):
            raise ValueError(f"downsample_padding: expected 0 or 1, got {downsample_padding}")
        if time_embedding:
            _check_clock(block_out_channels[0], freq_shift)
        if attention_levels is None:
            attention_levels = (False,) * len(block_out_channels)
        if len(attention_levels) != len(block_out_channels):
            expected = f"one entry for each of {len(block_out_channels)} levels"
            raise ValueError(f"attention_levels: expected {expected}, got {attention_levels}")
        self.in_channels, self.out_channels = in_channels, out_channels
        self.block_out_channels, self.layers_per_block = tuple(block_out_channels), layers_per_block
        self.attention_levels = tuple(attention_levels)
        self.mid_block_add_attention = mid_block_add_attention
        self.norm_num_groups, self.norm_eps = norm_num_groups, norm_eps
        self.downsample_padding, self.skips = downsample_padding, skips
        self.flip_sin_to_cos, self.freq_shift = flip_sin_to_cos, freq_shift
        self._build(4 * block_out_channels[0] if time_embedding else None)

    def _build(self, time_embed_dim: int | None) -> None:
        widths, number = self.block_out_channels, self.layers_per_block
        groups, eps = self.norm_num_groups, self.norm_eps
        resnet = partial(ResnetBlock, temb_channels=time_embed_dim, groups=groups, eps=eps)
        attention = partial(PixelAttention, groups=groups, eps=eps)
        attentions = [attention if level else None for level in self.attention_levels]
        kept = [width if self.skips else 0 for width in _kept_widths(widths, number)]

        self.conv_in = nn.Conv2d(self.in_channels, widths[0], 3, padding=1)
        self.time_embedding = (
            TimestepEmbedding(widths[0], time_embed_dim) if time_embed_dim else None
        )
        self.down_blocks = _way_down(widths, number, self.downsample_padding, resnet, attentions)
        middle = attention if self.mid_block_add_attention else None
        self.mid_block = MidBlock(widths[-1], resnet, middle)
        self.up_blocks = _way_up(widths, number + 1, kept, resnet, attentions)
        self.conv_norm_out = nn.GroupNorm(groups, widths[0], eps)
        self.conv_out = nn.Conv2d(widths[0], self.out_channels, 3, padding=1)

    def forward(
        self, x: Float[Tensor, " b c h w"], t: Int[Tensor, " b"] | None = None
    ) -> Float[Tensor, " b c_out h w"]:
        """Answer for each picture, at its own timestep.

        Args:
            x: pictures, noisy pictures or latents.
            t: timesteps, int64; None for a network that knows no time.

        Raises:
            ValueError: if x is not floating, not (b, in_channels, h, w), or has sides that the
                network cannot halve often enough; if t is missing, not int64 or not one for each
                picture, or given to a network that knows no time.
        """
        self._check_input(x)
        temb = self._embed(t, x)
        states = [self.conv_in(x)]
        for block in self.down_blocks:
            states += block(states[-1], temb)
        x = self.mid_block(states[-1], temb)
        if not self.skips:
            states = [state[:, :0] for state in states]  # bridges without a single channel
        for block in self.up_blocks:
            x = block(x, states, temb)
        return self.conv_out(F.silu(self.conv_norm_out(x)))

    def _embed(self, t: Tensor | None, x: Tensor) -> Tensor | None:
        if (t is None) != (self.time_embedding is None):
            expected, got = ("none", "some") if t is not None else ("one for each picture", "none")
            raise ValueError(f"t: expected {expected}, as the network was built, got {got}")
        if t is None or self.time_embedding is None:
            return None
        if t.dtype != torch.int64:
            raise ValueError(f"t: expected int64 timesteps, got {t.dtype}")
        checks.one_timestep_each(x, t)
        dim = self.block_out_channels[0]
        half = dim // 2
        max_period = 10_000.0 ** (half / (half - self.freq_shift))
        sinusoids = sinusoidal_embedding(t, dim, max_period)
        if not self.flip_sin_to_cos:
            sinusoids = sinusoids.roll(half, dims=1)
        return self.time_embedding(sinusoids.to(x.dtype))

    def _check_input(self, x: Tensor) -> None:
        checks.floating(x=x)
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            expected = f"(b, {self.in_channels}, h, w)"
            raise ValueError(f"x: expected shape {expected}, got {tuple(x.shape)}")
        factor = 2 ** (len(self.block_out_channels) - 1)
        if x.shape[2] % factor or x.shape[3] % factor:
            raise ValueError(f"x: expected sides divisible by {factor}, got {tuple(x.shape[2:])}")
