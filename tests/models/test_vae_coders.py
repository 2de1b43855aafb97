import pytest
import torch

from edudiff.models.vae_coders import Decoder, DownBlock, Encoder, MidBlock, UpBlock


@pytest.mark.parametrize(("halve", "size"), [(True, (4, 2)), (False, (8, 4))])
def test_a_level_of_the_encoder_halves_the_size_if_told_to(halve, size):
    block = DownBlock(4, 6, 1, 2, halve=halve)
    assert block(torch.randn(2, 4, 8, 4)).shape == (2, 6, *size)


@pytest.mark.parametrize(("double", "size"), [(True, (16, 8)), (False, (8, 4))])
def test_a_level_of_the_decoder_doubles_the_size_if_told_to(double, size):
    block = UpBlock(4, 6, 1, 2, double=double)
    assert block(torch.randn(2, 4, 8, 4)).shape == (2, 6, *size)


def test_a_level_changes_its_width_in_the_first_residual_block():
    widths = [block.conv1.weight.shape[:2] for block in DownBlock(4, 6, 3, 2, halve=True).resnets]
    assert widths == [(6, 4), (6, 6), (6, 6)]


def reach(block, size=16):
    """The pixels of a picture whose change the first pixel of the answer sees."""
    x = torch.randn(1, 4, size, size, dtype=torch.float64, requires_grad=True)
    for norm in (m for m in block.modules() if isinstance(m, torch.nn.GroupNorm)):
        norm.forward = lambda h: h  # it sees all pixels of its own accord
    block.double()(x)[0, 0, 0, 0].backward()
    return x.grad[0].abs().sum(dim=0) > 0


def test_with_attention_every_pixel_of_the_middle_sees_every_other():
    assert reach(MidBlock(4, 2, attention=True)).all()


def test_without_attention_a_pixel_of_the_middle_sees_four_convolutions_far():
    expected = torch.zeros(16, 16, dtype=torch.bool)
    expected[:5, :5] = True
    assert torch.equal(reach(MidBlock(4, 2, attention=False)), expected)


def test_the_encoder_gives_two_numbers_for_every_latent():
    encoder = Encoder(3, 5, (4, 4, 6), 1, 2, True)
    assert encoder(torch.randn(2, 3, 16, 8)).shape == (2, 10, 4, 2)


def test_the_decoder_goes_the_way_back():
    decoder = Decoder(5, 3, (4, 4, 6), 1, 2, True)
    assert decoder(torch.randn(2, 5, 4, 2)).shape == (2, 3, 16, 8)


def test_the_decoder_has_one_residual_block_more_on_every_level():
    down = Encoder(3, 5, (4, 4, 6), 2, 2, True).down_blocks
    up = Decoder(5, 3, (4, 4, 6), 2, 2, True).up_blocks
    assert [len(block.resnets) for block in down] == [2, 2, 2]
    assert [len(block.resnets) for block in up] == [3, 3, 3]
