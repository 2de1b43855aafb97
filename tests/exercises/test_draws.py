import torch

from edudiff.diffusion.schedule import NoiseSchedule
from edudiff.exercises.draws import draw_betas, draw_table


def test_what_is_drawn_is_a_noise_schedule(generator):
    assert NoiseSchedule(draw_betas(generator, 12)).num_train_timesteps == 12


def test_a_table_falls_from_nearly_1_to_nearly_0(generator):
    table = draw_table(generator)
    assert bool((table.diff() < 0).all())
    assert table[0] > 0.85 and table[-1] < 0.2


def test_two_draws_differ(generator):
    assert not torch.equal(draw_betas(generator), draw_betas(generator))
