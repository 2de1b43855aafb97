"""What another network adds to the U-Net from outside: on its bridges, and after its middle."""

from collections.abc import Sequence

from torch import Tensor

from edudiff import checks

DOWN, MID = "down_block_additional_residuals", "mid_block_additional_residual"


def add(
    states: list[Tensor],
    h: Tensor,
    down_block_additional_residuals: Sequence[Tensor] | None,
    mid_block_additional_residual: Tensor | None,
) -> tuple[list[Tensor], Tensor]:
    """Add to every state of the way down, and to the state after the middle.

    Args:
        states: what the bridges carry, the first one after conv_in.
        h: the state after the middle.
        down_block_additional_residuals: one for each state; None to leave everything as it is.
        mid_block_additional_residual: one for h; None to leave everything as it is.

    Raises:
        ValueError: if there is only one of the two, another number of them than states, or one of
            another shape.

    Source:
        Zhang et al. 2023 (ControlNet, arXiv:2302.05543), section 3.2. In diffusers: inside
        `UNet2DConditionModel.forward`, same names.
    """
    down, mid = down_block_additional_residuals, mid_block_additional_residual
    if down is None and mid is None:
        return states, h
    if down is None or mid is None:
        missing = DOWN if down is None else MID
        raise ValueError(f"{missing}: expected some beside the other, got none")
    if len(down) != len(states):
        expected = f"one for each of {len(states)} states"
        raise ValueError(f"{DOWN}: expected {expected}, got {len(down)}")
    for i, (state, residual) in enumerate(zip(states, down, strict=True)):
        checks.same_shape(**{"state": state, f"{DOWN}[{i}]": residual})
    checks.same_shape(**{"state": h, MID: mid})
    return [s + residual for s, residual in zip(states, down, strict=True)], h + mid
