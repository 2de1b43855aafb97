from collections import Counter

import pytest

from edudiff.data import bpe

COUNTS = {"low": 5, "lower": 2, "newest": 6, "widest": 3}


def test_the_alphabet_has_a_character_of_its_own_for_every_byte():
    assert len(set(bpe.byte_alphabet())) == 256


def test_every_character_of_the_alphabet_is_visible():
    assert all(character.isprintable() and character != " " for character in bpe.byte_alphabet())


def test_visible_ascii_stands_for_itself():
    assert [bpe.byte_alphabet()[byte] for byte in range(33, 127)] == list(map(chr, range(33, 127)))


def test_the_last_letter_of_a_word_carries_its_end():
    assert bpe.letters("cat") == ("c", "a", "t</w>")


def test_a_letter_beyond_ascii_is_several_symbols():
    assert len(bpe.letters("é")) == 2


def test_merging_goes_from_left_to_right_without_overlap():
    assert bpe.merge(("a", "a", "a", "b", "a", "a"), ("a", "a")) == ("aa", "a", "b", "aa")


def test_merging_a_pair_that_is_not_there_changes_nothing():
    assert bpe.merge(("a", "b", "c"), ("b", "a")) == ("a", "b", "c")


def test_sennrich_algorithm_1_on_the_papers_words():
    # 9 times "e s"; "s t" and "t at the end" are as frequent, and later in the alphabet.
    assert bpe.learn(COUNTS, 4) == [("e", "s"), ("es", "t</w>"), ("l", "o"), ("e", "w")]


def test_each_merge_is_a_pair_seen_most_often_just_then():
    merges = bpe.learn(COUNTS, 12)
    for step, pair in enumerate(merges):
        seen = Counter()
        for word, count in COUNTS.items():
            symbols = bpe.encode(word, merges[:step])
            for left, right in zip(symbols, symbols[1:], strict=False):
                seen[left, right] += count
        assert seen[pair] == max(seen.values())


def test_how_often_a_word_occurs_matters():
    assert bpe.learn({"ab": 1, "cd": 2}, 1) == [("c", "d</w>")]


def test_the_order_of_the_words_does_not_matter():
    assert bpe.learn(COUNTS, 9) == bpe.learn(dict(reversed(COUNTS.items())), 9)


def test_learning_ends_when_every_word_is_whole():
    merges = bpe.learn(COUNTS, 1000)
    assert len(merges) < 30
    assert [bpe.encode(word, merges) for word in COUNTS] == [(word + "</w>",) for word in COUNTS]


def test_fewer_merges_are_the_beginning_of_more():
    assert bpe.learn(COUNTS, 9)[:4] == bpe.learn(COUNTS, 4)


def test_no_merges_leave_letters():
    assert bpe.encode("low", bpe.learn(COUNTS, 0)) == ("l", "o", "w</w>")


@pytest.mark.parametrize("word", ["lowest", "newer", "été", "🙂", "x"])
def test_a_words_symbols_spell_it(word):
    inverse = {character: byte for byte, character in enumerate(bpe.byte_alphabet())}
    spelt = "".join(bpe.encode(word, bpe.learn(COUNTS, 9))).removesuffix("</w>")
    assert bytes(inverse[character] for character in spelt).decode() == word


def test_an_unseen_word_is_made_of_pieces_that_were_seen():
    assert bpe.encode("lowest", bpe.learn(COUNTS, 12)) == ("low", "est</w>")


def test_the_vocabulary_counts_bytes_ends_merges_and_specials():
    vocabulary = bpe.vocabulary(bpe.learn(COUNTS, 4), ["<start>", "<end>"])
    assert sorted(vocabulary.values()) == list(range(256 + 256 + 4 + 2))
    assert list(vocabulary)[-3:] == ["ew", "<start>", "<end>"]


def test_every_symbol_of_an_encoded_word_is_in_the_vocabulary():
    merges = bpe.learn(COUNTS, 9)
    assert set(bpe.encode("lowest étés", merges)) <= set(bpe.vocabulary(merges))


def test_transformers_has_the_same_alphabet():
    convert = pytest.importorskip("transformers.convert_slow_tokenizer")
    theirs = convert.bytes_to_unicode()
    assert bpe.byte_alphabet() == [theirs[byte] for byte in range(256)]


@pytest.mark.parametrize("function", [bpe.letters, lambda word: bpe.encode(word, [])])
def test_an_empty_word_is_refused(function, refusal):
    with refusal("word: expected at least one letter, got ''"):
        function("")


def test_learning_from_an_empty_word_is_refused(refusal):
    with refusal("word: expected at least one letter, got ''"):
        bpe.learn({"": 3}, 2)


def test_a_negative_number_of_merges_is_refused(refusal):
    with refusal("num_merges: expected a whole number ≥ 0, got -1"):
        bpe.learn(COUNTS, -1)
