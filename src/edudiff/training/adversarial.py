"""The step of a game between two networks, for the loop that trains everything else."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Generator, Tensor, nn

from edudiff import checks
from edudiff.models import gan

BETAS = (0.5, 0.999)
"""Adam's memory for a GAN: Radford et al. 2015 (arXiv:1511.06434), section 4."""


def r1_penalty(
    real_logits: Float[Tensor, " b"], real: Float[Tensor, " b *shape"]
) -> Float[Tensor, ""]:
    """E‖∇ₓ logit(x)‖² at real data: how steep the judge is where it should be level.

    Args:
        real_logits: the judge's answers on `real`.
        real: the data they were computed from, with `requires_grad` set beforehand.

    Source:
        Mescheder et al. 2018 (arXiv:1801.04406), eq. 9, without its γ/2.
    """
    (slope,) = torch.autograd.grad(real_logits.sum(), real, create_graph=True)
    return slope.flatten(1).square().sum(dim=1).mean()


def alternate(
    G: gan.Generator,
    D: gan.Discriminator,
    draw_real: Callable[[Generator], Tensor],
    *,
    learning_rate: float = 1e-3,
    r1_gamma: float = 0.0,
    generator_steps: int = 1,
) -> Callable[[Generator], tuple[float, float]]:
    """Make a step function: D learns one step, then G does.

    Args:
        G: the generator.
        D: the discriminator.
        draw_real: source of randomness → a batch of real data.
        learning_rate: of Adam, for both networks.
        r1_gamma: weight γ of the penalty γ/2 · `r1_penalty`; 0 for none.
        generator_steps: steps of G for each of D; above 1, G runs ahead of its judge.

    Returns:
        A function source of randomness → the losses of D, without the penalty, and of G, in nats,
        each before its own step. It raises `FloatingPointError` if D's loss is not finite, before
        the weights are touched.

    Raises:
        ValueError: if r1_gamma is negative or there is not at least one step of G.

    Source:
        Goodfellow et al. 2014 (arXiv:1406.2661), algorithm 1, with the loss of G of section 3.
    """
    if not r1_gamma >= 0:
        raise ValueError(f"r1_gamma: expected a number ≥ 0, got {r1_gamma!r}")
    checks.whole_at_least(1, generator_steps=generator_steps)
    g_parameters, d_parameters = list(G.parameters()), list(D.parameters())
    optimizer_g = torch.optim.Adam(g_parameters, lr=learning_rate, betas=BETAS, fused=True)
    optimizer_d = torch.optim.Adam(d_parameters, lr=learning_rate, betas=BETAS, fused=True)

    def descend(
        loss: Tensor, parameters: list[nn.Parameter], optimizer: torch.optim.Optimizer
    ) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward(inputs=parameters)  # in G's step, D need not know its slope
        optimizer.step()

    def step(generator: Generator) -> tuple[float, float]:
        real = draw_real(generator).requires_grad_(r1_gamma > 0)
        fake = G(torch.randn(len(real), G.latent_dim, generator=generator))
        real_logits = D(real)
        d_loss = gan.discriminator_loss(real_logits, D(fake.detach()))
        if not torch.isfinite(d_loss):
            raise FloatingPointError(f"loss of D: expected a finite number, got {d_loss.item()}")
        penalty = r1_gamma / 2 * r1_penalty(real_logits, real) if r1_gamma else 0.0
        descend(d_loss + penalty, d_parameters, optimizer_d)
        for index in range(generator_steps):
            if index:
                fake = G(torch.randn(len(real), G.latent_dim, generator=generator))
            g_loss = gan.generator_loss(D(fake))
            descend(g_loss, g_parameters, optimizer_g)
        return d_loss.item(), g_loss.item()

    return step
