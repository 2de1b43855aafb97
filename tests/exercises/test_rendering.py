import math

import pytest
import torch

from edudiff.exercises import check
from edudiff.exercises.rendering import outline_area, shadow_tip, to_srgb


@pytest.mark.parametrize("phi", [0.3, 0.8, 1.5])
def test_the_last_ray_that_is_blocked_touches_the_ball(phi):
    """The line through the tip along the light has the distance 1 from the centre, (0, 1)."""
    away = shadow_tip(phi) * math.sin(phi) - math.cos(phi)
    assert math.isclose(away, 1)


def test_the_outline_is_that_of_random_rays_that_meet_the_ball(generator):
    window = 4 * torch.rand(200_000, 2, generator=generator) - 2
    across = window.square().sum(dim=1)
    closest = (across / (1 + across)).sqrt() * 3.0  # of a ray to a centre 3 units ahead
    found = 16 * (closest < 1.5).double().mean()
    assert abs(found / outline_area(1.5, 3.0) - 1) < 0.05  # four standard errors


def test_the_two_pieces_of_the_curve_meet():
    below, above = to_srgb(0.0031307), to_srgb(0.0031309)
    assert 0 < above - below < 1e-5
    assert math.isclose(to_srgb(1.0), 1)
    assert round(255 * to_srgb(0.5)) == 188


def test_a_right_answer_may_be_written_with_numpy():
    import numpy as np

    def curved(u):
        return np.where(u < 0.0031308, 12.92 * u, 1.055 * u ** (1 / 2.4) - 0.055)

    assert check("rendering.5", curved).passed
