import torch

from edudiff.diffusion import forward, guidance, prediction
from edudiff.diffusion.schedule import make_schedule
from edudiff.exercises.latent_diffusion import begin, guided_noise, steer


def test_guiding_the_velocity_guides_the_noise(generator):
    schedule, t = make_schedule(), torch.tensor([100, 900])
    x0, eps, u, c = torch.randn(4, 2, 4, 2, 2, generator=generator)
    xt = forward.add_noise(x0, eps, t, schedule)
    noises = []
    for v in (u, c):
        x0_hat = prediction.x0_from_velocity(v, xt, t, schedule)
        noises.append(prediction.eps_from_x0(x0_hat, xt, t, schedule))
    found = guided_noise(xt, u, c, schedule.alphas_cumprod[t].float(), 3.0)
    torch.testing.assert_close(found, guidance.guide(*noises, 3.0), rtol=1e-3, atol=1e-3)


def test_nothing_unwanted_leaves_guidance(generator):
    u, c, n = torch.randn(3, 2, 4, generator=generator)
    torch.testing.assert_close(steer(u, c, n, 4.0, 0.0), guidance.guide(u, c, 4.0))
    torch.testing.assert_close(steer(u, c, u, 4.0, 2.0), guidance.guide(u, c, 4.0))


def test_a_picture_begins_as_the_packages_forward_process_has_it(generator):
    schedule, t = make_schedule(), torch.tensor([0, 500, 999])
    mean, eps = torch.randn(2, 3, 4, 2, 2, generator=generator)
    found = begin(mean, eps, t, schedule.alphas_cumprod.float(), 0.18215)
    torch.testing.assert_close(found, forward.add_noise(0.18215 * mean, eps, t, schedule))
