import json
import re
import time

import pytest
import torch

from edudiff.exercises import EXERCISES, Status, check
from edudiff.exercises.exercise import answers_of
from edudiff.exercises.judge import judge, made, same
from edudiff.exercises.plain import decode, encode
from edudiff.exercises.runner import Report, probe

SEEDS = (0, 1, 2)
MISTAKES = [(e, m) for e in EXERCISES.values() for m in e.mistakes]


@pytest.fixture(params=EXERCISES.values(), ids=EXERCISES)
def exercise(request):
    return request.param


@pytest.fixture(params=MISTAKES, ids=lambda pair: f"{pair[0].name}-{pair[1].hint[:30]}")
def mistaken(request):
    return request.param


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reference_passes(exercise, seed):
    result = check(exercise.name, exercise.reference, seed=seed)
    assert result.status is Status.PASS, result


def test_the_starter_runs_and_is_not_attempted(exercise):
    *definition, call = exercise.starter.splitlines()
    space = {}
    exec("\n".join(definition), space)
    assert eval(call, space).status is Status.NOT_ATTEMPTED


@pytest.mark.parametrize("seed", SEEDS)
def test_every_wrong_answer_gets_its_own_hint(mistaken, seed):
    exercise, mistake = mistaken
    result = check(exercise.name, mistake.answer, seed=seed)
    assert result.status is Status.NOT_YET
    assert result.message == mistake.hint


def test_no_two_wrong_answers_share_a_hint(exercise):
    hints = [mistake.hint for mistake in exercise.mistakes]
    assert len(set(hints)) == len(hints) >= 3


def test_no_mistake_is_seen_in_the_reference(exercise):
    cases = exercise.cases(0)
    answers = answers_of(exercise.reference, cases)
    assert [mistake.hint for mistake in exercise.mistakes if made(mistake, cases, answers)] == []


def test_a_table_of_last_years_answers_does_not_fit_this_years_inputs(exercise):
    first, second = (exercise.cases(seed) for seed in SEEDS[:2])
    old, new = (answers_of(exercise.reference, cases) for cases in (first, second))
    assert not all(same(*pair) for pair in zip(old, new, strict=True))


def test_every_name_is_a_chapter_and_a_number(exercise):
    assert re.fullmatch(r"[a-z][a-z-]*\.[1-6]", exercise.name)
    assert EXERCISES[exercise.name] is exercise


def test_a_hint_is_a_whole_sentence(mistaken):
    assert mistaken[1].hint[0].isupper() and mistaken[1].hint[-1] in ".?"


def test_a_check_takes_less_than_a_second(exercise):
    start = time.process_time()
    check(exercise.name, exercise.reference)
    assert time.process_time() - start < 1


def test_one_process_can_run_what_another_judges(exercise):
    cases = exercise.cases(7)
    report = probe(exercise.mistakes[0].answer, [case.given for case in cases])
    arrived = Report.from_plain(json.loads(json.dumps(report.to_plain())))
    assert judge(exercise, cases, arrived).message == exercise.mistakes[0].hint


def test_the_inputs_arrive_unchanged_in_another_process(exercise):
    for case in exercise.cases(7):
        plain = {name: encode(value) for name, value in case.given.items()}
        arrived = {name: decode(value) for name, value in json.loads(json.dumps(plain)).items()}
        torch.testing.assert_close(arrived, case.given, rtol=0, atol=0)


def test_an_unknown_exercise_is_told_and_stops_no_notebook():
    result = check("forward-difusion.2", None)
    assert result.status is Status.ERROR
    assert result.message.startswith(
        "There is no exercise 'forward-difusion.2'. Did you mean 'forw"
    )


def test_the_suggestion_comes_before_a_list_of_that_chapters_exercises_alone():
    message = check("forward-difusion.2", None).message
    suggested, listed = message.split(" Of the chapter ")
    assert suggested.endswith("Did you mean 'forward-diffusion.2'?")
    own = [name for name in EXERCISES if name.startswith("forward-diffusion.")]
    assert listed == f"forward-diffusion there are {', '.join(own)}."


@pytest.mark.parametrize("name", ["gan.9", "gan", "gan.", "gna.9"])
def test_without_a_near_exercise_there_is_the_chapters_list_and_no_suggestion(name):
    own = [each for each in EXERCISES if each.startswith("gan.")]
    assert check(name, None).message == (
        f"There is no exercise {name!r}. Of the chapter gan there are {', '.join(own)}."
    )


@pytest.mark.parametrize("name", ["", "?", "knitting.1"])
def test_a_name_like_none_of_the_chapters_is_answered_with_the_chapters(name):
    message = check(name, None).message
    assert message.startswith(f"There is no exercise {name!r}. The chapters with exercises are ")
    assert {each.partition(".")[0] for each in EXERCISES} == set(
        message.split(" are ")[1].rstrip(".").split(", ")
    )


def test_a_variant_that_is_none_is_told():
    assert check("gan.1", None, variant=-1).message == (
        "variant: expected a whole number ≥ 0, got -1"
    )


def test_the_result_of_a_call_is_not_the_function():
    result = check("forward-diffusion.2", 3.0)
    assert result.status is Status.NOT_YET
    assert "sigma without brackets" in result.message


@pytest.mark.parametrize("nothing", [None, ...])
def test_nothing_is_not_attempted(nothing):
    assert check("forward-diffusion.2", nothing).status is Status.NOT_ATTEMPTED
