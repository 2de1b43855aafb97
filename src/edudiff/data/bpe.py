"""Byte-pair encoding: a word is its letters, and the pairs seen most often grow together.

Letters are bytes, each written as a visible character, and a word's last one carries `</w>`, so
that "a" at the end of a word and "a" within one are two symbols.
"""

import itertools
from collections import Counter
from collections.abc import Mapping, Sequence

from edudiff import checks

Pair = tuple[str, str]
END = "</w>"


def byte_alphabet() -> list[str]:
    """256 visible characters, one for each byte: itself where it is visible, else one from 256 on.

    Source:
        Radford et al. 2019 (GPT-2), section 2.2. In transformers: `bytes_to_unicode`.
    """
    visible = {*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1)}
    visible |= set(range(ord("®"), ord("ÿ") + 1))
    spare = itertools.count(256)
    return [chr(byte) if byte in visible else chr(next(spare)) for byte in range(256)]


def letters(word: str) -> tuple[str, ...]:
    """The symbols a word starts from: its bytes, the last one marked as the end.

    Raises:
        ValueError: if the word is empty.
    """
    if not word:
        raise ValueError("word: expected at least one letter, got ''")
    alphabet = byte_alphabet()
    *inner, last = (alphabet[byte] for byte in word.encode())
    return (*inner, last + END)


def merge(symbols: Sequence[str], pair: Pair) -> tuple[str, ...]:
    """Glue every occurrence of `pair`, from left to right."""
    merged, i = [], 0
    while i < len(symbols):
        together = tuple(symbols[i : i + 2]) == pair
        merged.append("".join(pair) if together else symbols[i])
        i += 2 if together else 1
    return tuple(merged)


def learn(word_counts: Mapping[str, int], num_merges: int) -> list[Pair]:
    """Glue the pair seen most often, again and again; of equals, the first in the alphabet.

    Args:
        word_counts: how often each word occurs.
        num_merges: how many pairs to glue; fewer come out if every word is whole before.

    Returns:
        The pairs in the order in which they were glued.

    Raises:
        ValueError: if num_merges is below 0 or a word is empty.

    Source:
        Sennrich et al. 2016 (arXiv:1508.07909), algorithm 1.
    """
    checks.whole_at_least(0, num_merges=num_merges)
    split = {word: letters(word) for word in word_counts}
    merges: list[Pair] = []
    while len(merges) < num_merges:
        pairs: Counter[Pair] = Counter()
        for word, symbols in split.items():
            for pair in itertools.pairwise(symbols):
                pairs[pair] += word_counts[word]
        if not pairs:
            break
        best = min(pairs, key=lambda pair: (-pairs[pair], pair))
        merges.append(best)
        split = {word: merge(symbols, best) for word, symbols in split.items()}
    return merges


def encode(word: str, merges: Sequence[Pair]) -> tuple[str, ...]:
    """A word's symbols after all merges, in the order in which they were learnt.

    Raises:
        ValueError: if the word is empty.
    """
    symbols = letters(word)
    for pair in merges:
        symbols = merge(symbols, pair)
    return symbols


def vocabulary(merges: Sequence[Pair], specials: Sequence[str] = ()) -> dict[str, int]:
    """Symbol → id: every byte, every byte at a word's end, every merge, and the specials last."""
    alphabet = byte_alphabet()
    ends = [letter + END for letter in alphabet]
    symbols = [*alphabet, *ends, *map("".join, merges), *specials]
    return {symbol: index for index, symbol in enumerate(symbols)}
