import torch

from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.solvers import dpm_solver_pp
from edudiff.diffusion.steps import ddim_step
from edudiff.exercises import check
from edudiff.exercises.draws import draw_betas
from edudiff.exercises.forgetting import forgetful


def test_a_forgetful_step_is_ddims_and_the_first_of_the_packages_solver(generator):
    schedule = NoiseSchedule(draw_betas(generator))
    x, eps_hat = torch.randn(2, 3, 2, generator=generator, dtype=torch.float64)
    table = schedule.alphas_cumprod
    found = forgetful(x, eps_hat, table[30], table[12])
    here, there = torch.full((3,), 30), torch.full((3,), 12)
    torch.testing.assert_close(found, ddim_step(eps_hat, x, here, there, schedule, 0 * x))
    stops = torch.tensor([30, 12])
    first, _ = dpm_solver_pp(lambda xt, t: eps_hat, x, stops, schedule)
    torch.testing.assert_close(found, first)


def test_ddims_own_formula_is_a_right_answer_too():
    def ddim(x, eps_hat, here, there):
        x0_hat = (x - (1 - here).sqrt() * eps_hat) / here.sqrt()
        return there.sqrt() * x0_hat + (1 - there).sqrt() * eps_hat

    assert check("samplers.2", ddim).passed
