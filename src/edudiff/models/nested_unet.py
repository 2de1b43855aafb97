"""Matryoshka: U-Nets one inside the other, which denoise all resolutions of a picture at once.

high x ─ conv_in ─ down ───────────────────────── + ─ up ─ high v̂
                     └ in_adapter ┐  ┌ out_adapter ┘
low x ─ conv_in ──────────────────+  │
                     └ down ─ middle ─ up ─ low v̂
"""

from collections.abc import Sequence

from torch import Tensor, nn

from edudiff.layers.modulated_resnet import zero
from edudiff.models.doll import Doll
from edudiff.models.matryoshka_blocks import Told
from edudiff.models.matryoshka_unet import MatryoshkaUNet


class NestedUNet(Doll):
    """([high x, …, low x], t, words) → [high v̂, …, low v̂]: a hollow doll with another inside.

    What it has seen on its way down, `in_adapter` adds to what the inner network sees; the inner
    network's last features (not its answer) come back through `out_adapter`. Both begin at zero:
    **a trained network that is nested answers to the bit what it answered before**, and this is how
    resolution grows.

    Args:
        inner_unet: the network of the next lower resolution, trained or not, nested or not.
        block_out_channels: width of every level; sides are halved between two levels, so that the
            last one meets the inner network. Three levels are four times the inner side.
        layers_per_block: residual blocks on the way down, for all levels or each.
        attention_layers: layers of attention after each of them, for all levels or each.
        scale: the side in pixels it is trained for; see `MatryoshkaUNet`.
        normalize_input: divide every noisy picture by its standard deviation first.

    Raises:
        ValueError: as `MatryoshkaUNet`; the number of groups and heads is that of the inner one.

    Source:
        Gu et al. 2023 (arXiv:2310.15111), in its published code `NestedUNet`, same
        parameter names.
    """

    def __init__(
        self,
        inner_unet: Doll,
        *,
        block_out_channels: Sequence[int] = (16, 32),
        layers_per_block: int | Sequence[int] = 1,
        attention_layers: int | Sequence[int] = 0,
        scale: int | None = None,
        normalize_input: bool = False,
    ) -> None:
        super().__init__(
            channels=inner_unet.channels,
            block_out_channels=block_out_channels,
            layers_per_block=layers_per_block,
            attention_layers=attention_layers,
            time_embed_dim=inner_unet.time_embed_dim,  # as wide as the summary of the words
            context_dim=inner_unet.context_dim,
            scale=scale,
            num_heads=inner_unet.num_heads,
            norm_num_groups=inner_unet.norm_num_groups,
        )
        self.normalize_input = normalize_input
        here, inside = self.block_out_channels[-1], inner_unet.block_out_channels[0]
        self.in_adapter = zero(nn.Conv2d(here, inside, 3, padding=1))
        self.inner_unet = inner_unet
        self.out_adapter = zero(nn.Conv2d(inside, here, 3, padding=1))
        times = 2 ** (len(self.block_out_channels) - 1)
        self.ratios = (times * inner_unet.ratios[0], *inner_unet.ratios)
        self.smallest_side, self.text_dim = inner_unet.smallest_side, inner_unet.text_dim

    def middle(
        self, x: Tensor, temb: Tensor, told: Told, lower: Sequence[Tensor]
    ) -> tuple[Tensor, list[Tensor]]:
        """Open the doll: hand features to the inner network, and take its features back.

        Pictures that exist at lower resolutions only get zeros handed in.
        """
        count, more = len(x), len(lower[0]) - len(x)
        features = nn.functional.pad(self.in_adapter(x), (0, 0, 0, 0, 0, 0, 0, more))
        answers, inner = self.inner_unet.denoise(lower, told, features)
        return x + self.out_adapter(inner[:count]), answers

    def prepare(self, x: Tensor) -> Tensor:
        """Noisy pictures, each divided by its standard deviation if the network wants that."""
        return x / x.std((1, 2, 3), keepdim=True) if self.normalize_input else x

    def read(
        self, encoder_hidden_states: Tensor | None, mask: Tensor | None, count: int
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Let the innermost network read."""
        return self.inner_unet.read(encoder_hidden_states, mask, count)


def mdm64() -> MatryoshkaUNet:
    """The published network for 64 × 64 pixels: 461,359,107 parameters.

    Words come from the encoder of `google/flan-t5-xl`.

    Source:
        Gu et al. 2023 (arXiv:2310.15111); its code, `configs/models/cc12m_64x64.yaml`.
    """
    return MatryoshkaUNet(
        block_out_channels=(256, 512, 768),
        layers_per_block=2,
        attention_layers=(0, 1, 5),
        text_dim=2048,
        context_dim=2048,
        masked_cross_attention=False,
        scale=64,
        norm_num_groups=32,
    )


def mdm256() -> NestedUNet:
    """The published network for 256 and 64 pixels: 476,613,958 parameters.

    Source:
        As `mdm64`; `configs/models/cc12m_256x256.yaml`.
    """
    return _nested_256(normalize_input=False)


def mdm1024() -> NestedUNet:
    """The published network for 1024, 256 and 64 pixels: 480,970,057 parameters.

    Its 256-pixel part divides the input by its standard deviation; that of `mdm256` does not.

    Source:
        As `mdm64`; `configs/models/cc12m_1024x1024.yaml`.
    """
    return NestedUNet(
        _nested_256(normalize_input=True),
        block_out_channels=(32, 32, 64),
        layers_per_block=(2, 2, 1),
        scale=1024,
    )


def _nested_256(*, normalize_input: bool) -> NestedUNet:
    return NestedUNet(
        mdm64(),
        block_out_channels=(64, 128, 256),
        layers_per_block=(2, 2, 1),
        scale=256,
        normalize_input=normalize_input,
    )
