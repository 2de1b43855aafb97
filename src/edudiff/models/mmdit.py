"""MMDiT, the diffusion transformer of Stable Diffusion 3: pixels and words in one row of tokens.

Parameter names are those of diffusers, so that state dicts go both ways unchanged.
"""

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from edudiff import checks
from edudiff.layers.embeddings import TimestepEmbedding, sinusoidal_embedding
from edudiff.layers.joint_transformer import JointTransformerBlock
from edudiff.layers.modulation import AdaLayerNormContinuous

CLOCK = 256
"""Length of the sinusoids that tell the time."""


def position_table(width: int, side: int, spacing: float = 1.0) -> Float[Tensor, " n d"]:
    """For each place of a square, row by row: its column in one half, its row in the other.

    Each half holds sines, then cosines, of the coordinate at width/4 frequencies.

    Args:
        width: length of a place's vector; a multiple of 4.
        side: places along a side.
        spacing: how far two neighbours are apart, in the sinusoids' unit.

    Raises:
        ValueError: if the width is no multiple of 4.

    Source:
        Dosovitskiy et al. 2021 (arXiv:2010.11929) learn theirs; fixed ones as in He et al. 2021
        (arXiv:2111.06377), appendix A. In diffusers: `get_2d_sincos_pos_embed`.
    """
    if width % 4:
        raise ValueError(f"width: expected a multiple of 4, got {width}")
    quarter = width // 4
    frequencies = 10_000.0 ** -(torch.arange(quarter, dtype=torch.float64) / quarter)
    angles = spacing * torch.arange(side, dtype=torch.float64)[:, None] * frequencies
    line = torch.cat([angles.sin(), angles.cos()], dim=1)
    columns, rows = line.repeat(side, 1), line.repeat_interleave(side, dim=0)
    return torch.cat([columns, rows], dim=1).float()


class PatchEmbed(nn.Module):
    """Cut latents into square patches, make a token of each, and tell it where it is.

    Args:
        in_channels: channels of the latents.
        width: channels of a token.
        patch_size: side of a patch, in latents.
        sample_size: side of the latents it is trained on.
        max_size: side of the largest picture, in patches; smaller ones lie in its middle.

    Source:
        Esser et al. 2024 (arXiv:2403.03206), section 5.3.2. In diffusers:
        `PatchEmbed(pos_embed_max_size=…)`, same parameter names.
    """

    pos_embed: Tensor

    def __init__(
        self, in_channels: int, width: int, patch_size: int, sample_size: int, max_size: int
    ) -> None:
        super().__init__()
        self.max_size = max_size
        self.proj = nn.Conv2d(in_channels, width, patch_size, stride=patch_size)
        table = position_table(width, max_size, (sample_size // patch_size) / max_size)
        self.register_buffer("pos_embed", table[None])

    def forward(self, x: Float[Tensor, " b c h w"]) -> Float[Tensor, " b n d"]:
        """A row of tokens, row by row of the picture."""
        patches = self.proj(x)
        height, width = patches.shape[2:]
        top, left = (self.max_size - height) // 2, (self.max_size - width) // 2
        square = self.pos_embed.unflatten(1, (self.max_size, self.max_size))
        places = square[:, top : top + height, left : left + width].flatten(1, 2)
        return patches.flatten(2).mT + places.to(patches.dtype)


class TimeTextEmbedding(nn.Module):
    """One vector for each picture: what time it is, and what the text says as a whole.

    Source:
        In diffusers: `CombinedTimestepTextProjEmbeddings`, same parameter names.
    """

    def __init__(self, pooled_dim: int, width: int) -> None:
        super().__init__()
        self.timestep_embedder = TimestepEmbedding(CLOCK, width)
        self.text_embedder = TimestepEmbedding(pooled_dim, width)  # two linear layers as well

    def forward(
        self, t: Float[Tensor, " b"], pooled: Float[Tensor, " b d_pooled"]
    ) -> Float[Tensor, " b d"]:
        """Add the two."""
        clock = sinusoidal_embedding(t, CLOCK).to(pooled.dtype)
        return self.timestep_embedder(clock) + self.text_embedder(pooled)


class MMDiT(nn.Module):
    """Noisy latents, the time and a text → the velocity of the flow.

    Args:
        sample_size: height and width of the latents it is trained on.
        patch_size: side of the square of latents that one token stands for.
        in_channels: channels of the latents.
        out_channels: channels of the answer.
        num_layers: joint transformer blocks.
        num_heads: attention heads; num_heads · head_dim is the width of a token.
        head_dim: width of a head; the width is a multiple of 4.
        context_dim: width of the text's tokens.
        pooled_dim: width of the text's one vector.
        pos_embed_max_size: side of the largest picture, in patches.
        qk_norm: whether queries and keys are normalised.

    Raises:
        ValueError: if a number is below 1, the width is no multiple of 4, or the largest picture is
            smaller than `sample_size`.

    Source:
        Esser et al. 2024 (arXiv:2403.03206), section 4 and figure 2. In diffusers:
        `SD3Transformer2DModel`, same parameter names.
    """

    def __init__(
        self,
        *,
        sample_size: int = 8,
        patch_size: int = 1,
        in_channels: int = 4,
        out_channels: int = 4,
        num_layers: int = 6,
        num_heads: int = 4,
        head_dim: int = 40,
        context_dim: int = 256,
        pooled_dim: int = 256,
        pos_embed_max_size: int = 16,
        qk_norm: bool = False,
    ) -> None:
        super().__init__()
        checks.whole_at_least(1, sample_size=sample_size, patch_size=patch_size)
        checks.whole_at_least(1, in_channels=in_channels, out_channels=out_channels)
        checks.whole_at_least(1, num_layers=num_layers, num_heads=num_heads, head_dim=head_dim)
        checks.whole_at_least(1, context_dim=context_dim, pooled_dim=pooled_dim)
        checks.whole_at_least(sample_size // patch_size, pos_embed_max_size=pos_embed_max_size)
        self.sample_size, self.patch_size = sample_size, patch_size
        self.in_channels, self.out_channels = in_channels, out_channels
        self.num_layers, self.num_heads, self.head_dim = num_layers, num_heads, head_dim
        self.context_dim, self.pooled_dim, self.qk_norm = context_dim, pooled_dim, qk_norm
        self.pos_embed_max_size, width = pos_embed_max_size, num_heads * head_dim
        self.pos_embed = PatchEmbed(in_channels, width, patch_size, sample_size, pos_embed_max_size)
        self.time_text_embed = TimeTextEmbedding(pooled_dim, width)
        self.context_embedder = nn.Linear(context_dim, width)
        self.transformer_blocks = nn.ModuleList(
            JointTransformerBlock(
                width, num_heads=num_heads, qk_norm=qk_norm, context_pre_only=i == num_layers
            )
            for i in range(1, num_layers + 1)
        )
        self.norm_out = AdaLayerNormContinuous(width)
        self.proj_out = nn.Linear(width, patch_size**2 * out_channels)
        nn.init.zeros_(self.proj_out.weight)  # a first answer of 0 is the best guess without words
        nn.init.zeros_(self.proj_out.bias)

    def forward(
        self,
        x: Float[Tensor, " b c h w"],
        t: Float[Tensor, " b"],
        context: Float[Tensor, " b m d_context"],
        pooled: Float[Tensor, " b d_pooled"],
    ) -> Float[Tensor, " b c_out h w"]:
        """The velocity ε − x_0 at noisy latents, as far as it can be known.

        Args:
            x: noisy latents.
            t: times in [0, 1000], 1000 times those of `diffusion.flow`.
            context: the text's tokens.
            pooled: the text's one vector.

        Raises:
            ValueError: if the latents are not (b, in_channels, h, w) with sides that the patches
                divide and that fit, there is not one time each, or the text is not shaped as the
                network was built for.
        """
        self._check(x, t, context, pooled)
        tokens, temb = self.pos_embed(x), self.time_text_embed(t, pooled)
        context = self.context_embedder(context)
        for block in self.transformer_blocks:
            tokens, context = block(tokens, context, temb)
        patches = self.proj_out(self.norm_out(tokens, temb))
        h, p = x.shape[2] // self.patch_size, self.patch_size
        return rearrange(patches, "b (h w) (p q c) -> b c (h p) (w q)", h=h, p=p, q=p)

    def _check(self, x: Tensor, t: Tensor, context: Tensor, pooled: Tensor) -> None:
        checks.floating(x=x)
        if x.ndim != 4 or x.shape[1] != self.in_channels:
            expected = f"shape (b, {self.in_channels}, h, w)"
            raise ValueError(f"x: expected {expected}, got {tuple(x.shape)}")
        largest = self.pos_embed_max_size * self.patch_size
        if any(side % self.patch_size or not 0 < side <= largest for side in x.shape[2:]):
            raise ValueError(
                f"x: expected sides up to {largest} that are multiples of {self.patch_size}, "
                f"got {tuple(x.shape[2:])}"
            )
        checks.one_timestep_each(x, t)
        if context.ndim != 3 or (len(context), context.shape[2]) != (len(x), self.context_dim):
            expected = f"shape ({len(x)}, m, {self.context_dim})"
            raise ValueError(f"context: expected {expected}, got {tuple(context.shape)}")
        if tuple(pooled.shape) != (len(x), self.pooled_dim):
            expected = f"shape {(len(x), self.pooled_dim)}"
            raise ValueError(f"pooled: expected {expected}, got {tuple(pooled.shape)}")


def stable_diffusion_3_medium() -> MMDiT:
    """The transformer of Stable Diffusion 3 medium: 2,028,328,000 parameters.

    Source:
        Esser et al. 2024 (arXiv:2403.03206). As diffusers has it in the folder `transformer` of
        `stabilityai/stable-diffusion-3-medium-diffusers`.
    """
    return MMDiT(
        sample_size=128,
        patch_size=2,
        in_channels=16,
        out_channels=16,
        num_layers=24,
        num_heads=24,
        head_dim=64,
        context_dim=4096,
        pooled_dim=2048,
        pos_embed_max_size=192,
    )
