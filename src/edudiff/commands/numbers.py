"""Numbers on the command line, refused in a sentence."""

import argparse
import math

from edudiff import checks


def whole_number(text: str) -> int:
    """A whole number of at least 1.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    try:
        checks.whole_at_least(1, number=int(text))
    except ValueError:
        message = f"expected a whole number ≥ 1, got {text!r}"
        raise argparse.ArgumentTypeError(message) from None
    return int(text)


def seed(text: str) -> int:
    """A whole number of at least 0.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    return 0 if text == "0" else whole_number(text)


def not_negative(text: str) -> float:
    """A finite number of at least 0.

    Raises:
        argparse.ArgumentTypeError: for anything else.
    """
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (number >= 0 and math.isfinite(number)):
        raise argparse.ArgumentTypeError(f"expected a number ≥ 0, got {text!r}")
    return number
