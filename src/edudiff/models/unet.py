"""The U-Net: down to see what is in a picture, up to say where, with bridges between the two ways.

With a time it is the network of diffusion models. Without one it is what it was invented as, a
network that names every pixel. With a context it also asks words: the network of Stable Diffusion.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from edudiff.layers.attention import PixelAttention
from edudiff.layers.embeddings import TimestepEmbedding, sinusoidal_embedding
from edudiff.layers.pixel_transformer import PixelTransformer
from edudiff.layers.resnet import ResnetBlock
from edudiff.models import unet_checks, unet_residuals
from edudiff.models.unet_blocks import MakeAttention, MidBlock, kept_widths, way_down, way_up

TIME_ID_DIM = 256
"""In how many sines and cosines SDXL is told each number about the picture's size."""


class UNet(nn.Module):
    """(x, t, context) → a tensor of the height and width of x: ε̂, x̂_0 or v̂, as it was trained.

    Args:
        in_channels: channels that come in, 3 for coloured pictures.
        out_channels: channels that come out: as many again for diffusion, one for each class to
            name pixels; the result is then the logits.
        block_out_channels: width of every level, from pixels to the smallest; between two levels
            height and width are halved. The time is first told in as many sines and cosines as the
            first level is wide.
        layers_per_block: residual blocks on a level of the way down; the way up has one more.
        attention_levels: for every level whether its pixels see each other, and the context if
            there is one; none do if not given.
        mid_block_add_attention: whether pixels in the middle see each other, and the context.
        context_dim: channels of a token of the context; None for a network that is told no words.
        num_heads: attention heads, for all levels or each; used with a context only. diffusers
            calls this `attention_head_dim`, although it is the number of heads.
        num_transformer_layers: transformer blocks in a row, for all levels or each; the middle has
            as many as the smallest level. Used with a context only.
        linear_projection: see `PixelTransformer`; used with a context only.
        pooled_dim: length of the vector that sums up the text in SDXL; None for no such vector.
        num_time_ids: how many numbers about the picture's size come with that vector: 6 in SDXL,
            5 in its refiner. Each is told in `TIME_ID_DIM` sines and cosines.
        norm_num_groups: number of groups that are normalised separately; divides every width.
        norm_eps: added to the variance when normalising.
        downsample_padding: where zeros are put before halving, see `Downsample`.
        time_embedding: False for a network that knows no time.
        flip_sin_to_cos: cosines before sines; False for weights of Ho et al. 2020.
        freq_shift: 1 makes the slowest hand of the clock 10,000 times as slow as the first.
        skips: False leaves the bridges out, for an experiment: all must then go through the middle.

    Raises:
        ValueError: if a number is below 1 (freq_shift: 0), a width is no multiple of
            `norm_num_groups`, an option for each level has not one entry for each, norm_eps is not
            above 0, downsample_padding is neither 0 nor 1; if with a time the first width is odd
            or not above 2 freq_shift, with a context the heads do not divide a width they look at,
            or there is a pooled vector without a time.

    Source:
        Ronneberger et al. 2015 (arXiv:1505.04597), figure 1; residual blocks, attention and time as
        in Ho et al. 2020 (arXiv:2006.11239), appendix B. In diffusers, with the same
        names: `UNet2DModel(attention_head_dim=None)`; with a context `UNet2DConditionModel`.
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
        context_dim: int | None = None,
        num_heads: int | Sequence[int] = 4,
        num_transformer_layers: int | Sequence[int] = 1,
        linear_projection: bool = False,
        pooled_dim: int | None = None,
        num_time_ids: int = 6,
        norm_num_groups: int = 8,
        norm_eps: float = 1e-5,
        downsample_padding: int = 1,
        time_embedding: bool = True,
        flip_sin_to_cos: bool = True,
        freq_shift: int = 0,
        skips: bool = True,
    ) -> None:
        super().__init__()
        levels = len(block_out_channels)
        looking = (False,) * levels if attention_levels is None else tuple(attention_levels)
        self.in_channels, self.out_channels = in_channels, out_channels
        self.block_out_channels, self.layers_per_block = tuple(block_out_channels), layers_per_block
        self.attention_levels = looking
        self.mid_block_add_attention = mid_block_add_attention
        self.context_dim, self.linear_projection = context_dim, linear_projection
        self.num_heads = unet_checks.for_each_level(num_heads, levels)
        self.num_transformer_layers = unet_checks.for_each_level(num_transformer_layers, levels)
        self.pooled_dim, self.num_time_ids = pooled_dim, num_time_ids
        self.norm_num_groups, self.norm_eps = norm_num_groups, norm_eps
        self.downsample_padding, self.skips = downsample_padding, skips
        self.flip_sin_to_cos, self.freq_shift = flip_sin_to_cos, freq_shift
        unet_checks.options(self, time_embedding=time_embedding)
        self._build(4 * block_out_channels[0] if time_embedding else None)

    def _build(self, time_embed_dim: int | None) -> None:
        widths, number = self.block_out_channels, self.layers_per_block
        groups, eps = self.norm_num_groups, self.norm_eps
        resnet = partial(ResnetBlock, temb_channels=time_embed_dim, groups=groups, eps=eps)
        attentions = [self._attention(level) for level in range(len(widths))]
        where = zip(attentions, self.attention_levels, strict=True)
        on_levels = [attention if here else None for attention, here in where]
        in_middle = attentions[-1] if self.mid_block_add_attention else None
        kept = [width if self.skips else 0 for width in kept_widths(widths, number)]

        self.conv_in = nn.Conv2d(self.in_channels, widths[0], 3, padding=1)
        self.time_embedding = self.add_embedding = None
        if time_embed_dim is not None:
            self.time_embedding = TimestepEmbedding(widths[0], time_embed_dim)
            if self.pooled_dim is not None:
                told = self.pooled_dim + self.num_time_ids * TIME_ID_DIM
                self.add_embedding = TimestepEmbedding(told, time_embed_dim)
        self.down_blocks = way_down(widths, number, self.downsample_padding, resnet, on_levels)
        self.mid_block = MidBlock(widths[-1], resnet, in_middle)
        self.up_blocks = way_up(widths, number + 1, kept, resnet, on_levels)
        self.conv_norm_out = nn.GroupNorm(groups, widths[0], eps)
        self.conv_out = nn.Conv2d(widths[0], self.out_channels, 3, padding=1)

    def _attention(self, level: int) -> MakeAttention:
        groups = self.norm_num_groups
        if self.context_dim is None:
            return partial(PixelAttention, groups=groups, eps=self.norm_eps)
        return partial(
            PixelTransformer,
            context_dim=self.context_dim,
            num_heads=self.num_heads[level],
            num_layers=self.num_transformer_layers[level],
            linear_projection=self.linear_projection,
            groups=groups,
        )

    def forward(
        self,
        x: Float[Tensor, " b c h w"],
        t: Int[Tensor, " b"] | None = None,
        encoder_hidden_states: Float[Tensor, " b m d_context"] | None = None,
        *,
        text_embeds: Float[Tensor, " b d_pooled"] | None = None,
        time_ids: Float[Tensor, " b n_ids"] | None = None,
        down_block_additional_residuals: Sequence[Tensor] | None = None,
        mid_block_additional_residual: Tensor | None = None,
    ) -> Float[Tensor, " b c_out h w"]:
        """Answer for each picture, at its own timestep and for its own text.

        Args:
            x: pictures, noisy pictures or latents.
            t: timesteps, int64; None for a network that knows no time.
            encoder_hidden_states: the context; None for a network that is told no words.
            text_embeds: the pooled text, for a network that has a `pooled_dim`.
            time_ids: what SDXL is told of the picture's size, for the same networks.
            down_block_additional_residuals: what a `ControlNet` adds to what the bridges carry.
            mid_block_additional_residual: what it adds to what comes out of the middle.

        Raises:
            ValueError: if x is not floating, not (b, in_channels, h, w), or has sides that the
                network cannot halve often enough; if t is not int64, one for each picture; if
                something is missing, of another shape, or not wanted by the network.
        """
        unet_checks.picture(x, self.in_channels, len(self.block_out_channels) - 1)
        context, width = encoder_hidden_states, self.context_dim
        wanted = None if width is None else (len(x), "m", width)
        unet_checks.shape(context, wanted, "encoder_hidden_states")
        temb = self._embed(x, t, text_embeds, time_ids)

        states = [self.conv_in(x)]
        for block in self.down_blocks:
            states += block(states[-1], temb, context)
        h = self.mid_block(states[-1], temb, context)
        extra = (down_block_additional_residuals, mid_block_additional_residual)
        states, h = unet_residuals.add(states, h, *extra)
        if not self.skips:
            states = [state[:, :0] for state in states]  # bridges without a single channel
        for block in self.up_blocks:
            h = block(h, states, temb, context)
        return self.conv_out(F.silu(self.conv_norm_out(h)))

    def _embed(
        self, x: Tensor, t: Tensor | None, text_embeds: Tensor | None, time_ids: Tensor | None
    ) -> Tensor | None:
        """One vector for each picture: the time, for SDXL with the pooled text and the sizes."""
        unet_checks.time(t, x, wanted=self.time_embedding is not None)
        pooled = None if self.pooled_dim is None else (len(x), self.pooled_dim)
        unet_checks.shape(text_embeds, pooled, "text_embeds")
        unet_checks.shape(time_ids, pooled and (len(x), self.num_time_ids), "time_ids")
        if t is None or self.time_embedding is None:
            return None
        temb = self.time_embedding(self._sinusoids(t, self.block_out_channels[0]).to(x.dtype))
        if text_embeds is None or time_ids is None or self.add_embedding is None:
            return temb
        sizes = self._sinusoids(time_ids.flatten(), TIME_ID_DIM).reshape(len(x), -1)
        return temb + self.add_embedding(torch.cat([text_embeds, sizes], dim=1).to(x.dtype))

    def _sinusoids(self, numbers: Tensor, dim: int) -> Tensor:
        half = dim // 2
        max_period = 10_000.0 ** (half / (half - self.freq_shift))
        sinusoids = sinusoidal_embedding(numbers, dim, max_period)
        return sinusoids if self.flip_sin_to_cos else sinusoids.roll(half, dims=1)


def ddpm_cifar10() -> UNet:
    """The network of Ho et al. 2020 for 32 × 32 pixels: 35,746,307 parameters.

    Source:
        arXiv:2006.11239, appendix B; as diffusers has it in `google/ddpm-cifar10-32`.
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


def stable_diffusion_1() -> UNet:
    """The network of Stable Diffusion 1.x: 859,520,964 parameters.

    Source:
        Rombach et al. 2022 (arXiv:2112.10752). As diffusers has it in the folder `unet` of
        `stable-diffusion-v1-5/stable-diffusion-v1-5`.
    """
    return _stable_diffusion(context_dim=768, num_heads=8)


def stable_diffusion_2() -> UNet:
    """The network of Stable Diffusion 2.x: 865,910,724 parameters.

    Source:
        As diffusers has it in the folder `unet` of `stabilityai/stable-diffusion-2-1`.
    """
    return _stable_diffusion(context_dim=1024, num_heads=(5, 10, 20, 20), linear_projection=True)


def sdxl() -> UNet:
    """The network of SDXL: 2,567,463,684 parameters.

    Source:
        Podell et al. 2023 (arXiv:2307.01952), table 1. As diffusers has it in the folder
        `unet` of `stabilityai/stable-diffusion-xl-base-1.0`.
    """
    return _stable_diffusion(
        block_out_channels=(320, 640, 1280),
        attention_levels=(False, True, True),
        context_dim=2048,
        num_heads=(5, 10, 20),
        num_transformer_layers=(1, 2, 10),
        linear_projection=True,
        pooled_dim=1280,
    )


def sdxl_refiner() -> UNet:
    """The network that refines SDXL's pictures: 2,259,526,660 parameters.

    Source:
        Podell et al. 2023 (arXiv:2307.01952), section 2.5. As diffusers has it in the folder
        `unet` of `stabilityai/stable-diffusion-xl-refiner-1.0`.
    """
    return _stable_diffusion(
        block_out_channels=(384, 768, 1536, 1536),
        attention_levels=(False, True, True, False),
        context_dim=1280,
        num_heads=(6, 12, 24, 24),
        num_transformer_layers=4,
        linear_projection=True,
        pooled_dim=1280,
        num_time_ids=5,
    )


def _stable_diffusion(**options: Any) -> UNet:
    common = {
        "in_channels": 4,
        "out_channels": 4,
        "block_out_channels": (320, 640, 1280, 1280),
        "layers_per_block": 2,
        "attention_levels": (True, True, True, False),
        "norm_num_groups": 32,
    }
    return UNet(**{**common, **options})
