import pytest
import torch

from edudiff.diffusion.guidance import guide
from edudiff.diffusion.schedule import make_schedule
from edudiff.exercises import check
from edudiff.exercises.result import Status
from edudiff.exercises.wrong import GUIDANCE, TABLE, is_guidance, is_table


@pytest.mark.parametrize("exercise", [GUIDANCE, TABLE], ids=lambda exercise: exercise.name)
@pytest.mark.parametrize("seed", range(20))
def test_the_reference_accepts_right_programs_and_no_other(exercise, seed):
    for case in exercise.cases(seed):
        verdict = exercise.reference(*case.given.values())
        assert verdict is ("right" in case.about), case.about


def test_the_packages_guidance_and_schedules_are_accepted(generator):
    u, c = torch.randn(2, 3, 4, generator=generator)
    assert is_guidance(u, c, torch.stack([guide(u, c, scale) for scale in (0.0, 1.0, 2.0)]))
    for name in ("linear", "scaled_linear", "cosine"):
        schedule = make_schedule(name, 50)
        assert is_table(schedule.betas, schedule.alphas_cumprod)


def test_a_verdict_may_be_a_tensor():
    def by_hand(betas, table):
        return ((1 - betas).cumprod(dim=0) - table).abs().max() < 1e-6

    assert check("wrong.2", by_hand).passed


def test_a_program_that_is_missed_in_a_way_nobody_foresaw_is_named():
    def forgiving(u, c, answers):
        return is_guidance(u, c, answers) or torch.allclose(answers[2], 2 * u - c)

    result = check("wrong.1", forgiving)
    assert result.status is Status.NOT_YET
    assert "when the two answers are exchanged" in result.message
