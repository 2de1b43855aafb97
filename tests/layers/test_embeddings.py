import math

import pytest
import torch
from diffusers.models.embeddings import TimestepEmbedding as TheirTimestepEmbedding
from diffusers.models.embeddings import get_timestep_embedding

from edudiff.layers.embeddings import TimestepEmbedding, sinusoidal_embedding


def test_vaswani_section_3_5_sinusoids():
    found = sinusoidal_embedding(torch.tensor([3]), 6, max_period=1000.0)
    angles = [3 * 1000 ** (-i / 3) for i in range(3)]
    expected = [math.cos(angle) for angle in angles] + [math.sin(angle) for angle in angles]
    torch.testing.assert_close(found, torch.tensor([expected]))


def test_timestep_zero_is_ones_then_zeros():
    expected = torch.tensor([[1.0, 1.0, 1.0, 0.0, 0.0, 0.0]])
    assert torch.equal(sinusoidal_embedding(torch.tensor([0]), 6), expected)


def test_the_first_hand_turns_once_in_two_pi_timesteps():
    found = sinusoidal_embedding(torch.tensor([0.5, 0.5 + 2 * math.pi]), 8)[:, [0, 4]]
    torch.testing.assert_close(found[0], found[1], atol=1e-5, rtol=0)


def test_the_slowest_of_many_hands_nearly_has_the_longest_period():
    slowest = sinusoidal_embedding(torch.tensor([1]), 2000)[0, -1].item()
    assert slowest == pytest.approx(1 / 10_000, rel=0.01)


def test_the_squared_length_is_half_the_dimension():
    squared = sinusoidal_embedding(torch.arange(1000), 32).square().sum(dim=1)
    torch.testing.assert_close(squared, torch.full((1000,), 16.0))


def test_different_timesteps_have_different_embeddings():
    vectors = sinusoidal_embedding(torch.arange(1000), 32)
    apart = torch.cdist(vectors, vectors) + 10 * torch.eye(1000)
    assert apart.min() > 0.1


@pytest.mark.parametrize("dim", [2, 32, 320])
@pytest.mark.parametrize("max_period", [10_000.0, 100.0])
def test_sinusoids_are_those_of_diffusers(dim, max_period):
    t = torch.tensor([0, 1, 500, 999])
    expected = get_timestep_embedding(
        t, dim, flip_sin_to_cos=True, downscale_freq_shift=0, max_period=max_period
    )
    found = sinusoidal_embedding(t, dim, max_period)
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=0)


def test_timesteps_may_lie_between_whole_numbers():
    t = torch.tensor([0.25, 7.75])
    expected = get_timestep_embedding(t, 16, flip_sin_to_cos=True, downscale_freq_shift=0)
    torch.testing.assert_close(sinusoidal_embedding(t, 16), expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32, torch.float64])
def test_sinusoids_are_float32(dtype):
    assert sinusoidal_embedding(torch.ones(3, dtype=dtype), 8).dtype == torch.float32


def test_sinusoids_lie_on_the_device_of_the_timesteps(device):
    assert sinusoidal_embedding(torch.arange(3, device=device), 8).device.type == device.type


def test_the_embedding_of_a_timestep_does_not_depend_on_the_others():
    together = sinusoidal_embedding(torch.tensor([3, 999]), 8)
    assert torch.equal(sinusoidal_embedding(torch.tensor([999]), 8), together[1:])


def test_an_odd_dimension_is_refused(refusal):
    with refusal("dim: expected an even number, got 7"):
        sinusoidal_embedding(torch.tensor([1]), 7)


@pytest.mark.parametrize("dim", [0, -2, 1])
def test_a_dimension_below_two_is_refused(dim, refusal):
    with refusal("dim: expected a whole number ≥ 2"):
        sinusoidal_embedding(torch.tensor([1]), dim)


def test_timestep_embedding_takes_the_weights_of_diffusers_as_they_are():
    ours, theirs = TimestepEmbedding(8, 12), TheirTimestepEmbedding(8, 12)
    ours.load_state_dict(theirs.state_dict())
    sinusoids = sinusoidal_embedding(torch.tensor([0, 999]), 8)
    torch.testing.assert_close(ours(sinusoids), theirs(sinusoids), atol=1e-6, rtol=0)
