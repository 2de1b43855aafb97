"""A linear layer that is told the same in other words, and answers nearly as before."""

import torch
from jaxtyping import Float
from torch import Tensor, nn


def least_squares(
    x: Float[Tensor, "n d_x"], y: Float[Tensor, "n d_y"]
) -> tuple[Float[Tensor, "d_y d_x"], Float[Tensor, " d_y"]]:
    """The matrix A and the constant b for which A x + b comes nearest to y, over n examples.

    A little ridge keeps A small along directions in which x hardly varies.
    """
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = (x - mean_x).double(), (y - mean_y).double()
    gram = x.mT @ x
    gram.diagonal().add_((1e-4 * gram.diagonal().mean()).clamp(min=1e-12))
    matrix = torch.linalg.solve(gram, x.mT @ y).mT.float()
    return matrix, mean_y - matrix @ mean_x


@torch.no_grad()
def retell(
    layer: nn.Linear, before: Float[Tensor, "n d_before"], now: Float[Tensor, "n d_now"]
) -> None:
    """Change a layer so that it makes of `now` what it has made of `before`, as nearly as it can.

    Args:
        layer: with a bias; changed in place, its number of inputs stays.
        before: inputs that it knows.
        now: what it is told instead, row by row.

    Raises:
        ValueError: if `now` does not have as many channels as the layer takes.
    """
    if now.shape[-1] != layer.in_features:
        raise ValueError(f"now: expected {layer.in_features} channels, got {now.shape[-1]}")
    fit, constant = least_squares(now, before)
    layer.bias.add_(layer.weight @ constant)
    layer.weight.copy_(layer.weight @ fit)
