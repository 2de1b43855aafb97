"""Which place looked at which word: the cross-attention of a U-Net, written down while it runs.

with record(pipe.unet, len(prompts)) as maps:
    pictures = generate(pipe, prompts, generator=generator)
maps.at(8)[step, picture, token]  → 8 × 8 numbers
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from einops import rearrange
from jaxtyping import Float
from torch import Tensor, nn

from edudiff import checks
from edudiff.layers.pixel_transformer import PixelTransformer
from edudiff.models.unet import UNet


@dataclass(frozen=True)
class AttentionMaps:
    """What was written down.

    Attributes:
        layers: for each cross-attention of the U-Net, by its name there, one tensor (b, m, h, w)
            for each time it was asked, the mean over its heads: how much each of h × w places
            looked at each of m tokens. Over the tokens a place's numbers sum to 1.
    """

    layers: dict[str, list[Float[Tensor, " b m h w"]]] = field(default_factory=dict)

    def at(self, height: int) -> Float[Tensor, " calls b m {height} w"]:
        """The mean over all layers whose maps are so high, for every time the U-Net was asked.

        Raises:
            ValueError: if there is no such layer, or nothing was written down.
        """
        asked = {
            name: [each for each in calls if each.shape[2] == height]
            for name, calls in self.layers.items()
        }
        found = [torch.stack(calls) for calls in asked.values() if calls]
        if not found:
            heights = sorted({each.shape[2] for calls in self.layers.values() for each in calls})
            raise ValueError(f"height: expected one of {heights}, got {height}")
        return torch.stack(found).mean(dim=0)


@contextmanager
def record(unet: UNet, num_prompts: int) -> Iterator[AttentionMaps]:
    """Write down all cross-attention weights until the `with` block ends.

    Under guidance the U-Net is asked about every picture twice in one batch, first without the
    prompt; only the last `num_prompts` members of each batch are kept, which are the prompts, with
    guidance or without. The U-Net's answers stay the same.

    Args:
        unet: a network that asks words.
        num_prompts: how many prompts the pictures are drawn from.

    Yields:
        The maps, empty at first.

    Raises:
        ValueError: if the network has no cross-attention, num_prompts is below 1, or, when the
            U-Net is asked, a batch has fewer members.

    Source:
        Tang et al. 2023 (arXiv:2210.04885), section 3. In diffusers: a processor of one's own,
        handed to `set_attn_processor`.
    """
    checks.whole_at_least(1, num_prompts=num_prompts)
    transformers = [
        (name, each) for name, each in unet.named_modules() if isinstance(each, PixelTransformer)
    ]
    if not transformers:
        raise ValueError("unet: expected cross-attention, got a network that is told no words")
    maps = AttentionMaps()
    with ExitStack() as hooks:
        for name, transformer in transformers:
            listener = _Listener(maps.layers, num_prompts)
            handle = transformer.register_forward_pre_hook(listener.note_height)
            hooks.callback(handle.remove)
            for inside, module in transformer.named_modules(prefix=name):
                if inside.endswith("attn2"):
                    note = partial(listener.note, inside)
                    hooks.callback(module.register_forward_pre_hook(note).remove)
        yield maps


class _Listener:
    """Hears what one `PixelTransformer` is given, and what its cross-attention is."""

    def __init__(self, layers: dict[str, list[Tensor]], num_prompts: int) -> None:
        self.layers, self.num_prompts = layers, num_prompts
        self.height = 0

    def note_height(self, _: nn.Module, arguments: tuple[Any, ...]) -> None:
        """Inside, a picture is a row of pixels, which has forgotten its height."""
        self.height = arguments[0].shape[2]

    @torch.no_grad()
    def note(self, name: str, attention: Any, arguments: tuple[Any, ...]) -> None:
        tokens, context = (each[-self.num_prompts :] for each in arguments)
        if len(tokens) < self.num_prompts:
            raise ValueError(f"num_prompts: expected at most {len(tokens)}, got {self.num_prompts}")
        weights = attention.weights(tokens, context).mean(dim=1)
        seen = rearrange(weights, "b (h w) m -> b m h w", h=self.height).float().cpu()
        self.layers.setdefault(name, []).append(seen)
