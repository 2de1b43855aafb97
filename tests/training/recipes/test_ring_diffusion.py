"""The denoiser of chapter 04: repeatable, and it learns."""

import pytest
import torch

from edudiff.data import points
from edudiff.training import loop
from edudiff.training.recipes import ring_diffusion


def trained(seed, num_steps, law="ring"):
    network, step = ring_diffusion.prepare(seed, law, num_steps)
    generator = torch.Generator().manual_seed(seed)
    losses = [loss for _, loss in loop.train(step, num_steps=num_steps, generator=generator)]
    return network, losses


def test_the_same_seed_trains_the_same_weights():
    first, second = trained(3, 20)[0], trained(3, 20)[0]
    assert all(map(torch.equal, first.parameters(), second.parameters()))


def test_the_loss_starts_at_the_noise_s_variance_and_falls():
    _, losses = trained(0, 300)
    assert abs(losses[0] - 1) < 0.2
    assert sum(losses[-30:]) / 30 < 0.6


def test_the_loss_is_the_mean_squared_error_of_the_noise():
    network, step = ring_diffusion.prepare(3, num_steps=5)
    generator = torch.Generator().manual_seed(9)
    x0 = points.sample("ring", ring_diffusion.BATCH_SIZE, generator=generator)
    t = torch.randint(100, (len(x0),), generator=generator)
    eps = torch.randn(x0.shape, generator=generator)
    alpha_bar_t = ring_diffusion.NOISE_SCHEDULE.alphas_cumprod[t, None].float()
    xt = alpha_bar_t.sqrt() * x0 + (1 - alpha_bar_t).sqrt() * eps
    with torch.no_grad():  # a network that was never trained answers 0; let it answer something
        for parameter in network.parameters():
            parameter += 0.1
        expected = (eps - network(xt, t)).square().mean().item()
    assert step(torch.Generator().manual_seed(9)) == pytest.approx(expected, rel=1e-5)


def test_the_learning_rate_reaches_zero_at_the_end():
    network, step = ring_diffusion.prepare(0, num_steps=5)
    generator = torch.Generator().manual_seed(0)
    for _ in range(5):
        step(generator)
    last = [parameter.clone() for parameter in network.parameters()]
    step(generator)
    assert all(map(torch.equal, last, network.parameters()))


def test_another_law_gives_another_network():
    ring, moons = trained(0, 5)[0], trained(0, 5, "moons")[0]
    assert not all(map(torch.equal, ring.parameters(), moons.parameters()))


def test_an_unknown_law_is_refused_at_the_first_step(refusal):
    _, step = ring_diffusion.prepare(0, "rings")
    with refusal("Did you mean 'ring'"):
        step(torch.Generator().manual_seed(0))
