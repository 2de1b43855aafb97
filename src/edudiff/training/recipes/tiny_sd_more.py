"""Going on with the shipped Stable Diffusion: the same training from its weights, on other scenes.

It can be run again on what it has made; each time the log of the weights grows longer.
"""

import torch

from edudiff.checkpoints import registry
from edudiff.pipelines.text_to_image import load
from edudiff.training.job import Job, Recipe
from edudiff.training.recipes import tiny_sd

LEARNING_RATE = 6e-4


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped U-Net, scenes that it has not seen yet, and what trains it."""
    torch.manual_seed(seed)
    pipe = load(registry.path("tiny-sd"))
    first = tiny_sd.NUM_SCENES * (1 + seed)
    seeds = range(first, first + min(tiny_sd.NUM_SCENES, tiny_sd.CHUNK * num_steps))
    return tiny_sd.make_job(pipe, seeds, num_steps, LEARNING_RATE)


RECIPE = Recipe("stable-diffusion-more", num_steps=2600, batch_size=64, prepare=prepare)
