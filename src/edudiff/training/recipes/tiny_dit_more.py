"""Going on with the shipped diffusion transformer: the same training, on new scenes.

It can be run again on what it has made, with another seed; the log of the weights grows longer.
"""

import torch

from edudiff.checkpoints import registry
from edudiff.pipelines.flow_folder import load
from edudiff.training.job import Job, Recipe
from edudiff.training.recipes import tiny_dit

LEARNING_RATE = 8e-4


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped transformer, scenes that it has not seen yet, and what trains it."""
    torch.manual_seed(seed)
    pipe = load(registry.path("tiny-dit"))
    first = tiny_dit.NUM_SCENES * (1 + seed)
    seeds = range(first, first + min(tiny_dit.NUM_SCENES, tiny_dit.CHUNK * num_steps))
    return tiny_dit.make_job(pipe, seeds, num_steps, LEARNING_RATE)


RECIPE = Recipe("dit-more", num_steps=5500, batch_size=64, prepare=prepare)
