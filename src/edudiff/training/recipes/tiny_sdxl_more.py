"""Going on with the shipped Stable Diffusion XL: the same training from its weights, on new scenes.

It can be run again on what it has made, with another seed; the log of the weights grows longer. By
now squares are known best, so wide and tall pictures come oftener than they did at first.
"""

import torch

from edudiff.checkpoints import registry
from edudiff.pipelines.text_to_image_xl import load
from edudiff.training.job import Job, Recipe
from edudiff.training.recipes import tiny_sdxl
from edudiff.training.recipes.xl_examples import LATER_SHARES

LEARNING_RATE = 2.5e-4


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped networks, scenes that they have not seen yet, and what trains them."""
    torch.manual_seed(seed)
    pipe = load(registry.path("tiny-sdxl"))
    seeds = tiny_sdxl.training_seeds(1 + seed, num_steps)
    return tiny_sdxl.make_job(pipe, seeds, num_steps, LEARNING_RATE, shares=LATER_SHARES)


RECIPE = Recipe("sdxl-more", num_steps=5000, batch_size=64, prepare=prepare)
