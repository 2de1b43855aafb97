"""Going on with the shipped autoencoder, on what it loses: small objects that lie on larger ones.

Of the scenes that the oracle could no longer read after the autoencoder, more than two thirds had
one object inside or in front of another, and it was mostly the small one that was lost. Half of
each batch is of such scenes.
"""

from collections.abc import Sequence

import torch
from torch import Generator
from torch.optim.lr_scheduler import LambdaLR

from edudiff.data import drawing, scenes
from edudiff.training.job import Batch, Job, Recipe
from edudiff.training.rates import trapezoid
from edudiff.training.recipes import tiny_vae

LEARNING_RATE = 8e-4
OVERLAPPING = ("inside", "in front of")
NUM_SCENES = 50_000


def overlapping(seeds: Sequence[int]) -> list[scenes.Scene]:
    """Those of the scenes with these seeds in which one object lies on another."""
    return [scene for scene in map(scenes.scene, seeds) if scene.relation in OVERLAPPING]


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped autoencoder, and everything that trains it."""
    torch.manual_seed(seed)
    model = tiny_vae.load_shipped().float()
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=LEARNING_RATE, betas=(0.9, 0.99), weight_decay=0.0
    )
    harder = overlapping(range(NUM_SCENES))

    def draw(batch_size: int, generator: Generator) -> Batch:
        half = batch_size // 2
        rows = torch.randint(len(harder), (half,), generator=generator).tolist()
        chosen = drawing.draw([harder[row] for row in rows], tiny_vae.SIZE) if half else None
        others = tiny_vae.random_pictures(batch_size - half, tiny_vae.SIZE, generator)
        pictures = others if chosen is None else torch.cat([chosen, others])
        return tiny_vae.with_noise(model, pictures, generator)

    return Job(
        model,
        optimizer,
        draw,
        lambda batch: tiny_vae.loss_terms(model, batch, tiny_vae.OBJECT_WEIGHT),
        scheduler=LambdaLR(optimizer, trapezoid(num_steps)),
        ema_decay=0.999,
        max_grad_norm=1.0,
        sample=tiny_vae.pairs,
        measure=tiny_vae.measure,
        export=tiny_vae.export,
    )


RECIPE = Recipe("vae-more", num_steps=8000, batch_size=16, prepare=prepare)
