import pytest
import torch
from torch.nn.functional import log_softmax

from edudiff.models.dalle import DALLE, next_token_losses

SMALL = {"text_vocab_size": 11, "num_codes": 6, "text_length": 5, "image_length": 4}


def small(**options):
    model = DALLE(**SMALL | {"width": 16, "num_layers": 2, "num_heads": 2} | options)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    return model


def example():
    input_ids = torch.randint(0, 11, (3, 5))
    is_word = (torch.arange(5) < torch.tensor([5, 3, 2])[:, None]).long()
    return input_ids, torch.randint(0, 6, (3, 4)), is_word


def test_kept_keys_and_values_change_nothing_over_a_whole_sequence():
    model, ids = small(), torch.randint(0, 17, (3, 9))
    expected, _ = model(ids)
    kept, found = None, []
    for part in ids.split([5, 1, 1, 1, 1], dim=1):
        logits, kept = model(part, kept)
        found.append(logits)
    torch.testing.assert_close(torch.cat(found, dim=1), expected, atol=1e-5, rtol=1e-4)


def test_a_token_is_guessed_from_earlier_ones_alone():
    model, ids = small(), torch.randint(0, 17, (2, 9))
    before, _ = model(ids)
    ids[:, 6] = (ids[:, 6] + 1) % 17
    after, _ = model(ids)
    torch.testing.assert_close(after[:, :6], before[:, :6])
    assert not torch.allclose(after[:, 6:], before[:, 6:], atol=1e-3)


def test_codes_come_after_the_words_in_the_vocabulary():
    input_ids, codes, _ = example()
    found = small().sequence(input_ids, codes)
    assert torch.equal(found[:, :5], input_ids) and torch.equal(found[:, 5:] - 11, codes)


def test_the_loss_is_the_mean_surprise_by_hand():
    model, (input_ids, codes, is_word) = small(), example()
    ids = model.sequence(input_ids, codes)
    surprise = -log_softmax(model(ids)[0], dim=2)
    text, image = [], []
    for row in range(3):
        for place in range(1, 9):
            nats = surprise[row, place - 1, ids[row, place]]
            if place >= 5:
                image.append(nats)
            elif is_word[row, place]:
                text.append(nats)
    assert (len(text), len(image)) == (4 + 2 + 1, 12)
    found = next_token_losses(model, input_ids, codes, is_word)
    text, image = torch.stack(text).mean(), torch.stack(image).mean()
    torch.testing.assert_close(found["text"], text)
    torch.testing.assert_close(found["image"], image)
    torch.testing.assert_close(found["loss"], text / 8 + 7 * image / 8)


def test_padding_is_not_guessed():
    model, (input_ids, codes, is_word) = small(), example()
    before = next_token_losses(model, input_ids, codes, is_word)["text"]
    after = next_token_losses(model, torch.where(is_word.bool(), input_ids, 3), codes, is_word)[
        "text"
    ]
    torch.testing.assert_close(before, after)


def test_an_untrained_network_knows_almost_nothing():
    model = DALLE(**SMALL, width=64, num_layers=2)
    found = next_token_losses(model, *example())
    assert found["image"].item() == pytest.approx(torch.tensor(17.0).log().item(), abs=0.3)


@pytest.mark.slow
def test_it_learns_three_pictures_by_heart():
    model, (input_ids, codes, is_word) = DALLE(**SMALL, width=32, num_layers=2), example()
    input_ids[:, 0] = torch.arange(3)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(300):
        loss = next_token_losses(model, input_ids, codes, is_word)["image"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.02


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_codes": 0}, "num_codes: expected a whole number ≥ 1, got 0"),
        ({"num_layers": 0}, "num_layers: expected a whole number ≥ 1, got 0"),
        ({"num_heads": 3}, "width: expected a multiple of num_heads=3, got 16"),
    ],
)
def test_networks_that_cannot_be_are_refused(options, message, refusal):
    with refusal(message):
        small(**options)


@pytest.mark.parametrize(
    ("ids", "message"),
    [
        (torch.zeros(2, 3), r"ids: expected int64 of shape \(b, n\), got torch.float32"),
        (torch.zeros(3).long(), r"ids: expected int64 of shape \(b, n\), got .* \(3,\)"),
        (torch.zeros(2, 10).long(), "ids: expected 9 at most, got 10"),
        (torch.full((2, 3), 17), r"ids: expected ids in \[0, 16\], got ids in \[17, 17\]"),
        (torch.full((2, 3), -1), r"ids: expected ids in \[0, 16\], got ids in \[-1, -1\]"),
    ],
)
def test_ids_that_mean_nothing_are_refused(ids, message, refusal):
    with refusal(message):
        small()(ids)


def test_one_token_too_many_is_refused_with_kept_ones_too(refusal):
    model = small()
    _, kept = model(torch.zeros(1, 9).long())
    with refusal("ids: expected 9 at most, got 10"):
        model(torch.zeros(1, 1).long(), kept)


def test_a_text_of_another_length_is_refused(refusal):
    with refusal("input_ids: expected 5 of each text, got 4"):
        small().sequence(torch.zeros(1, 4).long(), torch.zeros(1, 0).long())


def test_codes_outside_the_codebook_are_refused(refusal):
    with refusal(r"codes: expected numbers in \[0, 5\], got some in \[6, 6\]"):
        small().sequence(torch.zeros(1, 5).long(), torch.full((1, 2), 6))
