import pytest
import torch
from diffusers.models import normalization
from torch import nn

from edudiff.layers.modulation import AdaLayerNormContinuous, AdaLayerNormZero, modulate


def randomise(module):
    for parameter in module.parameters():
        nn.init.normal_(parameter)
    return module


def test_modulating_normalises_each_token_then_stretches_and_moves_it():
    x, shift, scale = 3 + 5 * torch.randn(2, 7, 64), torch.randn(2, 64), torch.randn(2, 64)
    plain = (modulate(x, shift, scale) - shift[:, None]) / (1 + scale[:, None])
    torch.testing.assert_close(plain.mean(dim=2), torch.zeros(2, 7), atol=1e-4, rtol=0)
    torch.testing.assert_close(plain.std(dim=2, correction=0), torch.ones(2, 7), atol=1e-3, rtol=0)


def test_all_tokens_of_a_picture_are_modulated_alike_and_pictures_apart():
    x = torch.randn(1, 1, 8).expand(2, 3, 8)
    found = modulate(x, torch.randn(2, 8), torch.randn(2, 8))
    assert torch.equal(found[:, 0], found[:, 2]) and not torch.equal(found[0], found[1])


@pytest.mark.parametrize("kind", [AdaLayerNormZero, AdaLayerNormContinuous])
def test_an_untrained_layer_only_normalises(kind):
    x, temb = torch.randn(2, 5, 8), torch.randn(2, 8)
    found = kind(8)(x, temb)
    found = found if isinstance(found, torch.Tensor) else found.x
    torch.testing.assert_close(found, nn.functional.layer_norm(x, (8,), eps=1e-6))


def test_untrained_gates_are_shut():
    found = AdaLayerNormZero(8)(torch.randn(2, 5, 8), torch.randn(2, 8))
    assert not found.gate_msa.any() and not found.gate_mlp.any()


def test_the_six_numbers_are_those_of_diffusers():
    ours, theirs = randomise(AdaLayerNormZero(8)), normalization.AdaLayerNormZero(8)
    theirs.load_state_dict(ours.state_dict())
    x, temb = torch.randn(2, 5, 8), torch.randn(2, 8)
    for found, expected in zip(ours(x, temb), theirs(x, emb=temb), strict=True):
        torch.testing.assert_close(found, expected)


def test_the_last_modulation_is_that_of_diffusers():
    ours = randomise(AdaLayerNormContinuous(8))
    theirs = normalization.AdaLayerNormContinuous(8, 8, elementwise_affine=False, eps=1e-6)
    theirs.load_state_dict(ours.state_dict())
    x, temb = torch.randn(2, 5, 8), torch.randn(2, 8)
    torch.testing.assert_close(ours(x, temb), theirs(x, temb))
