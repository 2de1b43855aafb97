"""A generator that forges, a discriminator that judges, and the losses of their game.

The discriminator answers in logits, the log-odds of "real": its probability is σ(logit). Losses
are computed from logits, because log σ(·) of a confident judge underflows.
"""

import itertools
import math

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import softplus

from edudiff import checks


def _widths(first: int, hidden: tuple[int, ...], last: int) -> list[tuple[int, int]]:
    widths = (first, *hidden, last)
    checks.whole_at_least(1, **{f"width {i}": width for i, width in enumerate(widths)})
    return list(itertools.pairwise(widths))


class Generator(nn.Module):
    """z → a forged datum.

    Args:
        latent_dim: length of z, standard normal.
        hidden: widths of the hidden layers.
        shape: shape of one datum, (1, 28, 28) for the classic 100→256→512→784 generator.
        bounded: end in tanh, for data in [-1, 1]; False for points on the plane.

    Raises:
        ValueError: if a width is below 1.

    Source:
        Goodfellow et al. 2014 (arXiv:1406.2661), section 5; tanh as in arXiv:1511.06434.
    """

    def __init__(
        self,
        latent_dim: int = 100,
        hidden: tuple[int, ...] = (256, 512),
        shape: tuple[int, ...] = (1, 8, 8),
        *,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.latent_dim, self.shape = latent_dim, tuple(shape)
        layers: list[nn.Module] = []
        for width_in, width_out in _widths(latent_dim, hidden, math.prod(shape)):
            layers += [nn.Linear(width_in, width_out), nn.LeakyReLU(0.2)]
        layers[-1] = nn.Tanh() if bounded else nn.Identity()
        self.net = nn.Sequential(*layers)

    def forward(self, z: Float[Tensor, " b latent"]) -> Float[Tensor, " b *shape"]:
        """Forge one datum for each z; in [-1, 1] if bounded.

        Raises:
            ValueError: if z is not (b, latent_dim).
        """
        if z.ndim != 2 or z.shape[1] != self.latent_dim:
            raise ValueError(f"z: expected shape (b, {self.latent_dim}), got {tuple(z.shape)}")
        return self.net(z).reshape(len(z), *self.shape)


class Discriminator(nn.Module):
    """A datum → the log-odds that it is real.

    Args:
        hidden: widths of the hidden layers.
        shape: shape of one datum, as in `Generator`.

    Raises:
        ValueError: if a width is below 1.

    Source:
        Goodfellow et al. 2014 (arXiv:1406.2661); its D(x) is σ of what this returns.
    """

    def __init__(
        self, hidden: tuple[int, ...] = (512, 256), shape: tuple[int, ...] = (1, 8, 8)
    ) -> None:
        super().__init__()
        self.shape = tuple(shape)
        layers: list[nn.Module] = [nn.Flatten()]
        for width_in, width_out in _widths(math.prod(shape), hidden, 1):
            layers += [nn.Linear(width_in, width_out), nn.LeakyReLU(0.2)]
        self.net = nn.Sequential(*layers[:-1])

    def forward(self, x: Float[Tensor, " b *shape"]) -> Float[Tensor, " b"]:
        """Judge each datum.

        Raises:
            ValueError: if a datum does not have the shape the network was built for.
        """
        if tuple(x.shape[1:]) != self.shape:
            raise ValueError(f"x: expected shape (b, *{self.shape}), got {tuple(x.shape)}")
        return self.net(x)[:, 0]


def discriminator_loss(
    real_logits: Float[Tensor, " b"], fake_logits: Float[Tensor, " b2"]
) -> Float[Tensor, ""]:
    """−E[log D(x)] − E[log(1 − D(G(z)))], in nats; 2 log 2 for a judge that cannot tell.

    Source:
        Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1 with the sign turned.
    """
    return softplus(-real_logits).mean() + softplus(fake_logits).mean()


def saturating_generator_loss(fake_logits: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """E[log(1 − D(G(z)))]: the generator's side of the minimax game as it was written down.

    Its gradient with respect to the logit is −D(G(z)), which vanishes when the judge is sure.

    Source:
        Goodfellow et al. 2014 (arXiv:1406.2661), eq. 1.
    """
    return -softplus(fake_logits).mean()


def generator_loss(fake_logits: Float[Tensor, " b"]) -> Float[Tensor, ""]:
    """−E[log D(G(z))], the non-saturating loss that is used in practice.

    Its gradient with respect to the logit is D(G(z)) − 1, largest when the judge is sure.

    Source:
        Goodfellow et al. 2014 (arXiv:1406.2661), section 3.
    """
    return softplus(-fake_logits).mean()
