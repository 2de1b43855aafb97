import math

import torch

from edudiff.diffusion import flow
from edudiff.exercises.beyond_sdxl import arrive, as_flow, bits


def test_a_network_that_knows_the_way_on_the_circle_knows_the_way_on_the_line(generator):
    x0, eps = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    s = torch.rand(5, generator=generator, dtype=torch.float64)
    signal, noise = 1 - s[:, None], s[:, None]
    v = (signal * eps - noise * x0) / (signal**2 + noise**2).sqrt()
    xs = flow.straight_path(x0, eps, s)
    torch.testing.assert_close(as_flow(xs, s, v), flow.flow_velocity(x0, eps))


def test_the_walk_ends_where_the_packages_does(generator):
    x = torch.randn(3, generator=generator, dtype=torch.float64)
    answers = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    said = iter(answers)
    *_, last = flow.sample_flow(lambda x, s: next(said), x, flow.flow_times(4, 2.5))
    torch.testing.assert_close(arrive(x, answers, 2.5), last)


def test_a_token_that_is_one_of_eight_alike_surprises_by_three_bits():
    found = bits(torch.zeros(2, 4, 8), torch.randint(8, (2, 4)))
    torch.testing.assert_close(found, torch.full((2, 3), 3.0))


def test_the_mean_surprise_is_what_training_makes_small(generator):
    logits = torch.randn(2, 5, 7, generator=generator)
    row = torch.randint(7, (2, 5), generator=generator)
    loss = torch.nn.functional.cross_entropy(logits[:, :-1].flatten(0, 1), row[:, 1:].flatten())
    torch.testing.assert_close(bits(logits, row).mean(), loss / math.log(2))
