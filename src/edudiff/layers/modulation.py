"""How the time and the text's meaning reach every layer of a diffusion transformer.

A normalisation has a scale and a shift that are learnt once for all inputs. Here a linear layer
computes them anew for every picture, and a gate that says how much of a layer's answer counts.
"""

from typing import NamedTuple

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

EPS = 1e-6


def modulate(
    x: Float[Tensor, " b n d"], shift: Float[Tensor, " b d"], scale: Float[Tensor, " b d"]
) -> Float[Tensor, " b n d"]:
    """Normalise each token, then stretch and move all tokens of a picture alike.

        (1 + scale) · (x − mean(x)) / std(x) + shift

    Source:
        Peebles and Xie 2022 (arXiv:2212.09748), section 3.2.
    """
    return F.layer_norm(x, x.shape[-1:], eps=EPS) * (1 + scale[:, None]) + shift[:, None]


def _from_zero(width: int, times: int) -> nn.Linear:
    """A linear layer that answers 0 before training."""
    linear = nn.Linear(width, times * width)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    return linear


class Modulated(NamedTuple):
    """What a block does with its tokens on the way.

    Attributes:
        x: the tokens, modulated, for attention.
        gate_msa: how much of attention's answer counts.
        shift_mlp: for the perceptron's `modulate`.
        scale_mlp: for the perceptron's `modulate`.
        gate_mlp: how much of the perceptron's answer counts.
    """

    x: Float[Tensor, " b n d"]
    gate_msa: Float[Tensor, " b d"]
    shift_mlp: Float[Tensor, " b d"]
    scale_mlp: Float[Tensor, " b d"]
    gate_mlp: Float[Tensor, " b d"]


class AdaLayerNormZero(nn.Module):
    """All six numbers per channel that a block needs: two to modulate and a gate, twice.

    The linear layer begins at zero, so every gate does, and an untrained block changes nothing.

    Args:
        width: channels of a token, and of the vector that conditions.

    Source:
        Peebles and Xie 2022 (arXiv:2212.09748), section 3.2, adaLN-Zero. In diffusers:
        `AdaLayerNormZero`, with the same parameter names.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = _from_zero(width, 6)

    def forward(self, x: Float[Tensor, " b n d"], temb: Float[Tensor, " b d"]) -> Modulated:
        """Modulate the tokens for attention; the rest is for later in the block."""
        shift, scale, gate, *mlp = self.linear(F.silu(temb)).chunk(6, dim=1)
        return Modulated(modulate(x, shift, scale), gate, *mlp)


class AdaLayerNormContinuous(nn.Module):
    """Only modulated, with no gate: at the end of the network.

    Args:
        width: channels of a token, and of the vector that conditions.

    Source:
        Peebles and Xie 2022 (arXiv:2212.09748), section 3.2. In diffusers:
        `AdaLayerNormContinuous(elementwise_affine=False)`, with the same parameter names; there
        the scale comes before the shift.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = _from_zero(width, 2)

    def forward(
        self, x: Float[Tensor, " b n d"], temb: Float[Tensor, " b d"]
    ) -> Float[Tensor, " b n d"]:
        """Modulate the tokens."""
        scale, shift = self.linear(F.silu(temb)).chunk(2, dim=1)
        return modulate(x, shift, scale)
