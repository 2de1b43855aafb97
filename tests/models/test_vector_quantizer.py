import pytest
import torch
from diffusers.models.autoencoders.vae import VectorQuantizer as TheirQuantizer

from edudiff.models.vector_quantizer import COMMITMENT, VectorQuantizer, VQModel


def quantizer(number=9, dim=3):
    model = VectorQuantizer(number, dim)
    torch.nn.init.normal_(model.embedding.weight)
    return model


def test_vandenoord_section_3_every_latent_gets_its_nearest_code():
    model, z = quantizer(), torch.randn(2, 3, 4, 5)
    found = model(z)
    for b, h, w in ((0, 0, 0), (1, 3, 4), (0, 2, 1)):
        distances = (model.embedding.weight - z[b, :, h, w]).norm(dim=1)
        assert found.indices[b, h, w] == distances.argmin()
    torch.testing.assert_close(found.z, model.codes(found.indices))


def test_codes_are_quantised_to_themselves_at_no_loss():
    model, indices = quantizer(), torch.randint(0, 9, (2, 4, 5))
    found = model(model.codes(indices))
    assert torch.equal(found.indices, indices) and found.loss.item() == pytest.approx(0)


def test_gradients_go_straight_through_to_the_latents():
    z, weight = torch.randn(2, 3, 4, 5, requires_grad=True), torch.randn(2, 3, 4, 5)
    (quantizer()(z).z * weight).sum().backward()
    assert torch.equal(z.grad, weight)


def test_vandenoord_eq3_one_term_moves_codes_and_a_quarter_of_it_latents():
    model, z = quantizer(), torch.randn(2, 3, 4, 5, requires_grad=True)
    found = model(z)
    found.loss.backward()
    apart = z.detach() - model.codes(found.indices).detach()
    torch.testing.assert_close(found.loss, (1 + COMMITMENT) * apart.square().mean())
    torch.testing.assert_close(z.grad, COMMITMENT * 2 * apart / apart.numel())
    rows = (-2 * apart / apart.numel()).movedim(1, -1).flatten(0, -2)
    expected = torch.zeros(9, 3).index_add_(0, found.indices.flatten(), rows)
    torch.testing.assert_close(model.embedding.weight.grad, expected)


def test_codes_loss_and_choice_are_those_of_diffusers_without_its_old_mistake():
    ours, theirs = quantizer(), TheirQuantizer(9, 3, beta=COMMITMENT, legacy=False)
    theirs.load_state_dict(ours.state_dict())
    z = torch.randn(2, 3, 4, 5)
    found, (codes, loss, (_, _, indices)) = ours(z), theirs(z)
    assert torch.equal(found.indices.flatten(), indices)
    torch.testing.assert_close(found.z, codes)
    torch.testing.assert_close(found.loss, loss)


def test_under_autocast_the_choice_is_still_made_in_float32():
    model = quantizer(512, 4)
    z = model.codes(torch.randint(0, 512, (2, 8, 8))).detach()
    with torch.autocast("cpu", torch.bfloat16):
        found = model(z)
    assert torch.equal(found.indices, model(z).indices)


def test_a_picture_becomes_whole_numbers_and_comes_back_from_them():
    model, x = VQModel(num_codes=32, block_out_channels=(4, 8)), torch.rand(2, 3, 8, 12) * 2 - 1
    found = model.encode(x)
    assert found.indices.shape == (2, 4, 6) and found.indices.dtype == torch.int64
    torch.testing.assert_close(
        model.decode(model.quantize.codes(found.indices)), model(x), atol=1e-5, rtol=1e-4
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent_channels": 3}, "latent_channels: expected an even number, got 3"),
        ({"latent_channels": 0}, "latent_channels: expected a whole number ≥ 2, got 0"),
        ({"num_codes": 0}, "num_codes: expected a whole number ≥ 1, got 0"),
    ],
)
def test_networks_that_cannot_be_are_refused(options, message, refusal):
    with refusal(message):
        VQModel(**options)


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.zeros(1, 3, 8, 8).long(), "x: expected a floating-point tensor"),
        (torch.full((1, 3, 8, 8), 2.0), r"x: expected values in \[-1, 1\]"),
        (torch.zeros(1, 3, 9, 8), r"x: expected sides divisible by 8, got \(9, 8\)"),
    ],
)
def test_pictures_that_cannot_be_encoded_are_refused(x, message, refusal):
    with refusal(message):
        VQModel().encode(x)


@pytest.mark.parametrize("index", [-1, 9])
def test_numbers_outside_the_codebook_are_refused(index, refusal):
    with refusal(rf"indices: expected numbers in \[0, 8\], got some in \[{index}, {index}\]"):
        quantizer().codes(torch.full((1, 1, 1), index))
