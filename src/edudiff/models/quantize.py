"""Weights as small whole numbers: a row of a matrix in 8 or 4 bits a weight, and one scale.

The arithmetic stays what it was: a layer makes its weights out of the numbers whenever it is used.
So memory becomes less, and time does not.
"""

import torch
from jaxtyping import Float, Int8, UInt8
from torch import Tensor, nn
from torch.nn.utils import parametrize

from edudiff import checks

BITS = (8, 4)


def quantize(
    weight: Float[Tensor, " rows *columns"], bits: int = 8
) -> tuple[Int8[Tensor, " rows *columns"], Float[Tensor, " _ *ones"]]:
    """The whole numbers and scales whose product is nearest to a weight.

        scale = max |w| / (2^(bits − 1) − 1),   q = round(w / scale)

    with the maximum over one row, which is all that makes one output of the layer. A weight moves
    by at most half its row's scale.

    Args:
        weight: as in `nn.Linear` or `nn.Conv2d`: outputs first.
        bits: 8 for −127…127, or 4 for −7…7.

    Returns:
        The numbers, one byte each whatever the bits (see `pack`), and the scales, of the weight's
        dtype and shaped to broadcast.

    Raises:
        ValueError: for another number of bits, or a weight that is not finite.

    Source:
        Dettmers et al. 2022 (LLM.int8(), arXiv:2208.07339), eq. 1, with a scale for each row.
    """
    if bits not in BITS:
        raise ValueError(f"bits: expected 8 or 4, got {bits!r}")
    checks.floating(weight=weight)
    if not weight.isfinite().all():
        raise ValueError("weight: expected finite numbers, got infinity or NaN")
    largest = 2 ** (bits - 1) - 1
    columns = tuple(range(1, weight.ndim))
    scale = weight.float().abs().amax(dim=columns, keepdim=True) / largest
    # A row of zeros, or one so small that its scale vanishes, has any scale.
    scale = torch.where(scale.to(weight.dtype) == 0, torch.ones_like(scale), scale)
    scale = scale.to(weight.dtype)
    q = (weight.float() / scale.float()).round().clamp(-largest, largest)
    return q.to(torch.int8), scale


def dequantize(
    q: Int8[Tensor, " rows *columns"], scale: Float[Tensor, " _ *ones"]
) -> Float[Tensor, " rows *columns"]:
    """The weights that numbers and scales stand for: their product."""
    return q * scale


def pack(q: Int8[Tensor, "*shape"]) -> UInt8[Tensor, " half"]:
    """Two numbers of 4 bits in each byte, the first in the upper half.

    Raises:
        ValueError: for a number that needs more than 4 bits.
    """
    if q.numel() and not -8 <= int(q.min()) <= int(q.max()) <= 7:
        raise ValueError(f"q: expected numbers in −8…7, got {int(q.min())}…{int(q.max())}")
    flat = (q.flatten() + 8).to(torch.uint8)
    if len(flat) % 2:
        flat = nn.functional.pad(flat, (0, 1))
    return flat[::2] * 16 + flat[1::2]


def unpack(packed: UInt8[Tensor, " half"], shape: torch.Size) -> Int8[Tensor, "*shape"]:
    """The numbers that `pack` has put together.

    Raises:
        ValueError: if there are not as many as the shape needs.
    """
    if len(packed) != (shape.numel() + 1) // 2:
        expected = (shape.numel() + 1) // 2
        raise ValueError(f"packed: expected {expected} bytes, got {len(packed)}")
    flat = torch.stack([packed // 16, packed % 16], dim=1).flatten()[: shape.numel()]
    return (flat.to(torch.int8) - 8).view(shape)


class FewBits(nn.Module):
    """A parametrization of `weight`: kept as numbers and scales, made anew at every use.

    Args:
        bits: 8 or 4.
    """

    def __init__(self, bits: int = 8) -> None:
        super().__init__()
        self.bits, self.shape = bits, torch.Size()

    def right_inverse(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """What is kept of a weight."""
        q, scale = quantize(weight, self.bits)
        self.shape = q.shape
        return (pack(q) if self.bits == 4 else q), scale

    def forward(self, kept: Tensor, scale: Tensor) -> Tensor:
        """The weight as the layer sees it."""
        return dequantize(unpack(kept, self.shape) if self.bits == 4 else kept, scale)


def quantize_layers(network: nn.Module, bits: int = 8) -> nn.Module:
    """Put the weights of all linear layers and convolutions into few bits, in place.

    Biases, norms and embeddings, of which there are few, stay as they are. The network can be used
    and no longer trained.

    Returns:
        The network itself.

    Raises:
        ValueError: what `quantize` raises, or if it has been quantized already.
    """
    layers = [m for m in network.modules() if isinstance(m, nn.Linear | nn.Conv2d)]
    if any(parametrize.is_parametrized(layer, "weight") for layer in layers):
        raise ValueError("network: expected plain weights, got some that are quantized already")
    network.requires_grad_(False)
    for layer in layers:
        parametrize.register_parametrization(layer, "weight", FewBits(bits))
    return network


def num_bytes(network: nn.Module) -> int:
    """Bytes that all parameters and buffers take."""
    kept = [*network.parameters(), *network.buffers()]
    return sum(tensor.numel() * tensor.element_size() for tensor in kept)
