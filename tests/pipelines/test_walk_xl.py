import pytest
import torch

from edudiff.diffusion.spacing import spaced_timesteps
from edudiff.pipelines.walk_xl import check_latents, part_of_walk


@pytest.mark.parametrize("share", [0.05, 0.3, 0.62, 0.8, 0.9])
@pytest.mark.parametrize("steps", [10, 20, 50])
def test_two_models_take_every_step_of_the_walk_once(share, steps):
    timesteps = spaced_timesteps(1000, steps, "trailing")
    first = part_of_walk(timesteps, 1000, None, share)
    second = part_of_walk(timesteps, 1000, share, None)
    assert (first[0], first[1], second[1]) == (0, second[0], steps)
    assert (timesteps[: first[1]] >= round(1000 * (1 - share))).all()


def test_without_shares_it_is_the_whole_walk():
    assert part_of_walk(torch.tensor([9, 5, 1]), 10, None, None) == (0, 3)


@pytest.mark.parametrize("share", [0.0, 1.0, -0.1, 1.5])
def test_shares_outside_0_to_1_are_refused(share):
    with pytest.raises(ValueError, match="denoising_start: expected a share between 0 and 1"):
        part_of_walk(torch.tensor([9, 5, 1]), 10, share, None)


def test_a_part_without_a_step_is_refused():
    with pytest.raises(ValueError, match="expected a step between denoising_start=0.5"):
        part_of_walk(torch.tensor([9, 5, 1]), 10, 0.5, 0.45)


def test_latents_of_another_shape_are_refused():
    check_latents(torch.zeros(2, 4, 8, 12), 2, 4, 8, (64, None))
    with pytest.raises(ValueError, match=r"latents: expected shape \(3, 4, h, w\)"):
        check_latents(torch.zeros(2, 4, 8, 12), 3, 4, 8, (None, None))
    with pytest.raises(ValueError, match="width: expected 96, as the latents have, got 64"):
        check_latents(torch.zeros(2, 4, 8, 12), 2, 4, 8, (None, 64))
