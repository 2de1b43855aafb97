import pytest
import torch

from edudiff.models.vae import AutoencoderKL
from edudiff.pipelines.decoding import to_pictures


@pytest.fixture
def vae():
    return AutoencoderKL(block_out_channels=(8, 8), norm_num_groups=4, scaling_factor=0.5)


def test_latents_leave_the_units_of_the_network_before_they_are_decoded(vae):
    latents = torch.randn(2, vae.latent_channels, 4, 4)
    expected = vae.decode(latents / 0.5).clamp(-1, 1)
    torch.testing.assert_close(to_pictures(vae, latents), expected)


def test_pictures_stay_in_their_range_and_learn_nothing(vae):
    pictures = to_pictures(vae, 1000 * torch.randn(2, vae.latent_channels, 4, 4))
    assert pictures.abs().max() == 1 and not pictures.requires_grad


def test_the_precision_is_that_of_the_latents(vae):
    latents = torch.randn(1, vae.latent_channels, 4, 4)
    assert to_pictures(vae.to(torch.bfloat16), latents).dtype == torch.float32


def test_latents_that_are_not_finite_are_refused(vae, refusal):
    latents = torch.full((1, vae.latent_channels, 4, 4), float("nan"))
    with refusal("z: expected finite latents"):
        to_pictures(vae, latents)


def test_pictures_that_overflow_are_refused(vae, refusal):
    torch.nn.init.constant_(vae.decoder.conv_out.bias, float("inf"))
    with refusal("vae: expected finite pictures"):
        to_pictures(vae, torch.randn(1, vae.latent_channels, 4, 4))
