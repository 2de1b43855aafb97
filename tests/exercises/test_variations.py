import re

import pytest

from edudiff.exercises import EXERCISES
from edudiff.exercises.exercise import answers_of
from edudiff.exercises.judge import same
from edudiff.exercises.variations import VARIATIONS

FIRST_CHAPTERS = list(dict.fromkeys(name.split(".")[0] for name in EXERCISES))[:12]


@pytest.fixture(params=VARIATIONS, ids=str)
def name(request):
    return request.param


def test_every_chapter_from_rendering_to_sdxl_has_an_exercise_that_varies():
    assert {name.split(".")[0] for name in VARIATIONS} >= set(FIRST_CHAPTERS)
    assert FIRST_CHAPTERS[-1] == "sdxl"


def test_they_stand_in_the_order_of_the_book():
    assert list(VARIATIONS) == [name for name in EXERCISES if name in VARIATIONS]


def test_no_number_leaves_the_books_answer_right_or_shares_it_with_another(name):
    exercise, variation = EXERCISES[name], VARIATIONS[name]
    cases = exercise.cases(0)
    right = [answers_of(exercise.reference, cases)]
    right += [
        answers_of(variation.change(exercise.reference, number), cases)
        for number in variation.numbers
    ]
    for place, one in enumerate(right):
        assert not any(all(map(same, one, other)) for other in right[place + 1 :])


def test_there_are_numbers_for_many_years(name):
    numbers = VARIATIONS[name].numbers
    assert len(set(numbers)) == len(numbers) >= 15


def test_a_variation_is_one_sentence_that_holds_its_number(name):
    words = VARIATIONS[name].words(1.5)
    assert re.fullmatch(r"[A-Z][^{}]*\b1\.5\b[^{}]*\.", words)


def test_only_exercises_whose_answers_are_compared_with_the_references_vary(name):
    """Those that are judged by a law of their own would judge by that of the book."""
    exercise = EXERCISES[name]
    assert exercise.accepts is None and not any(mistake.seen for mistake in exercise.mistakes)
