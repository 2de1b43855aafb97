import json

import pytest

from edudiff.exercises import EXERCISES, variants
from edudiff.exercises.exercise import answers_of
from edudiff.exercises.judge import same
from edudiff.exercises.variations import VARIATIONS
from edudiff.grading import canary, cells


@pytest.fixture(params=EXERCISES.values(), ids=EXERCISES)
def exercise(request):
    return request.param


def test_the_written_out_answer_is_the_reference(exercise):
    source = canary.solution(exercise)
    handed = {}
    code = source.replace("from edudiff.exercises import check", "")
    exec(code, {"check": handed.__setitem__})
    cases = exercise.cases(5)
    both = (answers_of(handed[exercise.name], cases), answers_of(exercise.reference, cases))
    assert all(same(*pair) for pair in zip(*both, strict=True))


@pytest.mark.parametrize("name", VARIATIONS)
def test_the_written_out_answer_to_a_variant_is_right_there(name):
    exercise = variants.make(EXERCISES[name], 2027)
    handed = {}

    def check(name, answer, variant):
        handed[name] = answer, variant

    source = canary.solution(exercise).replace("from edudiff.exercises import check", "")
    exec(source, {"check": check})
    answer, variant = handed[name]
    assert variant == 2027 and EXERCISES[name].reference is not answer
    cases = exercise.cases(5)
    both = (answers_of(answer, cases), answers_of(exercise.reference, cases))
    assert all(same(*pair) for pair in zip(*both, strict=True))
    assert cells.remarks([canary.solution(exercise)]) == []


def test_the_written_out_answer_needs_none_of_our_room(exercise):
    assert cells.remarks([canary.solution(exercise)]) == []


def test_the_canaries_are_notebooks_with_a_cell_for_each_exercise():
    some = list(EXERCISES.values())[:3]
    for text in (canary.solved(some), canary.unsolved(some)):
        assert len(cells.read(text)) == 3
        assert json.loads(text)["nbformat"] == 4


def test_a_name_that_nobody_defines_is_not_passed_over():
    with pytest.raises(LookupError, match="does not define no_such_name"):
        canary._collect(canary, "no_such_name", [], set())
