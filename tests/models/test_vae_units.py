import pytest
import torch

from edudiff.models.vae import AutoencoderKL
from edudiff.models.vae_units import standardised


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = AutoencoderKL(block_out_channels=(8, 16), scaling_factor=0.3)
    with torch.no_grad():
        model.quant_conv.weight.mul_(torch.linspace(0.2, 5, 8)[:, None, None, None])
        model.quant_conv.bias.normal_()
    return model


@pytest.fixture
def pictures():
    return torch.rand(6, 3, 16, 16, generator=torch.Generator().manual_seed(1)) * 2 - 1


@torch.no_grad()
def test_latents_have_mean_0_and_variance_1_in_each_channel(model, pictures):
    changed = standardised(model, model.encode(pictures).mean)
    latents = changed.encode(pictures).mean
    torch.testing.assert_close(latents.mean((0, 2, 3)), torch.zeros(4), atol=1e-5, rtol=0)
    torch.testing.assert_close(latents.std((0, 2, 3)), torch.ones(4))
    assert changed.scaling_factor == 1.0


@torch.no_grad()
def test_pictures_are_decoded_as_before(model, pictures):
    changed = standardised(model, model.encode(pictures).mean)
    torch.testing.assert_close(changed(pictures), model(pictures), atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_spread_of_the_posterior_changes_with_the_units(model, pictures):
    before = model.encode(pictures)
    after = standardised(model, before.mean).encode(pictures)
    units = before.mean.std((0, 2, 3))[:, None, None]
    torch.testing.assert_close(after.std * units, before.std)


@torch.no_grad()
def test_the_model_itself_is_left_alone(model, pictures):
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    standardised(model, model.encode(pictures).mean)
    assert all(torch.equal(model.state_dict()[name], weight) for name, weight in before.items())
