"""Small nested networks whose zeros have been filled, so that everything can be seen."""

import pytest
import torch

from edudiff.models.matryoshka_unet import MatryoshkaUNet
from edudiff.models.nested_unet import NestedUNet

SMALL = {"block_out_channels": (8, 16), "num_heads": 2, "norm_num_groups": 4, "text_dim": 6}


def fill(model):
    """Zeros at the start hide everything behind them; put small numbers in their place."""
    for parameter in model.parameters():
        if not parameter.any():
            torch.nn.init.normal_(parameter, std=0.1)
    return model.eval()


@pytest.fixture(scope="module")
def solid():
    """One resolution, lowest sides divisible by 2."""
    torch.manual_seed(20)
    return fill(MatryoshkaUNet(scale=8, context_dim=10, **SMALL))


@pytest.fixture(scope="module")
def three():
    """Three resolutions in the ratio 4 : 2 : 1."""
    torch.manual_seed(20)
    middle = NestedUNet(
        MatryoshkaUNet(**SMALL, scale=8), block_out_channels=(8, 8), scale=16, normalize_input=True
    )
    return fill(NestedUNet(middle, block_out_channels=(4, 8), scale=32))


@pytest.fixture
def words():
    return torch.randn(2, 3, 6)


@pytest.fixture
def t():
    return torch.tensor([3, 999])
