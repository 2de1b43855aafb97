"""How a number becomes a vector that a network can use."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from edudiff import checks


def sinusoidal_embedding(
    t: Int[Tensor, " b"] | Float[Tensor, " b"], dim: int, max_period: float = 10_000.0
) -> Float[Tensor, " b d"]:
    """A clock with many hands: cosines, then sines, of `t` at dim/2 frequencies.

        f_i = max_period^(−i / (dim/2)),   (cos f_0 t, …, cos f_last t, sin f_0 t, …, sin f_last t)

    The first hand turns once in 2π timesteps, the slowest almost never.

    Args:
        t: timesteps; any real numbers.
        dim: length of the embedding, even.
        max_period: sets the slowest frequency.

    Returns:
        float32 vectors with entries in [-1, 1] and squared length dim/2.

    Raises:
        ValueError: if dim is odd or below 2.

    Source:
        Vaswani et al. 2017 (arXiv:1706.03762), section 3.5, as used by Ho et al. 2020. In
        diffusers: `get_timestep_embedding(flip_sin_to_cos=True, downscale_freq_shift=0)`.
    """
    checks.whole_at_least(2, dim=dim)
    if dim % 2:
        raise ValueError(f"dim: expected an even number, got {dim}")
    half = dim // 2
    frequencies = torch.exp(-math.log(max_period) * torch.arange(half, device=t.device) / half)
    angles = t[:, None].float() * frequencies
    return torch.cat([angles.cos(), angles.sin()], dim=1)


class TimestepEmbedding(nn.Module):
    """Two linear layers that let the network read the clock as it likes.

    Args:
        in_channels: length of the sinusoidal embedding.
        time_embed_dim: width of the result.

    Source:
        In diffusers: `TimestepEmbedding`, with the same parameter names.
    """

    def __init__(self, in_channels: int, time_embed_dim: int) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(in_channels, time_embed_dim)
        self.linear_2 = nn.Linear(time_embed_dim, time_embed_dim)

    def forward(self, sinusoids: Float[Tensor, " b in_d"]) -> Float[Tensor, " b d"]:
        """Map sinusoids to the vector that is added inside the network."""
        return self.linear_2(nn.functional.silu(self.linear_1(sinusoids)))
