import pytest
import torch
from transformers import CLIPTextModel

from edudiff.data.tokens import END, make_tokenizer
from edudiff.models.clip_towers import TextTransformer
from edudiff.pipelines.prompts import check_negative_prompts, check_prompts, encode


@pytest.fixture(scope="module")
def tokenizer():
    # Learnt from what it will read, so that every word is one token.
    return make_tokenizer(["red blue star"], num_merges=100, context_length=5)


@pytest.fixture
def text_encoder(tokenizer):
    options = {"width": 8, "num_layers": 1, "num_heads": 2, "context_length": 5}
    return TextTransformer(len(tokenizer), tokenizer.eos_token_id, **options).eval()


def test_a_prompt_as_long_as_the_context_is_let_through(tokenizer):
    check_prompts(["red blue star"], tokenizer)


def test_the_words_that_would_have_been_cut_are_named(tokenizer, refusal):
    with refusal(r"prompts\[1\]: expected at most 3 tokens, got 5; too long by 'Star blue'$"):
        check_prompts(["star", " red blue  red Star blue"], tokenizer)


def test_a_word_that_does_not_fit_whole_is_named_whole(tokenizer, refusal):
    with refusal(r"expected at most 3 tokens, got 7; too long by 'xyz4 star'$"):
        check_prompts(["red blue xyz4 star"], tokenizer)


def test_words_are_named_even_if_not_one_fits(tokenizer, refusal):
    with refusal(r"expected at most 3 tokens, got 4; too long by 'wxyz'$"):
        check_prompts(["wxyz"], tokenizer)


@pytest.mark.parametrize("prompts", ["a star", None, ["a star", None], [3]])
def test_anything_but_a_list_of_texts_is_refused(tokenizer, prompts, refusal):
    with refusal("prompts: expected a list of texts, got"):
        check_prompts(prompts, tokenizer)


def test_no_prompt_at_all_is_refused(tokenizer, refusal):
    with refusal("prompts: expected at least one text, got none"):
        check_prompts([], tokenizer)


def test_a_prompt_without_words_is_refused_unless_it_may_be_empty(tokenizer, refusal):
    with refusal(r"prompts\[1\]: expected some words, got '\\n'"):
        check_prompts(["star", "\n"], tokenizer)
    check_prompts(["star", "\n"], tokenizer, may_be_empty=True)


def test_negative_prompts_are_no_text_if_none_are_given(tokenizer):
    assert check_negative_prompts(None, ["red", "blue"], tokenizer) == ["", ""]
    assert check_negative_prompts(["star", ""], ["red", "blue"], tokenizer) == ["star", ""]


@pytest.mark.parametrize("number", [1, 3])
def test_negative_prompts_of_another_number_are_refused(tokenizer, number, refusal):
    with refusal(f"negative_prompts: expected one for each of 2 prompts, got {number}"):
        check_negative_prompts(["star"] * number, ["red", "blue"], tokenizer)


def test_a_negative_prompt_that_is_too_long_is_refused(tokenizer, refusal):
    with refusal(r"negative_prompts\[0\]: .*too long by 'star'"):
        check_negative_prompts(["red red red star"], ["red"], tokenizer)


def test_texts_become_the_states_that_transformers_gives(folder):
    from edudiff.pipelines import folder as parts

    tokenizer, prompts = parts.read_tokenizer(folder), ["a red circle", "", "a star"]
    theirs = CLIPTextModel.from_pretrained(folder / "text_encoder")
    read = tokenizer(prompts, padding="max_length", return_tensors="pt").input_ids
    expected = theirs(read).last_hidden_state
    states = encode(prompts, tokenizer, parts.read_text_encoder(folder))
    torch.testing.assert_close(states, expected, atol=1e-5, rtol=1e-5)


def test_a_text_is_read_alike_whatever_stands_beside_it(tokenizer, text_encoder):
    both = encode(["red", "blue star"], tokenizer, text_encoder)
    alone = encode(["blue star"], tokenizer, text_encoder)
    torch.testing.assert_close(both[1:], alone, atol=1e-5, rtol=1e-5)


def test_states_have_no_gradient(tokenizer, text_encoder):
    assert not encode(["red"], tokenizer, text_encoder).requires_grad


def test_a_special_token_in_a_prompt_is_refused(tokenizer, text_encoder, refusal):
    with refusal("expected no special token"):
        encode([f"red {END}"], tokenizer, text_encoder)


def test_states_that_are_not_finite_are_refused(tokenizer, text_encoder, refusal):
    with torch.no_grad():
        text_encoder.final_layer_norm.bias[0] = torch.nan
    with refusal("text_encoder: expected finite states, got infinity or NaN"):
        encode(["red"], tokenizer, text_encoder)
