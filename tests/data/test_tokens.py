import pytest
import torch
from transformers import CLIPTokenizer

from edudiff.data import bpe
from edudiff.data.tokens import make_tokenizer, tokenize, unconditional, words

CAPTIONS = [
    "a large red circle above a small blue square",
    "a small green triangle left of a red star",
    "two blue circles on a grey ground",
]
OTHERS = [
    "a red circle, and a blue square!",
    "A Large   RED circle\n above it",
    "don't they're 1234 x2",
    "snake_case -- a.b",
    "un été à Zürich",
    "绿色 🙂",
    "violet hexagons",
]


@pytest.fixture(scope="module")
def tokenizer() -> CLIPTokenizer:
    return make_tokenizer(CAPTIONS, num_merges=40)


def test_words_are_in_lower_case_and_signs_stand_apart():
    assert words("A red-hot Circle, isn't it?") == [
        *("a", "red", "-", "hot", "circle", ",", "isn", "'t", "it", "?")
    ]


def test_each_digit_is_a_word():
    assert words("x 128") == ["x", "1", "2", "8"]


def test_the_ids_begin_and_end_a_text_and_pad_it_with_its_end(tokenizer):
    (ids,) = tokenize(["red"], tokenizer).tolist()
    start, end = len(tokenizer) - 2, len(tokenizer) - 1
    assert (ids[0], ids[2:]) == (start, [end] * 22)


def test_every_text_is_as_long_as_the_context(tokenizer):
    ids = tokenize(CAPTIONS, tokenizer)
    assert (ids.shape, ids.dtype) == ((3, 24), torch.int64)


def test_with_enough_merges_a_known_word_is_one_token():
    tokenizer = make_tokenizer(CAPTIONS, num_merges=1000)
    assert tokenizer.tokenize(CAPTIONS[0]) == [f"{word}</w>" for word in CAPTIONS[0].split()]


def test_the_vocabulary_is_bytes_ends_merges_and_two_specials(tokenizer):
    assert len(tokenizer) == 512 + 40 + 2


@pytest.mark.parametrize("caption", CAPTIONS + OTHERS)
def test_our_own_encoding_gives_the_ids_of_transformers(caption, tokenizer):
    counts = {}
    for word in [word for text in CAPTIONS for word in words(text)]:
        counts[word] = counts.get(word, 0) + 1
    merges = bpe.learn(counts, 40)
    vocabulary = bpe.vocabulary(merges)
    ours = [vocabulary[s] for word in words(caption) for s in bpe.encode(word, merges)]
    assert ours == tokenizer(caption, add_special_tokens=False).input_ids


@pytest.mark.parametrize("caption", CAPTIONS)
def test_decoding_gives_the_caption_back(caption, tokenizer):
    (ids,) = tokenize([caption], tokenizer)
    assert tokenizer.decode(ids, skip_special_tokens=True).strip() == caption


def test_diffusers_way_of_padding_gives_the_same_ids(tokenizer):
    theirs = tokenizer(
        CAPTIONS,
        padding="max_length",
        max_length=tokenizer.model_max_length,
        truncation=True,
        return_tensors="pt",
    )
    assert torch.equal(theirs.input_ids, tokenize(CAPTIONS, tokenizer))


def test_no_text_is_what_diffusers_makes_of_the_empty_prompt(tokenizer):
    theirs = tokenizer("", padding="max_length", max_length=24, return_tensors="pt").input_ids
    assert torch.equal(theirs, unconditional(tokenizer))


def test_a_saved_tokenizer_comes_back_the_same(tokenizer, tmp_path):
    tokenizer.save_pretrained(tmp_path)
    again = CLIPTokenizer.from_pretrained(tmp_path)
    assert torch.equal(tokenize(CAPTIONS, again), tokenize(CAPTIONS, tokenizer))
    assert torch.equal(unconditional(again), unconditional(tokenizer))
    assert again.model_max_length == 24


def test_a_text_that_just_fits_is_taken(tokenizer):
    (ids,) = tokenize(["red " * 22], tokenizer)
    assert (ids == tokenizer.eos_token_id).sum() == 1


def test_a_text_one_token_longer_is_refused(tokenizer, refusal):
    with refusal("expected at most 22 tokens between beginning and end, got 23 from 'red red"):
        tokenize(["red", "red " * 23], tokenizer)


@pytest.mark.parametrize("caption", ["", "  \n"])
def test_an_empty_caption_is_refused(caption, tokenizer, refusal):
    with refusal("caption: expected some words, got '"):
        tokenize(["red", caption], tokenizer)


@pytest.mark.parametrize("captions", ["a red circle", [3], ["red", None], [["red"]]])
def test_what_is_not_a_list_of_texts_is_refused(captions, tokenizer, refusal):
    with refusal("captions: expected a list of texts, got "):
        tokenize(captions, tokenizer)


def test_an_empty_list_is_refused(tokenizer, refusal):
    with refusal(r"captions: expected a list of texts, got \[\]"):
        tokenize([], tokenizer)


@pytest.mark.parametrize("special", ["<|endoftext|>", "<|startoftext|>"])
def test_a_special_token_inside_a_caption_is_refused(special, tokenizer, refusal):
    with refusal(r"caption: expected no special token, got 'a red <\|"):
        tokenize([f"a red {special} circle"], tokenizer)


def test_an_unknown_word_is_refused_and_the_nearest_known_one_named(tokenizer, refusal):
    with refusal("unknown word: expected one of .*, got 'squarre'. Did you mean 'square'?"):
        tokenize(["a red squarre"], tokenizer, known_words=words(" ".join(CAPTIONS)))


def test_known_words_are_taken_in_any_case(tokenizer):
    known = words(" ".join(CAPTIONS))
    assert torch.equal(
        tokenize(["A RED square"], tokenizer, known), tokenize(["a red square"], tokenizer)
    )


def test_without_known_words_any_word_is_taken(tokenizer):
    assert tokenize(["a violet squarre"], tokenizer).shape == (1, 24)


def test_the_same_captions_make_the_same_tokenizer(tokenizer):
    again = make_tokenizer(reversed(CAPTIONS), num_merges=40)
    assert again.get_vocab() == tokenizer.get_vocab()


def test_a_context_without_room_for_a_word_is_refused(refusal):
    with refusal("context_length: expected a whole number ≥ 3, got 2"):
        make_tokenizer(CAPTIONS, context_length=2)


def test_a_negative_number_of_merges_is_refused(refusal):
    with refusal("num_merges: expected a whole number ≥ 0, got -1"):
        make_tokenizer(CAPTIONS, num_merges=-1)
