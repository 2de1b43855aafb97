"""Going on with the shipped refiner: the same training from its weights, on new scenes.

It can be run again on what it has made, with another seed; the log of the weights grows longer. It
keeps the text encoder that it began with, whatever the base's has learnt since. As in the base's,
wide and tall pictures come oftener than they did at first.
"""

import torch

from edudiff.checkpoints import registry
from edudiff.pipelines.text_to_image_xl import load
from edudiff.training.job import Job, Recipe
from edudiff.training.recipes import tiny_sdxl_refiner
from edudiff.training.recipes.xl_examples import LATER_SHARES

LEARNING_RATE = 2e-4


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped networks, scenes that they have not seen yet, and what trains them."""
    torch.manual_seed(seed)
    base, refiner = (load(registry.path(name)) for name in ("tiny-sdxl", "tiny-sdxl-refiner"))
    seeds = tiny_sdxl_refiner.training_seeds(1 + seed, num_steps)
    return tiny_sdxl_refiner.make_job(
        base, refiner, seeds, num_steps, LEARNING_RATE, shares=LATER_SHARES
    )


RECIPE = Recipe("sdxl-refiner-more", num_steps=5000, batch_size=64, prepare=prepare)
