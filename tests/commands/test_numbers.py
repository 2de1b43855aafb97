import argparse

import pytest

from edudiff.commands.numbers import not_negative, seed, whole_number


@pytest.mark.parametrize("read, text, number", [(whole_number, "1", 1), (seed, "0", 0)])
def test_the_smallest_number_is_taken(read, text, number):
    assert read(text) == number


@pytest.mark.parametrize("text, number", [("0", 0.0), ("7.5", 7.5), ("1e2", 100.0)])
def test_a_number_that_is_not_negative_is_taken(text, number):
    assert not_negative(text) == number


@pytest.mark.parametrize("text", ["0", "-1", "1.5", "many", "True"])
def test_anything_but_a_whole_number_above_zero_is_refused(text):
    with pytest.raises(
        argparse.ArgumentTypeError, match=f"expected a whole number ≥ 1, got '{text}'"
    ):
        whole_number(text)


def test_a_negative_seed_is_refused():
    with pytest.raises(argparse.ArgumentTypeError, match="got '-1'"):
        seed("-1")


@pytest.mark.parametrize("text", ["-0.1", "nan", "inf", "much"])
def test_a_negative_or_endless_number_is_refused(text):
    with pytest.raises(argparse.ArgumentTypeError, match=f"expected a number ≥ 0, got '{text}'"):
        not_negative(text)
