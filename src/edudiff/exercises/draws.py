"""Random inputs that several chapters need."""

import torch
from jaxtyping import Float64
from torch import Generator, Tensor


def draw_betas(generator: Generator, steps: int = 40) -> Float64[Tensor, " T"]:
    """A noise schedule like no other: steps of any size between 0.005 and 0.125, in any order."""
    return 0.005 + 0.12 * torch.rand(steps, generator=generator, dtype=torch.float64)


def draw_table(generator: Generator, steps: int = 40) -> Float64[Tensor, " T"]:
    """The ᾱ of such a schedule."""
    return (1 - draw_betas(generator, steps)).cumprod(dim=0)
