import pytest
import torch

from edudiff.exercises.sdxl import block_size, told_sizes, worth
from edudiff.layers.embeddings import sinusoidal_embedding
from edudiff.models import unet


@pytest.mark.parametrize(("d", "words"), [(64, 128), (128, 96)])
def test_a_block_of_the_packages_has_as_many_parameters(d, words):
    with torch.device("meta"):
        network = unet.UNet(block_out_channels=(32, d), context_dim=words)
    block = dict(network.named_modules())["mid_block.attentions.0.transformer_blocks.0"]
    assert sum(p.numel() for p in block.parameters()) == block_size(d, words)


def test_sizes_are_told_as_the_package_tells_numbers():
    found = told_sizes((24, 30), (5, 0), (64, 96), 8)
    numbers = torch.tensor([24, 30, 5, 0, 64, 96])
    expected = sinusoidal_embedding(numbers, 8).flatten()
    torch.testing.assert_close(found.float(), expected, rtol=0, atol=1e-4)


def test_a_share_of_correlated_votes_is_known_as_well_as_that_of_fewer(generator):
    """Votes that follow their person's first with chance √ρ are correlated by ρ."""
    people, each, rho = 200, 5, 0.36
    own = torch.rand(4000, people, each, generator=generator) < 0.5
    first = torch.rand(4000, people, 1, generator=generator) < 0.5
    follows = torch.rand(4000, people, each, generator=generator) < rho**0.5
    share = torch.where(follows, first, own).double().mean(dim=(1, 2))
    assert abs(0.25 / share.var() / worth(people * each, each, rho) - 1) < 0.1
