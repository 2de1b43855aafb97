import pytest
import torch
from torch import nn

from edudiff.exercises.unet import seen_across, stamps


@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 1, 3), (1, 2, 2)])
def test_what_is_seen_is_where_the_gradient_is_not_zero(strides):
    kernels = (3, 5, 3)
    layers = [
        nn.Conv1d(1, 1, kernel, stride) for kernel, stride in zip(kernels, strides, strict=True)
    ]
    for layer in layers:
        nn.init.ones_(layer.weight)
    x = torch.zeros(1, 1, 60, requires_grad=True)
    nn.Sequential(*layers)(x)[0, 0, 0].backward()
    assert (x.grad != 0).sum() == seen_across(kernels, strides)


@pytest.mark.parametrize(("width", "stride"), [(3, 2), (2, 2), (5, 3)])
def test_stamps_are_what_pytorch_lays_down(width, stride):
    laid = nn.functional.conv_transpose1d(
        torch.ones(1, 1, 7), torch.ones(1, 1, width), stride=stride
    )
    assert torch.equal(stamps(7, width, stride), laid[0, 0])
