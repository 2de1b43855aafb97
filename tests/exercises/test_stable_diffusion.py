import math

import pytest
import torch

from edudiff.exercises.stable_diffusion import arc, rounded
from edudiff.models import quantize


def test_the_arc_keeps_the_variance_of_two_independent_noises(generator):
    a, b = torch.randn(2, 20_000, generator=generator)
    for share in (0.0, 0.3, 0.5, 1.0):
        assert math.isclose(arc(a, b, share).std().item(), 1, abs_tol=0.02)
    torch.testing.assert_close(arc(a, b, 1.0), b)


@pytest.mark.parametrize("bits", [4, 8])
def test_groups_are_rounded_as_the_package_rounds_rows(generator, bits):
    w = torch.randn(3, 12, generator=generator)
    w[0, :4] = 0
    q, scale = quantize.quantize(w.reshape(-1, 4), bits)
    torch.testing.assert_close(rounded(w, 4, bits), quantize.dequantize(q, scale).reshape(3, 12))


def test_smaller_groups_make_smaller_errors(generator):
    w = torch.randn(16, 64, generator=generator)
    errors = [(rounded(w, group, 4) - w).norm() for group in (64, 16, 4)]
    assert errors[0] > errors[1] > errors[2]
