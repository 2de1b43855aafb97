import dataclasses

import pytest
import torch

from edudiff.exercises.exercise import Case, Exercise, Mistake
from edudiff.exercises.judge import judge, numbers
from edudiff.exercises.result import Status
from edudiff.exercises.runner import Report, probe


def result_of(function, exercise):
    cases = exercise.cases(0)
    return judge(exercise, cases, probe(function, [case.given for case in cases], seconds=0.5))


RIGHT = {
    "single precision": lambda x: (2 * x).float(),
    "double precision": lambda x: 2 * x.double(),
    "numpy": lambda x: 2 * x.numpy(),
    "with a gradient": lambda x: 2 * x.requires_grad_(),
}


@pytest.mark.parametrize("function", RIGHT.values(), ids=RIGHT)
def test_a_right_answer_passes_in_any_dress(doubling, function):
    assert result_of(function, doubling).passed


WRONG_FORM = {
    "returns nothing": (lambda x: print(x), "returns nothing"),
    "not a number": (lambda x: 2 * x / 0, "not numbers, or infinite"),
    "whole numbers": (lambda x: (2 * x).long(), "floating-point numbers, got int64"),
    "truth values": (lambda x: x > 0, "floating-point numbers, got bool"),
    "complex": (lambda x: 2 * x + 0j, "floating-point numbers, got complex64"),
    "too many axes": (lambda x: 2 * x[None], "shape (3,), got a tensor of shape (1, 3)"),
    "one number": (lambda x: 7.0, "shape (3,), got one number"),
    "another device": (lambda x: (2 * x).to("meta"), "on the CPU, your answer is on 'meta'"),
    "a list": (lambda x: [1.0, 2.0, 3.0], "shape (3,), got a list of 3"),
    "words": (lambda x: "2x", "shape (3,), got something of type str"),
    "sparse": (lambda x: (2 * x).to_sparse(), "got something of type sparse"),
}


@pytest.mark.parametrize(("function", "words"), WRONG_FORM.values(), ids=WRONG_FORM)
def test_a_wrong_form_is_named(doubling, function, words):
    result = result_of(function, doubling)
    assert result.status is Status.NOT_YET
    assert words in result.message


@pytest.fixture
def asking() -> Exercise:
    """Say whether a number is positive."""
    return Exercise(
        name="toy.2",
        title="Above nothing",
        make_cases=lambda generator: [
            Case("x is 3", {"x": torch.tensor(3.0)}),
            Case("x is −3", {"x": torch.tensor(-3.0)}),
        ],
        reference=lambda x: bool(x > 0),
        mistakes=(Mistake("You never say no.", lambda x: True),),
    )


@pytest.mark.parametrize(
    "function", [lambda x: x > 0, lambda x: x.numpy() > 0, lambda x: x.item() > 0]
)
def test_a_verdict_is_an_answer_where_one_is_wanted(asking, function):
    assert result_of(function, asking).passed


def test_a_wrong_verdict_is_told(asking):
    assert result_of(lambda x: True, asking).message == "You never say no."
    assert (
        "verdicts are not right when x is 3 or when" in result_of(lambda x: x < 0, asking).message
    )


@pytest.mark.parametrize("function", [lambda x: 1, lambda x: float(x > 0), lambda x: x])
def test_a_number_is_no_verdict(asking, function):
    assert "Expected True or False, got" in result_of(function, asking).message


def test_one_verdict_is_asked_for_not_several(asking):
    assert "Expected True or False, got a tensor of shape (1,)" in (
        result_of(lambda x: x[None] > 0, asking).message
    )


def doubles_in_place(x):
    x *= 2
    return x


def test_a_right_answer_that_spoils_its_input_is_not_yet_right(doubling):
    result = result_of(doubles_in_place, doubling)
    assert result.status is Status.NOT_YET
    assert "changes its input x" in result.message


def test_a_mistake_is_found_beside_another_where_it_shows(doubling):
    assert result_of(lambda x: 3 * x + (x == 0), doubling).message == "Zero becomes one."


def test_of_an_unforeseen_mistake_it_is_said_where_it_shows(doubling):
    message = result_of(lambda x: 3 * x, doubling).message
    assert message == "Your values are not right when x is random, but they are when x = 0."
    assert "when x is random or when x = 0." in result_of(lambda x: 3 * x + 5, doubling).message


def raises(x):
    raise ValueError("too <bad>")


def loops(x):
    while True:
        x = x + 1


def test_an_exception_is_told_with_its_line(doubling):
    result = result_of(raises, doubling)
    assert result.status is Status.ERROR
    assert "ValueError: too <bad>" in result.message and "In raises, line" in result.message
    assert result.code == 'raise ValueError("too <bad>")'


def test_code_whose_source_is_unknown_is_told_by_its_line_number(doubling):
    space = {}
    exec("def f(x):\n    return x.nothing", space)
    result = result_of(space["f"], doubling)
    assert result.message.endswith("In f, line 2.") and result.code == ""


def test_a_function_with_other_arguments_is_told_how_it_is_called(doubling):
    result = result_of(lambda: 1, doubling)
    assert "could not be called as double(x)" in result.message


def test_an_endless_loop_is_an_error_with_its_line(doubling):
    result = result_of(loops, doubling)
    assert result.status is Status.ERROR
    assert "still running" in result.message
    assert result.code in ("x = x + 1", "while True:")


def test_a_report_that_breaks_off_never_passes(doubling):
    assert judge(doubling, doubling.cases(0), Report()).status is Status.ERROR


def test_an_empty_function_is_not_attempted(doubling):
    result = result_of(lambda x: ..., doubling)
    assert result.status is Status.NOT_ATTEMPTED
    assert "double(x)" in result.message


def test_what_was_printed_is_passed_on(doubling):
    assert "nine" in result_of(lambda x: print("nine"), doubling).printed


def toss():
    """The reference of a task with chance in it: the mean of 400 draws."""
    return torch.randn(400).mean()


def near_zero(cases, answers):
    """Five standard errors of the mean over all cases; one right answer in a million fails."""
    means = torch.stack([numbers(answer) for answer in answers])
    return bool(means.mean().abs() < 5 / (400 * len(answers)) ** 0.5)


def test_a_task_with_chance_is_judged_by_the_law_of_its_answers():
    tossing = Exercise(
        "toy.2",
        "Chance",
        lambda generator: [Case("chance", {})] * 8,
        toss,
        (
            Mistake(
                "Your mean is off.", lambda: toss() + 0.5, seen=lambda c, a: not near_zero(c, a)
            ),
        ),
        accepts=near_zero,
    )
    assert result_of(lambda: torch.randn(800)[:400].mean(), tossing).passed
    assert result_of(lambda: toss() + 0.2, tossing).message == "Your mean is off."


def test_several_values_are_compared_one_by_one(doubling):
    both = dataclasses.replace(doubling, reference=lambda x: (2 * x, x), mistakes=())
    assert result_of(lambda x: [2 * x, x], both).passed
    assert "Expected 2 values, got a tuple of 3" in result_of(lambda x: (x, x, x), both).message
    assert "Expected 2 values, got a tensor" in result_of(lambda x: x, both).message
    assert "shape (3,), got" in result_of(lambda x: (2 * x, x[:1]), both).message
    assert "not right" in result_of(lambda x: (x, x), both).message
