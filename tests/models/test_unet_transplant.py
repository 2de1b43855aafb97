import pytest
import torch

from edudiff.models.clip_towers import TextTransformer
from edudiff.models.unet import UNet
from edudiff.models.unet_transplant import grown_text_encoder, transplant_unet

SMALL = {
    "in_channels": 4,
    "out_channels": 4,
    "block_out_channels": (8, 16),
    "attention_levels": (True, True),
    "num_heads": 2,
}


def make_xl(context_dim=12, **options):
    return UNet(
        **SMALL,
        context_dim=context_dim,
        linear_projection=True,
        pooled_dim=6,
        **{"num_transformer_layers": (1, 2)} | options,
    )


@pytest.fixture
def donor():
    torch.manual_seed(0)
    return UNet(**SMALL, context_dim=8)


@pytest.fixture
def asked():
    generator = torch.Generator().manual_seed(1)
    return {
        "x": torch.randn(3, 4, 8, 8, generator=generator),
        "t": torch.tensor([10, 500, 900]),
        "told": torch.randn(3, 7, 12, generator=generator),
        "text_embeds": torch.randn(3, 6, generator=generator),
        "time_ids": torch.tensor([[64.0, 64, 0, 0, 64, 64]]).expand(3, 6),
    }


def states(number, seed=2):
    """States as the receiver is told, and as the donor is: an affine map of them."""
    generator = torch.Generator().manual_seed(seed)
    matrix, constant = torch.randn(12, 8, generator=generator), torch.randn(8, generator=generator)
    told = torch.randn(number, 12, generator=torch.Generator().manual_seed(5))
    return told, told @ matrix + constant, matrix, constant


@torch.no_grad()
def test_the_receiver_answers_as_the_donor_where_one_tells_what_the_other_does(donor, asked):
    told, before, matrix, constant = states(200)
    receiver = make_xl()
    transplant_unet(donor, receiver, before, told)
    ours = receiver(
        asked["x"],
        asked["t"],
        asked["told"],
        text_embeds=asked["text_embeds"],
        time_ids=asked["time_ids"],
    )
    theirs = donor(asked["x"], asked["t"], asked["told"] @ matrix + constant)
    torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)  # the ridge of the least squares


@torch.no_grad()
def test_without_a_transplant_the_answers_differ(donor, asked):
    _, _, matrix, constant = states(200)
    ours = make_xl()(
        asked["x"],
        asked["t"],
        asked["told"],
        text_embeds=asked["text_embeds"],
        time_ids=asked["time_ids"],
    )
    theirs = donor(asked["x"], asked["t"], asked["told"] @ matrix + constant)
    assert (ours - theirs).abs().max() > 0.1


@torch.no_grad()
def test_a_refiner_is_told_all_but_the_score_as_its_base_is(asked):
    torch.manual_seed(3)
    base = make_xl(context_dim=8, num_transformer_layers=1)
    refiner = make_xl(num_transformer_layers=1, num_time_ids=5)
    told, before, matrix, constant = states(200)
    transplant_unet(base, refiner, before, told)
    common = (asked["x"], asked["t"])
    for ids in ([32.0, 48, 3, 5], [64.0, 64, 0, 0]):
        theirs = base(
            *common,
            asked["told"] @ matrix + constant,
            text_embeds=asked["text_embeds"],
            time_ids=torch.tensor([[*ids, 64, 64]]).expand(3, 6),
        )
        ours = refiner(
            *common,
            asked["told"],
            text_embeds=asked["text_embeds"],
            time_ids=torch.tensor([[*ids, 6.0]]).expand(3, 5),
        )
        torch.testing.assert_close(ours, theirs, atol=2e-3, rtol=0)


def test_the_donor_is_not_changed_nor_shared(donor):
    told, before, _, _ = states(50)
    kept = {name: weight.clone() for name, weight in donor.state_dict().items()}
    receiver = make_xl()
    transplant_unet(donor, receiver, before, told)
    with torch.no_grad():
        for weight in receiver.parameters():
            weight.add_(1.0)
    assert all(torch.equal(kept[name], weight) for name, weight in donor.state_dict().items())


def test_a_grown_text_encoder_begins_with_the_trained_layers():
    torch.manual_seed(0)
    trained = TextTransformer(30, 29, width=8, num_layers=2, num_heads=2, context_length=6)
    grown = grown_text_encoder(trained, num_layers=3, projection_dim=4)
    ids = torch.tensor([[1, 2, 3, 29, 29, 29]])
    with torch.no_grad():
        assert torch.equal(grown(ids).hidden_states[-2], trained(ids).hidden_states[-1])
        assert grown(ids).text_embeds.shape == (1, 4)


def test_a_text_encoder_cannot_lose_layers():
    with pytest.raises(ValueError, match="num_layers: expected at least 3, got 2"):
        grown_text_encoder(
            TextTransformer(30, 29, width=8, num_heads=2), num_layers=2, projection_dim=4
        )
