import pytest
import torch

from edudiff.exercises import EXERCISES, variants
from edudiff.exercises.exercise import Case, Exercise
from edudiff.exercises.plain import decode
from edudiff.grading import hidden

SEED = 2**64 + 5


@pytest.fixture(params=EXERCISES.values(), ids=EXERCISES)
def exercise(request):
    return request.param


def test_no_drawn_hidden_input_is_a_visible_one(exercise):
    visible = [exercise.cases(seed) for seed in hidden.VISIBLE]
    assert hidden.overlap(hidden.hidden_cases(exercise, SEED), visible) == []


def test_every_exercise_has_a_hidden_input_that_nobody_has_seen(exercise):
    seen = [case for seed in hidden.VISIBLE for case in exercise.cases(seed)]
    new = hidden.hidden_cases(exercise, SEED)
    assert any(not any(hidden.equal(case, old) for old in seen) for case in new)


def test_a_variant_has_a_hidden_input_that_nobody_has_seen_there_or_in_the_book(exercise):
    own = variants.make(exercise, 2027)
    versions = [version.cases(seed) for version in (own, exercise) for seed in hidden.VISIBLE]
    seen = [case for cases in versions for case in cases]
    new = hidden.hidden_cases(own, SEED)
    assert any(not any(hidden.equal(case, old) for old in seen) for case in new)
    assert hidden.overlap(new, versions) == []


def test_a_seed_whose_inputs_are_visible_in_the_book_is_passed_over_in_a_variant(monkeypatch):
    exercise = EXERCISES["rendering.1"]
    own = variants.make(exercise, 2027)
    book = exercise.cases(3)
    real = Exercise.cases
    monkeypatch.setattr(
        Exercise, "cases", lambda self, seed: book if seed == SEED else real(self, seed)
    )
    found = hidden.hidden_cases(own, SEED)
    assert not any(hidden.equal(*pair) for pair in zip(found[:2], book[:2], strict=True))


def test_hidden_inputs_arrive_as_they_were(exercise):
    cases = hidden.hidden_cases(exercise, SEED)
    for case, sent in zip(cases, hidden.to_plain(cases), strict=True):
        arrived = Case("", {name: decode(value) for name, value in sent.items()})
        assert hidden.equal(case, arrived)


class Repeating(Exercise):
    """An exercise that has visible inputs again under the seed `SEED`."""

    def cases(self, seed: int) -> list[Case]:
        return super().cases(3 if seed == SEED else seed)


@pytest.fixture
def doubling() -> Exercise:
    def draw(generator):
        random = {"x": torch.randn(3, generator=generator)}
        return [Case("x is random", random), Case("x = 0", {"x": torch.zeros(3)})]

    return Repeating("toy.1", "Twice as much", draw, lambda x: 2 * x, ())


def test_a_seed_whose_inputs_are_visible_is_passed_over(doubling):
    found, expected = hidden.hidden_cases(doubling, SEED), doubling.cases(SEED + 1)
    assert hidden.equal(found[0], expected[0])
    assert not hidden.equal(found[0], doubling.cases(SEED)[0])


def test_an_exercise_whose_inputs_are_all_known_is_refused(doubling, refusal, monkeypatch):
    monkeypatch.setattr(hidden, "TRIES", 1)
    with refusal("toy.1: expected inputs that nobody has seen"):
        hidden.hidden_cases(doubling, SEED)


def test_inputs_that_recur_are_not_all_that_is_asked():
    """Some of 15 numbers come again and again in 20 seeds, and some do not come."""
    drawn = Exercise(
        "toy.2",
        "Twice as much",
        lambda generator: [Case("", {"x": int(torch.randint(15, (), generator=generator))})],
        lambda x: 2 * x,
        (),
    )
    visible = {case.given["x"] for seed in hidden.VISIBLE for case in drawn.cases(seed)}
    assert len(visible) < 15
    for seed in range(SEED, SEED + 20):
        (case,) = hidden.hidden_cases(drawn, seed)
        assert case.given["x"] not in visible


def test_inputs_that_recur_do_not_count_as_seen(doubling):
    zeros = doubling.cases(3)[1:]
    assert hidden.overlap(zeros, [doubling.cases(n) for n in range(5)]) == []


def test_seeds_differ_and_lie_beyond_those_that_can_be_tried():
    assert hidden.draw_seed() != hidden.draw_seed() > max(hidden.VISIBLE)
