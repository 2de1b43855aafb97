"""A class's own version of an exercise: other inputs, and in some a number that changes the answer.

Which number belongs to which variant is no secret. What is gained is that an answer from the book,
or from another class, is not right here; and whoever hands one in is told so.
"""

import functools
import zlib
from collections.abc import Sequence
from dataclasses import replace

from edudiff import checks
from edudiff.exercises.exercise import Answer, Case, Exercise, Mistake, answers_of
from edudiff.exercises.judge import same
from edudiff.exercises.plain import Plain
from edudiff.exercises.variations import VARIATIONS, Change, Variation


def make(exercise: Exercise, variant: int) -> Exercise:
    """The exercise as a class gets it; variant 0 is the book's.

    Raises:
        ValueError: if the variant is no whole number ≥ 0.
    """
    checks.whole_at_least(0, variant=variant)
    if variant == 0:
        return exercise
    own = replace(exercise, title=f"{exercise.title}, variant {variant}", variant=variant)
    variation = VARIATIONS.get(exercise.name)
    if variation is None:
        return own
    number = draw(exercise.name, variant)
    mistakes = [
        replace(mistake, answer=variation.change(mistake.answer, number))
        for mistake in exercise.mistakes
    ]
    return replace(
        own,
        reference=_changed(exercise.reference, variation, number),
        mistakes=(*_others(exercise, variation, number, variant), *mistakes),
    )


def draw(name: str, variant: int) -> float:
    """The number of an exercise in a variant; variants that follow each other have different ones.

    Raises:
        KeyError: if the exercise has none.
    """
    numbers = VARIATIONS[name].numbers
    return numbers[(7 * variant + zlib.crc32(name.encode())) % len(numbers)]


def says(exercise: Exercise) -> str:
    """What a class's version says of its number, or "" if it has none."""
    changed_ = exercise.variant and VARIATIONS.get(exercise.name)
    return changed_.words(draw(exercise.name, exercise.variant)) if changed_ else ""


def changed(exercise: Exercise) -> tuple[Change, float] | None:
    """How the book's answer becomes that of this version; None if it is the same."""
    variation = VARIATIONS.get(exercise.name)
    if not exercise.variant or variation is None:
        return None
    return variation.change, draw(exercise.name, exercise.variant)


def _changed(reference: Answer, variation: Variation, number: float) -> Answer:
    """The right answer, under the same name and with the same arguments."""
    return functools.wraps(reference)(variation.change(reference, number))


def _others(
    exercise: Exercise, variation: Variation, number: float, variant: int
) -> tuple[Mistake, Mistake]:
    """The two mistakes of whoever hands in what was right elsewhere."""
    others = [other for other in variation.numbers if other != number]
    own = f"Yours is variant {variant}. {variation.words(number)}"

    def seen(cases: Sequence[Case], answers: Sequence[Plain]) -> bool:
        return any(
            all(map(same, answers, answers_of(variation.change(exercise.reference, other), cases)))
            for other in others
        )

    return (
        Mistake(f"This is right in the book, but not here. {own}", exercise.reference),
        Mistake(
            f"This is right in another class's variant, but not here. {own}",
            variation.change(exercise.reference, others[0]),
            seen=seen,
        ),
    )
