import torch

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.exercises import check
from edudiff.exercises.noising import NOISY, noisy


def test_the_reference_is_the_packages_jump_from_pictures_in_minus_1_to_1():
    for case in NOISY.cases(0):
        pixels, eps, t, betas = case.given.values()
        x0 = pixels.double() / 255 * 2 - 1
        expected = add_noise(x0, eps.double(), t, NoiseSchedule(betas))
        torch.testing.assert_close(noisy(pixels, eps, t, betas), expected, check_dtype=False)


def test_the_signal_is_told_first_if_signal_and_noise_are_wrong():
    def both(pixels, eps, t, betas):
        return (1 - betas).prod().sqrt() * (pixels / 127.5 - 1) + betas[t].view(-1, 1, 1, 1) * eps

    assert "the last timestep T − 1" in check("forward-diffusion.1", both).message


def test_bytes_that_overflow_are_not_right():
    def overflows(pixels, eps, t, betas):
        return noisy(2 * pixels - 255, eps, t, betas)

    assert not check("forward-diffusion.1", overflows).passed
