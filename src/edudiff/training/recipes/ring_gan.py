"""A plain GAN on the ring of eight Gaussians: it learns the modes, and loses some again."""

from collections.abc import Callable

import torch
from torch import Generator

from edudiff.data import points
from edudiff.models import gan
from edudiff.training import adversarial

NUM_STEPS = 1500
BATCH_SIZE = 256
LEARNING_RATE = 1e-3
LATENT_DIM = 16
HIDDEN = (64, 64)


def prepare(
    seed: int, *, latent_dim: int = LATENT_DIM, r1_gamma: float = 0.0, generator_steps: int = 1
) -> tuple[gan.Generator, gan.Discriminator, Callable[[Generator], tuple[float, float]]]:
    """Make both networks and the function that trains them by one step each.

    Args:
        seed: decides the first weights.
        latent_dim: length of z.
        r1_gamma: weight of the gradient penalty; 0 for the plain GAN.
        generator_steps: steps of G for each of D.

    Returns:
        G, D and their step function, for `edudiff.training.loop.train`.

    Raises:
        ValueError: if a number is out of range.

    Source:
        The test is that of Metz et al. 2017 (arXiv:1611.02163), section 3.1; the networks are
        smaller.
    """
    torch.manual_seed(seed)
    G = gan.Generator(latent_dim, HIDDEN, (2,), bounded=False)
    D = gan.Discriminator(HIDDEN, (2,))
    step = adversarial.alternate(
        G,
        D,
        lambda generator: points.sample("ring", BATCH_SIZE, generator=generator),
        learning_rate=LEARNING_RATE,
        r1_gamma=r1_gamma,
        generator_steps=generator_steps,
    )
    return G, D, step
