"""EDM's network and denoiser: the numbers that stand around a network in Karras et al. 2022.

    D(x; σ) = c_skip x + c_out F(c_in x; c_noise)        with noisy data x = x_0 + σ ε

F is the network, D its guess of x_0. The other notations are translated by `rosetta`.
"""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor

from edudiff import checks


class Preconditioning(NamedTuple):
    """The four numbers of each σ, of σ's shape.

    Attributes:
        c_skip: how much of x goes past the network.
        c_out: how much of the network's answer counts.
        c_in: makes what the network sees of unit variance.
        c_noise: how the network is told σ; −∞ at σ = 0.
    """

    c_skip: Tensor
    c_out: Tensor
    c_in: Tensor
    c_noise: Tensor


def precondition(sigma: Float[Tensor, " *shape"], sigma_data: float = 1.0) -> Preconditioning:
    """The numbers around the network at noise σ.

        c_skip = σ_data² / (σ² + σ_data²)        c_out = σ σ_data / √(σ² + σ_data²)
        c_in = 1 / √(σ² + σ_data²)               c_noise = ¼ ln σ

    Args:
        sigma: standard deviation of the noise, ≥ 0.
        sigma_data: standard deviation of the data; EDM's pictures have 0.5.

    Raises:
        ValueError: if a σ is negative or sigma_data is not above 0.

    Source:
        Karras et al. 2022 (arXiv:2206.00364), table 1, last column. In diffusers:
        `EDMEulerScheduler.precondition_inputs`.
    """
    checks.in_range(0.0, float("inf"), sigma=sigma)
    checks.positive(sigma_data=sigma_data)
    length = (sigma.square() + sigma_data**2).sqrt()
    return Preconditioning(
        sigma_data**2 / length.square(), sigma * sigma_data / length, 1 / length, sigma.log() / 4
    )


def denoiser(
    answer: Tensor, x: Tensor, sigma: Float[Tensor, " *shape"], sigma_data: float = 1.0
) -> Tensor:
    """D(x; σ), the guess of x_0 that a network's answer F means.

    For σ_data = 1 the answer is −v̂, where v̂ is that of `rosetta`'s "v_prediction".

    Args:
        answer: F, what the network said about c_in x.
        x: noisy data x_0 + σ ε.
        sigma: σ, shaped to broadcast over x.
        sigma_data: standard deviation of the data.

    Raises:
        ValueError: if answer and x differ in shape, a σ is negative or sigma_data is not above 0.

    Source:
        Karras et al. 2022 (arXiv:2206.00364), eq. 7.
    """
    checks.same_shape(x=x, answer=answer)
    c_skip, c_out, _, _ = precondition(sigma, sigma_data)
    return c_skip * x + c_out * answer


def network_target(
    x0: Tensor, x: Tensor, sigma: Float[Tensor, " *shape"], sigma_data: float = 1.0
) -> Tensor:
    """What F is trained to answer: (x_0 − c_skip x) / c_out, the other way round.

    Raises:
        ValueError: if x0 and x differ in shape, a σ is negative or 0, or sigma_data is not above 0.

    Source:
        Karras et al. 2022 (arXiv:2206.00364), eq. 8.
    """
    checks.same_shape(x0=x0, x=x)
    c_skip, c_out, _, _ = precondition(sigma, sigma_data)
    if bool((sigma == 0).any()):
        raise ValueError("sigma: expected noise above 0, got 0: then x is x_0 already")
    return (x0 - c_skip * x) / c_out
