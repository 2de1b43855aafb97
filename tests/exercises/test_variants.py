import pytest

from edudiff.exercises import EXERCISES, Status, check, variants
from edudiff.exercises.exercise import answers_of
from edudiff.exercises.judge import judge, same
from edudiff.exercises.plain import encode
from edudiff.exercises.runner import probe
from edudiff.exercises.variations import VARIATIONS

LAST_YEAR, THIS_YEAR = 2026, 2027
MISTAKES = [
    (EXERCISES[name], k) for name in VARIATIONS for k in range(len(EXERCISES[name].mistakes))
]


@pytest.fixture(params=EXERCISES.values(), ids=EXERCISES)
def exercise(request):
    return request.param


@pytest.fixture(params=[EXERCISES[name] for name in VARIATIONS], ids=list(VARIATIONS))
def varied(request):
    return request.param


@pytest.fixture(params=MISTAKES, ids=lambda pair: f"{pair[0].name}-{pair[1]}")
def mistake(request):
    exercise, place = request.param
    return variants.make(exercise, THIS_YEAR).mistakes[2 + place], exercise


def test_variant_0_is_the_books(exercise):
    assert variants.make(exercise, 0) is exercise
    assert variants.says(exercise) == "" and variants.changed(exercise) is None


@pytest.mark.parametrize("variant", [-1, 2.5])
def test_what_is_no_number_of_a_variant_is_refused(variant, refusal):
    with refusal("variant: expected"):
        variants.make(EXERCISES["rendering.1"], variant)


def test_a_variant_has_inputs_of_its_own(exercise):
    one, two = (variants.make(exercise, year).cases(0) for year in (LAST_YEAR, THIS_YEAR))
    drawn = [
        [encode(value) for case in cases for value in case.given.values()]
        for cases in (exercise.cases(0), one, two)
    ]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def test_the_same_variant_is_the_same_each_time(varied):
    one, two = variants.make(varied, THIS_YEAR), variants.make(varied, THIS_YEAR)
    both = [answers_of(each.reference, each.cases(3)) for each in (one, two)]
    assert all(map(same, *both))


def test_years_that_follow_each_other_have_different_numbers(varied):
    numbers = [variants.draw(varied.name, 2026 + k) for k in range(15)]
    assert len(set(numbers)) == 15


def test_the_right_answer_passes_its_own_variant(varied):
    right = variants.make(varied, LAST_YEAR).reference
    assert check(varied.name, right, variant=LAST_YEAR).status is Status.PASS


def test_last_years_answer_is_told_which_variant_this_is(varied):
    old = variants.make(varied, LAST_YEAR).reference
    result = check(varied.name, old, variant=THIS_YEAR)
    number = variants.draw(varied.name, THIS_YEAR)
    assert result.status is Status.NOT_YET
    assert result.message.startswith("This is right in another class's variant, but not here.")
    assert result.message.endswith(
        f"Yours is variant 2027. {VARIATIONS[varied.name].words(number)}"
    )


def test_the_answer_of_the_book_is_told_so(varied):
    result = check(varied.name, varied.reference, variant=THIS_YEAR)
    assert result.status is Status.NOT_YET
    assert result.message.startswith("This is right in the book, but not here. Yours is variant")


def test_an_answer_to_a_variant_is_no_answer_to_the_book(varied):
    own = variants.make(varied, THIS_YEAR).reference
    assert check(varied.name, own).status is Status.NOT_YET


def test_a_typical_mistake_gets_its_own_hint_in_a_variant_too(mistake):
    made, exercise = mistake
    own = variants.make(exercise, THIS_YEAR)
    cases = own.cases(0)
    report = probe(made.answer, [case.given for case in cases])
    assert judge(own, cases, report).message == made.hint


def test_an_exercise_that_does_not_vary_keeps_its_answer():
    exercise = EXERCISES["forward-diffusion.2"]
    assert exercise.name not in VARIATIONS
    assert check(exercise.name, exercise.reference, variant=THIS_YEAR).passed


def test_the_starter_asks_for_the_variant_and_is_called_as_in_the_book(varied):
    own = variants.make(varied, THIS_YEAR)
    assert own.signature == varied.signature
    assert own.starter == varied.starter[:-1] + ", variant=2027)"


def test_a_variant_that_cannot_be_is_told_and_stops_no_notebook():
    result = check("rendering.1", None, variant=-3)
    assert result.status is Status.ERROR and "variant: expected" in result.message
