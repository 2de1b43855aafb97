"""ControlNet: half a U-Net beside a frozen one, which is shown a picture of what stands where.

control ─ embedding ─ + ─ copy of the way down ─ copy of the middle
noisy x ─ conv_in ────┘     │ zero convolutions        │
            U-Net:        bridges + ───────────── middle + ─ way up ─ its answer

At the start every zero convolution answers 0, so the U-Net does not notice anything.
"""

import inspect
import itertools
from collections.abc import Sequence
from typing import Any

import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from edudiff import checks
from edudiff.models import unet_checks
from edudiff.models.unet import UNet
from edudiff.models.unet_blocks import kept_widths

OPTIONS = tuple(inspect.signature(UNet).parameters.keys() - {"time_embedding"})
"""The options of a U-Net, which it keeps as attributes."""


class ZeroConv(nn.Conv2d):
    """A convolution whose weights begin at zero: it answers 0, yet its gradient is not 0.

    For y = W x + b the gradient of W is that of y times x, whatever W is; after one step W lets
    something through, and what lies before it begins to learn too.

    Source:
        Zhang et al. 2023 (arXiv:2302.05543), section 3.1. In diffusers: `zero_module`.
    """

    def reset_parameters(self) -> None:
        """Set weights and biases to zero."""
        for parameter in self.parameters():
            nn.init.zeros_(parameter)


class ConditioningEmbedding(nn.Module):
    """From a picture as large as the final one to as many numbers as the U-Net's first state has.

    Args:
        conditioning_channels: channels of the picture that comes in.
        channels: width of what goes out.
        block_out_channels: widths on the way; between two of them height and width are halved.

    Source:
        Zhang et al. 2023 (arXiv:2302.05543), section 3.2, "a tiny network". In diffusers:
        `ControlNetConditioningEmbedding`, same parameter names.
    """

    def __init__(
        self, conditioning_channels: int, channels: int, block_out_channels: Sequence[int]
    ) -> None:
        super().__init__()
        self.conv_in = nn.Conv2d(conditioning_channels, block_out_channels[0], 3, padding=1)
        self.blocks = nn.ModuleList()
        for before, after in itertools.pairwise(block_out_channels):
            self.blocks.append(nn.Conv2d(before, before, 3, padding=1))
            self.blocks.append(nn.Conv2d(before, after, 3, padding=1, stride=2))
        self.conv_out = ZeroConv(block_out_channels[-1], channels, 3, padding=1)

    def forward(self, control: Float[Tensor, " b c H W"]) -> Float[Tensor, " b d h w"]:
        """Look at the picture, halve it a few times, and begin by saying nothing."""
        h = F.silu(self.conv_in(control))
        for block in self.blocks:
            h = F.silu(block(h))
        return self.conv_out(h)


class ControlNet(UNet):
    """(x, t, context, control) → what to add inside a U-Net with the same options.

    It is that U-Net's way down and its middle once more, with a zero convolution behind every
    state; there is no way up.

    Args:
        conditioning_channels: channels of the picture that steers.
        conditioning_embedding_out_channels: see `ConditioningEmbedding`: one more than how often
            the picture must be halved to be as large as the latents.
        options: those of the `UNet` that is steered.

    Raises:
        ValueError: if a number is below 1, or what `UNet` raises.

    Source:
        Zhang et al. 2023 (arXiv:2302.05543), figure 3. In diffusers: `ControlNetModel`, with the
        same parameter names.
    """

    def __init__(
        self,
        *,
        conditioning_channels: int = 3,
        conditioning_embedding_out_channels: Sequence[int] = (16, 32, 48, 64),
        **options: Any,
    ) -> None:
        checks.whole_at_least(1, conditioning_channels=conditioning_channels)
        for width in conditioning_embedding_out_channels:
            checks.whole_at_least(1, conditioning_embedding_out_channels=width)
        super().__init__(**options)
        del self.up_blocks, self.conv_norm_out, self.conv_out
        self.conditioning_channels = conditioning_channels
        self.conditioning_embedding_out_channels = tuple(conditioning_embedding_out_channels)
        widths = self.block_out_channels
        self.controlnet_cond_embedding = ConditioningEmbedding(
            conditioning_channels, widths[0], self.conditioning_embedding_out_channels
        )
        kept = kept_widths(widths, self.layers_per_block)
        self.controlnet_down_blocks = nn.ModuleList(ZeroConv(width, width, 1) for width in kept)
        self.controlnet_mid_block = ZeroConv(widths[-1], widths[-1], 1)

    @classmethod
    def from_unet(
        cls,
        unet: UNet,
        *,
        conditioning_channels: int = 3,
        conditioning_embedding_out_channels: Sequence[int] = (16, 32, 48, 64),
    ) -> "ControlNet":
        """One for this U-Net, which begins with a copy of its weights.

        Args:
            unet: what is to be steered; it stays as it is.
            conditioning_channels: see the class.
            conditioning_embedding_out_channels: see the class.
        """
        model = cls(
            conditioning_channels=conditioning_channels,
            conditioning_embedding_out_channels=conditioning_embedding_out_channels,
            time_embedding=unet.time_embedding is not None,
            **{name: getattr(unet, name) for name in OPTIONS},
        )
        own = model.state_dict()
        copied = {name: weight for name, weight in unet.state_dict().items() if name in own}
        model.load_state_dict(own | copied)
        return model.to(unet.conv_in.weight)

    def forward(  # type: ignore[override]  # another question, another answer
        self,
        x: Float[Tensor, " b c h w"],
        t: Int[Tensor, " b"] | None,
        encoder_hidden_states: Float[Tensor, " b m d_context"] | None,
        controlnet_cond: Float[Tensor, " b c_control H W"],
        conditioning_scale: float = 1.0,
        *,
        text_embeds: Float[Tensor, " b d_pooled"] | None = None,
        time_ids: Float[Tensor, " b n_ids"] | None = None,
    ) -> tuple[list[Tensor], Tensor]:
        """What to add to each state of the way down, and to what comes out of the middle.

        Args:
            x: as for the U-Net, like the arguments not named here.
            t: as for the U-Net.
            encoder_hidden_states: as for the U-Net.
            controlnet_cond: the picture that steers, in [0, 1], as large as the final picture.
            conditioning_scale: what everything is multiplied by; 0 for no steering.
            text_embeds: as for the U-Net.
            time_ids: as for the U-Net.

        Returns:
            For the U-Net's `down_block_additional_residuals` and `mid_block_additional_residual`.

        Raises:
            ValueError: what the U-Net raises, or for a `controlnet_cond` of another shape.
        """
        unet_checks.picture(x, self.in_channels, len(self.block_out_channels) - 1)
        context, width = encoder_hidden_states, self.context_dim
        wanted = None if width is None else (len(x), "m", width)
        unet_checks.shape(context, wanted, "encoder_hidden_states")
        factor = 2 ** (len(self.conditioning_embedding_out_channels) - 1)
        sides = (factor * side for side in x.shape[2:])
        expected = (len(x), self.conditioning_channels, *sides)
        unet_checks.shape(controlnet_cond, expected, "controlnet_cond")
        temb = self._embed(x, t, text_embeds, time_ids)

        states = [self.conv_in(x) + self.controlnet_cond_embedding(controlnet_cond)]
        for block in self.down_blocks:
            states += block(states[-1], temb, context)
        h = self.mid_block(states[-1], temb, context)
        behind = zip(self.controlnet_down_blocks, states, strict=True)
        down = [conditioning_scale * zero(state) for zero, state in behind]
        return down, conditioning_scale * self.controlnet_mid_block(h)
