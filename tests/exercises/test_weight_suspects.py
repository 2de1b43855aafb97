import pytest
import torch

from edudiff.exercises.weight_suspects import RIGHT, WEIGHED, is_attention


@pytest.mark.parametrize("seed", range(20))
def test_the_reference_accepts_the_right_program_and_no_other(seed):
    for case in WEIGHED.cases(seed):
        assert is_attention(**case.given) is (case.about == RIGHT), case.about


def test_one_word_has_all_the_weight(generator):
    scores = torch.randn(2, 3, 1, generator=generator)
    assert is_attention(scores, torch.ones(2, 3, 1))
    assert not is_attention(scores, scores.softmax(dim=1))
