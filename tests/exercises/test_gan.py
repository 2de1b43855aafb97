import math

import torch
from scipy.spatial.distance import jensenshannon
from torch import nn

from edudiff.exercises.gan import best_judge, jensen_shannon, last_share


def test_the_divergence_is_the_square_of_scipys_distance(generator):
    p, q = torch.rand(2, 7, generator=generator, dtype=torch.float64).softmax(dim=1)
    assert math.isclose(jensen_shannon(p, q), jensenshannon(p, q) ** 2, rel_tol=1e-9)


def test_laws_that_never_meet_are_log_2_apart():
    p, q = torch.eye(2)
    assert math.isclose(jensen_shannon(p, q), math.log(2), rel_tol=1e-6)


def test_no_other_judge_earns_more_with_soft_labels(generator):
    p, q = torch.rand(2, 5, 1, generator=generator, dtype=torch.float64)
    grid = torch.linspace(0.001, 0.999, 999, dtype=torch.float64)
    earned = p * (0.8 * grid.log() + 0.2 * (1 - grid).log()) + q * (1 - grid).log()
    found = grid[earned.argmax(dim=1)]
    torch.testing.assert_close(found, best_judge(p, q, 0.8)[:, 0], rtol=0, atol=1e-3)


def test_the_share_is_that_of_pytorchs_layers():
    layers = [nn.Linear(3, 8), nn.Linear(8, 5), nn.Linear(5, 11)]
    sizes = [sum(p.numel() for p in layer.parameters()) for layer in layers]
    assert last_share((3, 8, 5, 11)) == sizes[-1] / sum(sizes)
