import math

import pytest
import torch

from edudiff.diffusion import rosetta
from edudiff.diffusion.notations import denoiser, network_target, precondition

SIGMAS = torch.tensor([0.01, 0.3, 1.0, 2.0, 50.0], dtype=torch.float64)[:, None]


def normal(seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, 4, generator=generator, dtype=torch.float64)


def test_the_numbers_by_hand():
    found = precondition(torch.tensor(4.0), sigma_data=3.0)
    assert [each.item() for each in found] == pytest.approx(
        [9 / 25, 12 / 5, 1 / 5, math.log(4) / 4]
    )


def test_table1_the_network_sees_data_of_unit_variance():
    generator = torch.Generator().manual_seed(0)
    x0, eps = (
        0.5 * torch.randn(2, 100_000, generator=generator)[0],
        torch.randn(100_000, generator=generator),
    )
    for sigma in (0.1, 1.0, 10.0):
        c_in = precondition(torch.tensor(sigma), 0.5).c_in
        assert (c_in * (x0 + sigma * eps)).var().item() == pytest.approx(1, abs=0.02)


def test_eq8_the_target_has_unit_variance():
    generator = torch.Generator().manual_seed(1)
    x0, eps = torch.randn(2, 100_000, generator=generator)
    x0 = 0.5 * x0
    for sigma in (0.1, 1.0, 10.0):
        target = network_target(x0, x0 + sigma * eps, torch.tensor(sigma), 0.5)
        assert target.var().item() == pytest.approx(1, abs=0.02)


@pytest.mark.parametrize("sigma_data", [0.5, 1.0, 2.0])
def test_eq7_the_denoiser_reads_the_target_as_the_clean_data(sigma_data):
    x0, x = normal(1), normal(1) + SIGMAS * normal(2)
    target = network_target(x0, x, SIGMAS, sigma_data)
    torch.testing.assert_close(denoiser(target, x, SIGMAS, sigma_data), x0)


def test_for_data_of_unit_variance_the_network_answers_minus_v():
    x0, eps = normal(1), normal(2)
    v = rosetta.write(x0, eps, torch.ones_like(SIGMAS), SIGMAS, "v_prediction")
    torch.testing.assert_close(network_target(x0, x0 + SIGMAS * eps, SIGMAS), -v)


def test_without_noise_everything_goes_past_the_network():
    x, wrong = normal(1), normal(2)
    torch.testing.assert_close(denoiser(wrong, x, torch.zeros(1).double()), x)


def test_diffusers_scales_its_inputs_alike():
    from diffusers import EDMEulerScheduler

    theirs = EDMEulerScheduler(sigma_data=0.5)
    x, answer = normal(1)[0], normal(2)[0]
    for sigma in SIGMAS.flatten():
        ours = precondition(sigma, 0.5)
        torch.testing.assert_close(theirs.precondition_inputs(x, sigma), ours.c_in * x)
        torch.testing.assert_close(theirs.precondition_noise(sigma), ours.c_noise)
        found = theirs.precondition_outputs(x, answer, sigma)
        torch.testing.assert_close(found, denoiser(answer, x, sigma, 0.5))


def test_a_negative_sigma_is_refused(refusal):
    with refusal(r"sigma: expected values in \[0, inf\]"):
        precondition(torch.tensor(-1.0))


def test_data_without_spread_are_refused(refusal):
    with refusal("sigma_data: expected a number above 0"):
        precondition(torch.tensor(1.0), 0.0)


def test_shapes_that_would_broadcast_are_refused(refusal):
    with refusal("answer: expected the shape of x"):
        denoiser(normal(1)[:1], normal(2), SIGMAS)
    with refusal("x: expected the shape of x0"):
        network_target(normal(1)[:1], normal(2), SIGMAS)


def test_there_is_nothing_to_learn_without_noise(refusal):
    with refusal("sigma: expected noise above 0"):
        network_target(normal(1), normal(1), torch.zeros(1).double())
