"""CLIP's exams, sat by networks whose answers are known beforehand."""

import pytest
import torch
from torch import Tensor
from transformers import CLIPTokenizer

from edudiff.data.tokens import make_tokenizer
from edudiff.evaluation.matching import choice, embed_captions, embed_pictures, retrieval
from edudiff.models.clip import CLIP
from edudiff.models.clip_towers import TextTransformer, VisionTransformer

CAPTIONS = ["red", "green", "blue"]


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return make_tokenizer(CAPTIONS, num_merges=20, context_length=6)


@pytest.fixture
def untrained(tokenizer) -> CLIP:
    depth = {"width": 8, "num_layers": 1, "num_heads": 2}
    text = TextTransformer(len(tokenizer), tokenizer.eos_token_id, context_length=6, **depth)
    return CLIP(text, VisionTransformer(8, 4, **depth), projection_dim=8).eval()


class Knowing(CLIP):
    """Pictures and texts both become the colour they are of, whatever their length."""

    def __init__(self, tokenizer: CLIPTokenizer, *, mixes_up: bool = False) -> None:
        torch.nn.Module.__init__(self)
        self.logit_scale = torch.nn.Parameter(torch.zeros(()))
        self.ids = [tokenizer(word, add_special_tokens=False).input_ids[0] for word in CAPTIONS]
        self.shift = int(mixes_up)

    def encode_image(self, pictures: Tensor) -> Tensor:
        return 3 * (pictures.mean(dim=(2, 3)) + 1)

    def encode_text(self, input_ids: Tensor) -> Tensor:
        return torch.eye(3)[[self.ids.index(row[1]) for row in input_ids]].roll(self.shift, dims=1)


def painted(*colours: str) -> Tensor:
    planes = torch.eye(3)[[CAPTIONS.index(colour) for colour in colours]]
    return (2 * planes - 1)[:, :, None, None].expand(-1, 3, 8, 8).contiguous()


def test_who_knows_all_finds_every_caption_and_every_picture(tokenizer):
    assert retrieval(Knowing(tokenizer), tokenizer, painted(*CAPTIONS), CAPTIONS) == (1.0, 1.0)


def test_who_mixes_all_up_finds_none(tokenizer):
    knowing = Knowing(tokenizer, mixes_up=True)
    assert retrieval(knowing, tokenizer, painted(*CAPTIONS), CAPTIONS) == (0.0, 0.0)


def test_the_two_shares_of_retrieval_are_of_pictures_and_of_captions(tokenizer):
    pictures = painted("blue", "green", "green")
    pictures[2, 0] = -0.5  # a little red, so that "red" finds it, while it finds "green"
    found = retrieval(Knowing(tokenizer), tokenizer, pictures, ["blue", "green", "red"])
    assert found == pytest.approx((2 / 3, 1.0))


def test_the_right_option_is_chosen_as_often_as_it_fits_best(tokenizer):
    options = [["red", "green"], ["red", "green"], ["blue", "red"], ["green", "blue"]]
    pictures = painted("red", "green", "blue", "red")
    assert choice(Knowing(tokenizer), tokenizer, pictures, options) == 0.5


def test_the_right_option_must_beat_all_others(tokenizer):
    pictures = painted("red", "red")
    pictures[:, 1] = -0.5  # a little green: it fits better than blue, but worse than red
    options = [["green", "blue", "red"], ["red", "green", "blue"]]
    assert choice(Knowing(tokenizer), tokenizer, pictures, options) == 0.5


def test_a_tie_is_not_right(tokenizer):
    assert choice(Knowing(tokenizer), tokenizer, painted("red"), [["red", "red"]]) == 0.0


def test_embeddings_are_those_of_the_model_in_batches_of_any_size(untrained, tokenizer):
    pictures = 2 * torch.rand(300, 3, 8, 8) - 1
    with torch.no_grad():
        torch.testing.assert_close(
            embed_pictures(untrained, pictures), untrained.encode_image(pictures)
        )
    many = embed_captions(untrained, tokenizer, CAPTIONS * 100)
    one = embed_captions(untrained, tokenizer, ["blue"])
    torch.testing.assert_close(many[299:], one)


def test_nothing_is_remembered_for_a_gradient(untrained, tokenizer):
    assert not embed_pictures(untrained, painted("red")).requires_grad
    assert not embed_captions(untrained, tokenizer, ["red"]).requires_grad


def test_of_two_options_in_either_order_one_wins(untrained, tokenizer):
    picture = 2 * torch.rand(1, 3, 8, 8) - 1
    orders = (["red", "blue"], ["blue", "red"])
    assert sum(choice(untrained, tokenizer, picture, [order]) for order in orders) == 1


@pytest.mark.parametrize("captions", [["red"], ["red", "red", "blue"], ["red"] * 2 + ["blue"] * 2])
def test_retrieval_refuses_captions_that_are_not_one_a_picture(
    captions, untrained, tokenizer, refusal
):
    with refusal("captions: expected 3 different ones"):
        retrieval(untrained, tokenizer, painted(*CAPTIONS), captions)


@pytest.mark.parametrize(
    "options",
    [[], [["red", "blue"]], [["red"], ["blue"]], [["red", "blue"], ["red", "blue", "green"]]],
)
def test_choice_refuses_options_that_are_not_equally_many(options, untrained, tokenizer, refusal):
    with refusal("options: expected 2 lists of equally many"):
        choice(untrained, tokenizer, painted("red", "blue"), options)
