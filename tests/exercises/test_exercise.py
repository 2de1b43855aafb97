import torch

from edudiff.exercises.exercise import answers_of
from edudiff.exercises.plain import decode


def test_a_seed_always_draws_the_same_inputs_and_another_seed_others(doubling):
    first, again, other = (doubling.cases(seed)[0].given["x"] for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_the_starter_shows_how_the_function_is_called(doubling):
    assert doubling.signature == "double(x)"
    compile(doubling.starter, "starter", "exec")
    assert "def double(x):\n    ...\n" in doubling.starter
    assert doubling.starter.endswith('check("toy.1", double)')


def test_our_own_answers_are_plain_data_too(doubling):
    answers = answers_of(doubling.reference, doubling.cases(0))
    assert decode(answers[1]).tolist() == [0, 0, 0]
