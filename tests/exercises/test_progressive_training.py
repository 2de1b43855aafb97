import torch

from edudiff.diffusion.multiscale_loss import joint_loss, keep_mixed, mixed_fractions
from edudiff.diffusion.schedule import NoiseSchedule, cosine_betas
from edudiff.exercises.progressive_training import largest_batch, mixed_loss, plan


def test_a_plan_never_costs_more_than_the_budget_and_leaves_less_than_a_step_of_each():
    small, large = plan(1000.0, 0.4, 3.1, 7.3)
    cost = 3.1 * small + 7.3 * large
    assert 1000 - 3.1 - 7.3 < cost <= 1000


def test_the_mean_of_a_mixed_batch_is_that_of_the_packages_joint_loss(generator):
    schedule = NoiseSchedule(cosine_betas())
    fractions = mixed_fractions((1, 3))
    shapes = ((8, 1, 4, 4), (8, 1, 2, 2))
    eps, xts, v_hats = (
        keep_mixed([torch.randn(shape, generator=generator) for shape in shapes], fractions)
        for _ in range(3)
    )
    t = torch.randint(1000, (8,), generator=generator)
    options = {"schedules": [schedule] * 2, "fractions": fractions}
    found = joint_loss(v_hats, xts, eps, t, **options).mean()
    high, low = (
        joint_loss([v], [x], [e], t[: len(x)], [schedule])
        for v, x, e in zip(v_hats, xts, eps, strict=True)
    )
    torch.testing.assert_close(mixed_loss(high, low), found)


def test_the_largest_batch_fits_and_one_more_does_not():
    count = largest_batch(40.0, 12.4, 1.53, True)
    assert 12.4 + 2 * 1.53 * count <= 40 < 12.4 + 2 * 1.53 * (count + 1)
    assert largest_batch(10.0, 12.4, 1.53, True) == 0
