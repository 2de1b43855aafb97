import torch

from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.diffusion.steps import ddpm_step
from edudiff.exercises import check
from edudiff.exercises.stepping import STEP_BACK, step_back


def test_the_reference_is_the_packages_ddpm_step():
    for case in STEP_BACK.cases(0):
        x0_hat, xt, t, betas, noise = case.given.values()
        here = torch.full((len(xt),), t)
        expected = ddpm_step(
            x0_hat, xt, here, here - 1, NoiseSchedule(betas), noise, prediction_type="sample"
        )
        torch.testing.assert_close(
            step_back(x0_hat, xt, t, betas, noise), expected, check_dtype=False
        )


def test_noise_in_the_last_step_is_told_also_to_one_whose_variance_is_beta():
    def ancestral(x0_hat, xt, t, betas, noise):
        return step_back(x0_hat, xt, t, betas, 0 * noise) + betas[t].sqrt() * noise

    assert "noise in the last step" in check("reverse-diffusion.3", ancestral).message
