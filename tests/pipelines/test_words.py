import pytest
import torch
from transformers import T5Config, T5EncoderModel

from edudiff.data.tokens import make_tokenizer
from edudiff.models.clip_towers import TextTransformer
from edudiff.pipelines.words import ClipReader, T5Reader, up_to_first_end

CAPTIONS = ["a red circle", "a blue square left of a star", ""]


@pytest.fixture
def clip():
    tokenizer = make_tokenizer(CAPTIONS, num_merges=50, context_length=12)
    options = {"context_length": 12, "width": 16, "num_heads": 2, "num_layers": 1}
    options["eos_token_id"] = tokenizer.eos_token_id
    return ClipReader(tokenizer, TextTransformer(len(tokenizer), **options))


class Tokens(dict):
    __getattr__ = dict.__getitem__


class Letters:
    """A tokeniser of letters that pads with 0 and ends with 1, as T5's does."""

    def __call__(self, prompts, padding, return_tensors):
        rows = [[2 + ord(letter) % 20 for letter in prompt] + [1] for prompt in prompts]
        longest = max(map(len, rows))
        ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows])
        return Tokens(input_ids=ids, attention_mask=(ids != 0).long())


@pytest.fixture
def t5():
    config = T5Config(vocab_size=32, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=2)
    return T5Reader(Letters(), T5EncoderModel(config).eval(), longest=8)


def test_clip_padding_begins_after_the_first_end_of_text():
    ids = torch.tensor([[7, 1, 2, 9, 9, 9], [7, 9, 9, 9, 9, 9]])
    assert up_to_first_end(ids, 9).int().tolist() == [[1, 1, 1, 1, 0, 0], [1, 1, 0, 0, 0, 0]]


def test_clip_says_something_of_each_token_and_which_are_no_padding(clip):
    states, mask = clip(CAPTIONS)
    assert states.shape == (3, 12, clip.width)
    assert mask.sum(dim=1).tolist()[2] == 2  # no text: its beginning and its end
    assert mask[1].sum() > mask[0].sum() > 2


def test_a_text_is_read_the_same_beside_others(clip):
    together, alone = clip(CAPTIONS)[0][1:2], clip(CAPTIONS[1:2])[0]
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_t5_states_of_padding_are_zero(t5):
    states, mask = t5(["abc", ""])
    assert states.shape == (2, 4, t5.width)
    assert mask.int().tolist() == [[1, 1, 1, 1], [1, 0, 0, 0]]
    assert not states[1, 1:].any() and states[0].any()


def test_a_text_as_long_as_t5_reads_is_let_through(t5):
    t5(["ab cdef"])


def test_of_a_text_that_is_too_long_for_t5_the_words_are_named_that_would_be_cut(t5, refusal):
    with refusal(r"prompts\[1\]: expected at most 7 tokens, got 10; too long by 'efgh'$"):
        t5(["ab", "ab cd efgh"])
    with refusal(r"negative_prompts\[0\]: .* too long by 'abcdefgh'$"):
        t5.check(["abcdefgh"], "negative_prompts")


def test_of_a_text_that_is_too_long_for_clip_the_words_are_named_that_would_be_cut(clip, refusal):
    words = " ".join(["a red circle"] * 4)
    with refusal(r"prompts\[1\]: expected at most 10 tokens, got 12; too long by 'red circle'$"):
        clip(["", words])
    with refusal(r"negative_prompts\[0\]: .* too long by 'red circle'$"):
        clip.check([words], "negative_prompts")
