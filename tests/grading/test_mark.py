import pytest

from edudiff.exercises.runner import Report
from edudiff.grading.attempt import Attempt
from edudiff.grading.mark import best, mark, mark_all

NAME = "forward-diffusion.2"
BROKEN = Report(answers=({"kind": "tensor"},) * 3)


@pytest.mark.parametrize(
    ("attempt", "status", "words"),
    [
        (Attempt(), "not_attempted", 'No check("forward-diffusion.2", …) was reached'),
        (Attempt(unreadable="why"), "error", "The file could not be read. why"),
        (Attempt(stopped={NAME: "why"}), "error", "could not be run to its end. why"),
        (Attempt(no_function={NAME: "int"}), "not_yet", "Pass the function itself, sigma without"),
        (Attempt(reports={NAME: BROKEN}), "error", "damaged data"),
        (Attempt(reports={NAME: Report(empty=True)}), "not_attempted", "Write sigma"),
    ],
)
def test_whatever_happened_gets_a_mark(sigma, attempt, status, words):
    found = mark(sigma[NAME], sigma[NAME].cases(5), attempt)
    assert (found.status, found.points) == (status, 0)
    assert words in found.message and NAME in found.text


def test_of_several_notebooks_the_best_counts(sigma):
    cases = {NAME: sigma[NAME].cases(5)}
    attempts = Attempt(), Attempt(no_function={NAME: "int"}), Attempt(stopped={NAME: "why"})
    marks = [mark_all(sigma, cases, each) for each in attempts]
    assert [each.status for each in best(marks)] == ["not_yet"]
