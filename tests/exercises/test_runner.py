import json
import sys
import warnings

import pytest
import torch

from edudiff.exercises import runner
from edudiff.exercises.plain import decode
from edudiff.exercises.runner import Report, is_empty, probe

CALLS = [{"x": torch.ones(2)}, {"x": torch.zeros(3)}]


def test_every_call_is_answered_in_order():
    report = probe(lambda x: x + 1, CALLS)
    assert [decode(answer).tolist() for answer in report.answers] == [[2, 2], [1, 1, 1]]
    assert report == Report(answers=report.answers)


def test_arguments_go_by_position_whatever_they_are_called():
    report = probe(lambda one, two: one - two, [{"a": 3, "b": 1}])
    assert report.answers == ({"kind": "number", "dtype": "int", "value": 2},)


def ellipsis(x): ...


def documented(x):
    """Not written yet."""


def passing(x):
    pass


def returning(x):
    return ...


def refusing(x):
    raise NotImplementedError


def refusing_in_words(x):
    raise NotImplementedError("later")


@pytest.mark.parametrize(
    "function",
    [None, ..., ellipsis, documented, passing, returning, refusing, refusing_in_words],
)
def test_what_is_not_written_yet_is_empty(function):
    assert probe(function, CALLS).empty


def forgets_to_return(x):
    x = x + 1


def unsupported(x):
    return torch.ones(1, device="meta").item()


@pytest.mark.parametrize("function", [forgets_to_return, unsupported, print, lambda x: 0, type])
def test_what_does_something_is_not_empty(function):
    assert not probe(function, CALLS).empty
    assert not is_empty(function)


def helper(x):
    return x.no_such_thing


def calls_helper(x):
    return helper(x)


def test_an_exception_is_reported_with_the_students_innermost_line():
    report = probe(calls_helper, CALLS)
    assert report.raised == "AttributeError: 'Tensor' object has no attribute 'no_such_thing'"
    assert report.place.function == "helper"
    assert report.place.code == "return x.no_such_thing"


def inside_a_library(x):
    return json.loads("{")


def test_a_librarys_lines_are_not_the_students():
    report = probe(inside_a_library, CALLS)
    assert report.place.code == 'return json.loads("{")'


def test_a_function_that_cannot_be_called_so_has_no_line():
    report = probe(lambda: 1, CALLS)
    assert report.raised.startswith("TypeError") and report.place is None


class Unreadable(Exception):
    def __str__(self):
        raise RuntimeError


def unreadable(x):
    raise Unreadable


def leaves(x):
    sys.exit(1)


def interrupts(x):
    raise KeyboardInterrupt


def recurses(x):
    return recurses(x)


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (unreadable, "Unreadable: (its message"),
        (leaves, "SystemExit: 1"),
        (interrupts, "KeyboardInterrupt"),
        (recurses, "RecursionError"),
    ],
)
def test_nothing_that_is_raised_escapes(function, words):
    report = probe(function, CALLS)
    assert report.raised.startswith(words)
    assert report.place.function == function.__name__


def loops(x):
    while True:
        x = x + 1


def test_an_endless_loop_is_reported_with_its_line():
    report = probe(loops, CALLS, seconds=0.3)
    assert report.late and not report.raised
    assert report.place.function == "loops"


def talks(x):
    print("to stdout")
    print("to stderr", file=sys.stderr)
    warnings.warn("a warning", stacklevel=1)
    return x


@pytest.mark.filterwarnings("ignore:a warning")
def test_what_is_written_is_kept_and_shown_nowhere(capfd):
    report = probe(talks, CALLS[:1])
    assert "to stdout\nto stderr\n" in report.printed
    assert capfd.readouterr() == ("", "")


def test_only_the_beginning_of_what_is_written_is_kept():
    report = probe(lambda x: print("a" * 10_000), CALLS)
    assert len(report.printed) == runner.MOST_PRINTED
    assert probe(lambda x: print("\n" * 1000), CALLS).printed == "\n" * runner.MOST_LINES


def changes(x):
    x += 1
    return x


def test_a_changed_input_is_named_and_the_next_call_gets_its_own():
    calls = [{"x": torch.ones(2)}] * 2
    report = probe(changes, calls)
    assert report.changed == ("x",)
    assert report.answers[0] == report.answers[1]
    assert calls[0]["x"].tolist() == [1, 1]


def test_chance_is_the_same_every_time_and_the_notebooks_own_goes_on():
    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    first = probe(lambda x: torch.randn_like(x), CALLS)
    assert torch.equal(torch.rand(2), expected)
    assert probe(lambda x: torch.randn_like(x), CALLS) == first


@pytest.mark.filterwarnings("ignore:a warning")
@pytest.mark.parametrize("function", [talks, helper, loops, ellipsis])
def test_a_report_crosses_to_another_process_as_json(function):
    report = probe(function, CALLS, seconds=0.3)
    assert Report.from_plain(json.loads(json.dumps(report.to_plain()))) == report


def test_data_that_are_no_report_are_refused():
    with pytest.raises(TypeError):
        Report.from_plain({"answers": [], "marks": 100})
