"""The plain GAN of chapter 02: repeatable, and it gets somewhere."""

import torch

from edudiff.data import points
from edudiff.evaluation import distances
from edudiff.training import loop
from edudiff.training.recipes import ring_gan


def forged(seed, num_steps, **options):
    G, _, step = ring_gan.prepare(seed, **options)
    generator = torch.Generator().manual_seed(seed)
    for _ in loop.train(step, num_steps=num_steps, generator=generator):
        pass
    with torch.no_grad():
        return G(torch.randn(1000, G.latent_dim, generator=torch.Generator().manual_seed(9)))


def test_the_same_seed_forges_the_same_points():
    assert torch.equal(forged(3, 20), forged(3, 20))


def test_another_seed_forges_others():
    assert not torch.equal(forged(3, 20), forged(4, 20))


def test_the_options_reach_the_networks():
    G, _, _ = ring_gan.prepare(0, latent_dim=2)
    assert G.latent_dim == 2
    assert not torch.equal(forged(3, 5), forged(3, 5, r1_gamma=1.0))
    assert not torch.equal(forged(3, 5), forged(3, 5, generator_steps=2))


def test_training_brings_the_points_nearer_to_the_ring():
    ring = points.sample("ring", 1000, generator=torch.Generator().manual_seed(1))

    def away(x):
        directions = torch.Generator().manual_seed(2)
        return distances.sliced_wasserstein(x, ring, generator=directions)

    assert away(forged(0, 600)) < 0.5 * away(forged(0, 1))


def test_a_negative_penalty_is_refused(refusal):
    with refusal("r1_gamma: expected a number"):
        ring_gan.prepare(0, r1_gamma=-1.0)
