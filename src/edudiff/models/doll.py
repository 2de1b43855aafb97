"""One doll: a U-Net for one resolution, whose middle is left open for what goes inside."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from edudiff.layers.embeddings import sinusoidal_embedding
from edudiff.layers.modulated_resnet import zero
from edudiff.models import nested_checks
from edudiff.models.matryoshka_blocks import Level, Told
from edudiff.models.unet_checks import for_each_level


class Doll(nn.Module):
    """What the solid doll and the hollow ones have in common: all but the middle.

    The arguments are those of `MatryoshkaUNet`. A subclass has `middle`, `read` and:

    Attributes:
        ratios: sides of all resolutions, high to low, as multiples of the lowest one's.
        smallest_side: what the lowest one's sides are multiples of, in pixels.
        text_dim: width of the text encoder's states; None for a network that is told no words.
    """

    ratios: tuple[int, ...]
    smallest_side: int
    text_dim: int | None

    def __init__(
        self,
        *,
        channels: int,
        block_out_channels: Sequence[int],
        layers_per_block: int | Sequence[int],
        attention_layers: int | Sequence[int],
        time_embed_dim: int,
        context_dim: int | None,
        scale: int | None,
        num_heads: int,
        norm_num_groups: int,
    ) -> None:
        super().__init__()
        levels = len(block_out_channels)
        self.channels, self.block_out_channels = channels, tuple(block_out_channels)
        self.layers_per_block = for_each_level(layers_per_block, levels)
        self.attention_layers = for_each_level(attention_layers, levels)
        self.time_embed_dim, self.context_dim = time_embed_dim, context_dim
        self.scale, self.num_heads, self.norm_num_groups = scale, num_heads, norm_num_groups
        nested_checks.options(self)

        first, hands = self.block_out_channels[0], time_embed_dim // 4
        self.temb_layer1 = nn.Linear(hands, time_embed_dim)
        self.temb_layer2 = nn.Linear(time_embed_dim, time_embed_dim)
        layers = [nn.Linear(hands, time_embed_dim), zero(nn.Linear(time_embed_dim, time_embed_dim))]
        self.cond_layers = nn.ModuleDict({} if scale is None else {"scale": nn.ModuleList(layers)})
        self.conv_in = nn.Conv2d(channels, first, 3, padding=1)
        self._build_ways()
        self.norm_out = nn.GroupNorm(norm_num_groups, first)
        self.conv_out = zero(nn.Conv2d(first, channels, 3, padding=1))

    def level(self, widths: Sequence[tuple[int, int]], **options: Any) -> Level:
        """A level that fits this doll."""
        common = {"context_dim": self.context_dim, "num_heads": self.num_heads}
        return Level(widths, self.time_embed_dim, groups=self.norm_num_groups, **common | options)

    def _build_ways(self) -> None:
        """Down and up; the way up has one more block on each level, and bridges to each."""
        widths, last = self.block_out_channels, len(self.block_out_channels) - 1
        self.down_blocks, self.up_blocks = nn.ModuleList(), nn.ModuleList()
        kept, before = [widths[0]], widths[0]
        for i, (width, number) in enumerate(zip(widths, self.layers_per_block, strict=True)):
            pairs = list(itertools.pairwise([before] + [width] * number))
            resample = "halve" if i < last else "keep"
            layers = self.attention_layers[i]
            self.down_blocks.append(self.level(pairs, attention_layers=layers, resample=resample))
            kept += [width] * (number + (i < last))
            before = width
        for i in reversed(range(len(widths))):
            own = [before] + [widths[i]] * self.layers_per_block[i]
            pairs = [(x + kept.pop(), widths[i]) for x in own]
            resample, layers = "double" if i else "keep", self.attention_layers[i]
            self.up_blocks.append(self.level(pairs, attention_layers=layers, resample=resample))
            before = widths[i]

    def forward(
        self,
        xs: Sequence[Float[Tensor, "_ c _ _"]],
        t: Int[Tensor, " b"],
        encoder_hidden_states: Float[Tensor, " b m d_text"] | None = None,
        mask: Bool[Tensor, " b m"] | None = None,
        size: Float[Tensor, " b"] | None = None,
    ) -> list[Tensor]:
        """Answer at every resolution: one v̂ for each of the noisy pictures.

        Args:
            xs: noisy pictures, from the highest resolution to the lowest. A higher resolution may
                have fewer of them: they then belong to the first of the lower one's.
            t: timesteps, one for each picture at the lowest resolution.
            encoder_hidden_states: what the text encoder says of each token.
            mask: False for padding; all tokens count if not given.
            size: sides of the original pictures in pixels, for networks with a `scale`; taken for
                large enough if not given.

        Raises:
            ValueError: if the pictures' number, sides or channels are not those of the nesting, a
                resolution has no picture or more than the next lower one; if t is not int64 or not
                one for each; if the text is missing, unwanted, of another width, or all masked.
        """
        nested_checks.pictures(xs, self)
        nested_checks.told(xs[-1], t, size)
        told = Told(t, size, *self.read(encoder_hidden_states, mask, len(xs[-1])))
        return self.denoise(xs, told)[0]

    def denoise(
        self, xs: Sequence[Tensor], told: Told, features: Tensor | None = None
    ) -> tuple[list[Tensor], Tensor]:
        """Answers at this and all lower resolutions, and this one's features before its answer.

        Args:
            xs: noisy pictures of this and all lower resolutions.
            told: what is told of all pictures, those that only exist at lower resolutions included.
            features: what the next larger doll hands in; None if there is none.
        """
        own = told.first(len(xs[0]))
        temb = self.embed(own)
        x = self.conv_in(self.prepare(xs[0]))
        states = [x if features is None else x + features]
        for block in self.down_blocks:
            states += block(states[-1], temb, own)
        x, answers = self.middle(states[-1], temb, told, xs[1:])
        for block in self.up_blocks:
            x = block(x, temb, own, states)[-1]
        return [self.conv_out(F.silu(self.norm_out(x))), *answers], x

    def embed(self, told: Told) -> Float[Tensor, " b d"]:
        """The time, the text in one vector and the size of the original, added up."""
        temb = self._clock(told.t, (self.temb_layer1, self.temb_layer2))
        if told.summary is not None:
            temb = temb + told.summary
        if self.scale is None:
            return temb
        most = torch.full_like(told.t, self.scale)
        size = most if told.size is None else torch.minimum(told.size, most)
        return temb + self._clock(size, self.cond_layers["scale"])

    def _clock(self, numbers: Tensor, layers: Any) -> Tensor:
        dim, (layer1, layer2) = self.time_embed_dim // 4, layers
        sinusoids = sinusoidal_embedding(numbers, dim).roll(dim // 2, dims=1)  # sines first
        return layer2(F.silu(layer1(sinusoids.to(self.conv_in.weight.dtype))))

    def prepare(self, x: Tensor) -> Tensor:
        """The noisy pictures as `conv_in` wants them."""
        return x

    def middle(
        self, x: Tensor, temb: Tensor, told: Told, lower: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """What happens at the bottom of the U: (features, answers at lower resolutions)."""
        raise NotImplementedError

    def read(
        self, encoder_hidden_states: Tensor | None, mask: Tensor | None, count: int
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """The words as all dolls want them: `summary`, `context` and `mask` of `Told`."""
        raise NotImplementedError
