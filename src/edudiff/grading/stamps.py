"""For which variant notebooks were made, beside the one as which they are graded.

What a student's notebook says of itself decides no mark: the teacher says which variant it is.
"""

from collections import Counter
from pathlib import Path

from edudiff.exercises import handout
from edudiff.grading import submissions


def remarks(notebook: str, variant: int) -> list[str]:
    """What a teacher should know of a notebook that is graded as this variant."""
    made = handout.stamped(notebook)
    names = [f"variant {number}" if number else "the book" for number in (made, variant)]
    return [] if made == variant else [f"made for {names[0]}, graded as {names[1]}"]


def refuse_others(folder: Path, largest: int) -> None:
    """Refuse to grade as the book's what is not, if most students have notebooks of a variant.

    Args:
        folder: the submissions.
        largest: bytes that a notebook may have; larger ones are not looked at.

    Raises:
        ValueError: if more than half were made for the same variant.
    """
    try:
        found, _ = submissions.find(folder)
    except ValueError:
        return  # who grades will say it
    made: Counter[int] = Counter()
    for submission in found:
        made.update({number for path in submission.files if (number := _variant(path, largest))})
    (variant, number), *_ = made.most_common(1) or [(0, 0)]
    if 2 * number > len(found):
        raise ValueError(
            f"--variant: expected {variant}, for which {number} of {len(found)} students have "
            "notebooks, or 0 for the book's exercises, got nothing"
        )


def _variant(path: Path, largest: int) -> int:
    try:
        return handout.stamped(submissions.read(path, largest))
    except ValueError:
        return 0
