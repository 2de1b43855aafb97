import pytest
import torch

from edudiff.pipelines.prompts_xl import PictureSize, check_size, encode, read
from edudiff.pipelines.text_to_image_xl import load


@pytest.fixture(scope="module")
def base(base_folder):
    return load(base_folder)


def test_states_of_both_encoders_stand_side_by_side(base):
    told = encode(["a red circle"], base.tokenizers, base.text_encoder, base.text_encoder_2)
    alone = encode(["a red circle"], base.tokenizers[1:], None, base.text_encoder_2)
    assert told.context.shape == (1, 12, 32)
    assert torch.equal(told.context[..., 16:], alone.context)
    assert torch.equal(told.text_embeds, alone.text_embeds)


def test_it_is_the_last_but_one_states_that_are_read(base):
    ids = torch.tensor([base.tokenizer("a red circle", padding="max_length").input_ids])
    with torch.no_grad():
        told = read(base.text_encoder, base.text_encoder_2, [ids, ids])
        first = base.text_encoder(ids).hidden_states
    assert torch.equal(told.context[..., :16], first[-2])
    assert not torch.equal(told.context[..., :16], first[-1])


def test_the_base_is_told_a_target_size_and_the_refiner_a_score():
    told = PictureSize((1, 2), (3, 4), (5, 6), 7.5)
    assert told.time_ids(scored=False) == (1, 2, 3, 4, 5, 6)
    assert told.time_ids(scored=True) == (1, 2, 3, 4, 7.5)


def test_states_that_are_not_finite_are_refused(base_folder):
    broken = load(base_folder)
    with torch.no_grad():
        broken.text_encoder_2.text_projection.weight.fill_(float("nan"))
    with pytest.raises(ValueError, match="text encoders: expected finite states"):
        encode(["a"], broken.tokenizers, broken.text_encoder, broken.text_encoder_2)


@pytest.mark.parametrize("size", [64, (64,), [64, 64], (0, 64)])
def test_what_is_no_height_and_width_is_refused(size):
    with pytest.raises(ValueError, match="original_size"):
        check_size("original_size", size)
