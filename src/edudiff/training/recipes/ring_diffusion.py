"""A denoiser for points on the plane, good after a thousand small steps."""

from collections.abc import Callable

import torch
from torch import Generator, Tensor
from torch.optim.lr_scheduler import LinearLR

from edudiff.data import points
from edudiff.diffusion import forward, schedule
from edudiff.models.mlp import MLP
from edudiff.training import loop

NOISE_SCHEDULE = schedule.make_schedule("cosine", 100)
NUM_STEPS = 1000
BATCH_SIZE = 256
LEARNING_RATE = 1e-2
CLIP = 3.0
"""No point of a law lies further out, so no x̂_0 should; see `samplers.sample`."""


def prepare(
    seed: int, law: str = "ring", num_steps: int = NUM_STEPS
) -> tuple[MLP, Callable[[Generator], float]]:
    """Make a network and the function that trains it by one step.

    The network learns ε from x_t and t with the plain squared error. The learning rate falls in a
    straight line to 0 over `num_steps` steps, which does here what an average of the weights
    does in long trainings.

    Args:
        seed: decides the network's first weights.
        law: the law of the data, a name from `edudiff.data.points`.
        num_steps: how many steps will be taken.

    Returns:
        The network and its step function, for `edudiff.training.loop.train`.

    Raises:
        ValueError: for an unknown law, when the first step is taken.

    Source:
        Ho et al. 2020 (arXiv:2006.11239), algorithm 1.
    """
    torch.manual_seed(seed)
    network = MLP((2,), width=64, depth=2)
    optimizer = torch.optim.Adam(network.parameters(), lr=LEARNING_RATE, fused=True)
    slower = LinearLR(optimizer, start_factor=1.0, end_factor=0.0, total_iters=num_steps)

    def loss_fn(generator: Generator) -> Tensor:
        x0 = points.sample(law, BATCH_SIZE, generator=generator)
        t = torch.randint(len(NOISE_SCHEDULE.betas), (BATCH_SIZE,), generator=generator)
        eps = torch.randn(x0.shape, generator=generator)
        xt = forward.add_noise(x0, eps, t, NOISE_SCHEDULE)
        return (network(xt, t) - eps).square().mean()

    descend = loop.descend(loss_fn, network, optimizer)

    def step(generator: Generator) -> float:
        loss = descend(generator)
        slower.step()
        return loss

    return network, step
