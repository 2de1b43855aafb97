import diffusers
import pytest
import torch

from edudiff.models.vae import AutoencoderKL
from edudiff.models.vector_quantizer import VQModel
from edudiff.models.vq_bridge import BOTH, from_autoencoder, from_diffusers, to_diffusers

OPTIONS = {
    "latent_channels": 2,
    "block_out_channels": (4, 8),
    "layers_per_block": 2,
    "norm_num_groups": 4,
}


@pytest.fixture
def model():
    found = VQModel(num_codes=20, **OPTIONS)
    torch.nn.init.normal_(found.quantize.embedding.weight)
    return found


def test_their_copy_rebuilds_as_ours_does(model):
    x = torch.rand(2, 3, 8, 12) * 2 - 1
    torch.testing.assert_close(to_diffusers(model)(x).sample, model(x), atol=1e-5, rtol=0)


def test_there_and_back_through_a_folder_keeps_every_option_and_weight(model, tmp_path):
    to_diffusers(model, sample_size=8).save_pretrained(tmp_path)
    back = from_diffusers(diffusers.VQModel.from_pretrained(tmp_path))
    assert {name: getattr(back, name) for name in BOTH} == OPTIONS
    assert back.num_codes == 20 and not back.training
    weights = back.state_dict()
    assert all(torch.equal(weights[n], weight) for n, weight in model.state_dict().items())


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("act_fn", "relu"),
        ("in_channels", 1),
        ("norm_type", "spatial"),
        ("vq_embed_dim", 3),
        ("mid_block_add_attention", False),
    ],
)
def test_options_that_ours_does_not_have_are_refused(model, option, value, refusal):
    theirs = to_diffusers(model)
    theirs.register_to_config(**{option: value})
    with refusal(f"{option}: expected"):
        from_diffusers(theirs)


def test_around_a_codebook_encoder_and_decoder_stay_what_they_were():
    autoencoder = AutoencoderKL(**OPTIONS)
    for parameter in autoencoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    model, x = from_autoencoder(autoencoder, 20), torch.rand(2, 3, 8, 8) * 2 - 1
    z = autoencoder.encode(x).mean
    torch.testing.assert_close(model.quant_conv(model.encoder(x)), z, atol=1e-4, rtol=1e-4)
    assert torch.equal(model.decode(z), autoencoder.decode(z))
    assert model.num_codes == 20
