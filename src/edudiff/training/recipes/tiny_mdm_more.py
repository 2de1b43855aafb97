"""Going on with the shipped Matryoshka: the same training from its weights, on new scenes.

It can be run again on what it has made, with another seed; the log of the weights grows longer.
"""

import torch

from edudiff.checkpoints import registry
from edudiff.pipelines.matryoshka_folder import load
from edudiff.training.job import Job, Recipe
from edudiff.training.recipes import tiny_mdm

LEARNING_RATE = 7e-4


def prepare(seed: int, num_steps: int) -> Job:
    """Take the shipped networks, scenes that they have not seen yet, and what trains them."""
    torch.manual_seed(seed)
    pipe = load(registry.path("tiny-mdm"))
    first = tiny_mdm.NUM_SCENES * (1 + seed)
    seeds = range(first, first + min(tiny_mdm.NUM_SCENES, tiny_mdm.CHUNK * num_steps))
    return tiny_mdm.make_job(pipe, seeds, num_steps, LEARNING_RATE)


RECIPE = Recipe("matryoshka-more", num_steps=3400, batch_size=64, prepare=prepare)
