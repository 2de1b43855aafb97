"""Growth: a network for small pictures becomes the inside of one for larger ones."""

import copy
from collections.abc import Sequence

from torch import nn

from edudiff.models.doll import Doll
from edudiff.models.nested_unet import NestedUNet


def grow(
    model: Doll,
    *,
    block_out_channels: Sequence[int] = (16, 32),
    layers_per_block: int | Sequence[int] = 1,
    attention_layers: int | Sequence[int] = 0,
    normalize_input: bool = False,
) -> NestedUNet:
    """A copy of the network with one more doll around it, which has learnt nothing yet.

    At that moment the lower resolutions are answered to the bit as before, and the new one with
    zeros: `in_adapter` and `conv_out` begin at zero. All of it is trained on from there.

    Args:
        model: the network, trained or not, nested or not; it is left as it is.
        block_out_channels: width of every level of the new doll; n levels make the side
            2^(n − 1) times as long.
        layers_per_block: as for `NestedUNet`.
        attention_layers: as for `NestedUNet`.
        normalize_input: as for `NestedUNet`.

    Returns:
        The larger network. If the inner one is told a `scale`, so is the new doll: its own.

    Raises:
        ValueError: as `NestedUNet`.

    Source:
        Gu et al. 2023 (arXiv:2310.15111), progressive training.
    """
    scale = model.scale
    if scale is not None:
        scale *= 2 ** (len(block_out_channels) - 1)
    return NestedUNet(
        copy.deepcopy(model),
        block_out_channels=block_out_channels,
        layers_per_block=layers_per_block,
        attention_layers=attention_layers,
        scale=scale,
        normalize_input=normalize_input,
    )


def newcomers(model: NestedUNet) -> dict[str, nn.Parameter]:
    """The parameters of the outermost doll alone, by name: those that growth added."""
    return {
        name: weight
        for name, weight in model.named_parameters()
        if not name.startswith("inner_unet.")
    }
