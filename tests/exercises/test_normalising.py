import pytest
import torch

from edudiff.exercises import check
from edudiff.exercises.normalising import group_norm, told_late


@pytest.mark.parametrize("groups", [1, 2, 3, 6])
def test_the_reference_is_pytorchs_group_norm(generator, groups):
    x = 5 + 2 * torch.randn(3, 6, 4, 4, generator=generator)
    expected = torch.nn.functional.group_norm(x, groups)
    torch.testing.assert_close(group_norm(x, groups), expected)


def test_pytorchs_own_norm_is_a_right_answer():
    assert check("unet.2", torch.nn.functional.group_norm).passed


def test_time_that_is_told_late_is_heard_with_one_channel_to_a_group(generator):
    h = torch.randn(2, 4, 3, 3, generator=generator)
    told = torch.randn(2, 2, 4, generator=generator)
    quiet = told_late(h, 0 * told[0], 0 * told[1], 4)
    assert not torch.allclose(told_late(h, told[0], told[1], 4), quiet)
    torch.testing.assert_close(quiet, group_norm(h, 4))
