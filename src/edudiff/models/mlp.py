"""A small residual perceptron that denoises points, or pictures laid out flat."""

import math

from jaxtyping import Float, Int
from torch import Tensor, nn

from edudiff import checks
from edudiff.layers.embeddings import TimestepEmbedding, sinusoidal_embedding


class ResidualBlock(nn.Module):
    """Add to the state what two linear layers make of it and of the time vector."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.linear_1 = nn.Linear(width, width)
        self.linear_2 = nn.Linear(width, width)

    def forward(self, h: Float[Tensor, " b d"], temb: Float[Tensor, " b d"]) -> Tensor:
        """One residual update, (b, d) → (b, d)."""
        return h + self.linear_2(nn.functional.silu(self.linear_1(self.norm(h)) + temb))


class MLP(nn.Module):
    """(x_t, t) → a tensor of the shape of x_t: ε̂, x̂_0 or v̂, as it was trained.

    Args:
        shape: shape of one datum: (2,) for points, (1, 8, 8) for digits.
        width: channels of the hidden state.
        depth: number of residual blocks.
        time_dim: length of the sinusoidal time embedding, even.

    Raises:
        ValueError: if a size is below 1 or time_dim is odd.
    """

    def __init__(
        self,
        shape: tuple[int, ...] = (2,),
        *,
        width: int = 128,
        depth: int = 3,
        time_dim: int = 64,
    ) -> None:
        super().__init__()
        sizes = {f"shape[{axis}]": size for axis, size in enumerate(shape)}
        checks.whole_at_least(1, width=width, depth=depth, **sizes)
        checks.whole_at_least(2, time_dim=time_dim)
        if time_dim % 2:
            raise ValueError(f"time_dim: expected an even number, got {time_dim}")
        self.shape, self.time_dim = tuple(shape), time_dim
        features = math.prod(shape)
        self.time_embedding = TimestepEmbedding(time_dim, width)
        self.linear_in = nn.Linear(features, width)
        self.blocks = nn.ModuleList(ResidualBlock(width) for _ in range(depth))
        self.norm_out = nn.LayerNorm(width)
        self.linear_out = nn.Linear(width, features)
        nn.init.zeros_(self.linear_out.weight)
        nn.init.zeros_(self.linear_out.bias)

    def forward(
        self, xt: Float[Tensor, " b *shape"], t: Int[Tensor, " b"]
    ) -> Float[Tensor, " b *shape"]:
        """Answer for each member of the batch at its own timestep.

        Raises:
            ValueError: if a datum does not have the shape the network was built for, or there is
                not one timestep for each.
        """
        if tuple(xt.shape[1:]) != self.shape:
            raise ValueError(f"xt: expected shape (b, *{self.shape}), got {tuple(xt.shape)}")
        checks.one_timestep_each(xt, t)
        temb = self.time_embedding(sinusoidal_embedding(t, self.time_dim).to(xt.dtype))
        h = self.linear_in(xt.flatten(1))
        for block in self.blocks:
            h = block(h, temb)
        return self.linear_out(nn.functional.silu(self.norm_out(h))).reshape(xt.shape)
