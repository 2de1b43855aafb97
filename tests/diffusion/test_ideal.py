import pytest
import torch

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.ideal import ideal_x0
from edudiff.diffusion.samplers import sample
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule

BY_HAND = NoiseSchedule(torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64))
LINEAR = make_schedule("linear")
CORNERS = torch.tensor([[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], dtype=torch.float64)


def normal(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(5)
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def test_karras_eq57_by_hand():
    data = torch.tensor([[1.0], [-0.5], [2.0]], dtype=torch.float64)
    xt = torch.tensor([[0.3]], dtype=torch.float64)
    # At t = 1, ᾱ = 0.72: each datum weighs N(x_t; √0.72 x_i, 0.28).
    weight = (-(xt - 0.72**0.5 * data).square() / (2 * 0.28)).exp()
    expected = (weight * data).sum() / weight.sum()
    found = ideal_x0(xt, torch.tensor([1]), data, BY_HAND)
    assert found.item() == pytest.approx(expected.item(), abs=1e-12)


def test_a_data_set_of_one_is_always_the_answer():
    data = normal(1, 1, 4, 4)
    found = ideal_x0(normal(3, 1, 4, 4) * 9, torch.tensor([0, 500, 999]), data, LINEAR)
    torch.testing.assert_close(found, data.expand(3, 1, 4, 4))


def test_with_little_noise_the_answer_is_the_datum_that_was_noised():
    found = ideal_x0(
        add_noise(CORNERS, normal(4, 2), torch.zeros(4, dtype=torch.int64), LINEAR),
        torch.zeros(4, dtype=torch.int64),
        CORNERS,
        LINEAR,
    )
    torch.testing.assert_close(found, CORNERS, atol=1e-9, rtol=0)


def test_with_almost_nothing_but_noise_the_answer_is_the_mean_of_the_data():
    found = ideal_x0(normal(5, 2), torch.full((5,), 999), CORNERS, LINEAR)
    # A little is left of the data at the end: √ᾱ is 0.006.
    torch.testing.assert_close(found, torch.full_like(found, 0.5), atol=0.02, rtol=0)


def test_the_answer_is_the_best_there_is_in_squared_error(generator):
    chosen = CORNERS[torch.randint(4, (50_000,), generator=generator)]
    eps = torch.randn(50_000, 2, generator=generator, dtype=torch.float64)
    t = torch.full((50_000,), 150)
    found = ideal_x0(add_noise(chosen, eps, t, LINEAR), t, CORNERS, LINEAR)
    best = (found - chosen).square().mean()
    for other in (0.95 * found, 1.05 * found, found + 0.03, found.round()):
        assert best < (other - chosen).square().mean()


def test_a_repeated_datum_weighs_twice():
    once = torch.tensor([[0.0], [1.0], [1.0]], dtype=torch.float64)
    halfway = torch.tensor([[0.5 * 0.36**0.5]], dtype=torch.float64)
    found = ideal_x0(halfway, torch.tensor([2]), once, BY_HAND)
    assert found.item() == pytest.approx(2 / 3, abs=1e-12)


def test_a_member_of_the_batch_does_not_depend_on_the_others():
    xt, t = normal(3, 2), torch.tensor([3, 500, 999])
    together = ideal_x0(xt, t, CORNERS, LINEAR)
    alone = torch.cat([ideal_x0(xt[i : i + 1], t[i : i + 1], CORNERS, LINEAR) for i in range(3)])
    torch.testing.assert_close(alone, together, atol=1e-12, rtol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_dtype_follows_the_noisy_data(dtype):
    found = ideal_x0(normal(3, 2).to(dtype), torch.tensor([3, 500, 999]), CORNERS.to(dtype), LINEAR)
    assert found.dtype == dtype


def test_walking_with_the_ideal_denoiser_ends_on_the_data_and_on_each_alike(generator):
    data, schedule = 2 * CORNERS.float() - 1, make_schedule("linear", 200)
    *_, found = sample(
        lambda xt, t: ideal_x0(xt, t, data, schedule),
        (2000, 2),
        schedule,
        generator=generator,
        prediction_type="sample",
    )
    distance, which = torch.cdist(found, data).min(dim=1)
    assert distance.max() < 1e-3
    # Four standard errors of a share of a quarter, from 2,000 samples.
    shares = which.bincount(minlength=4) / 2000
    torch.testing.assert_close(shares, torch.full((4,), 0.25), atol=0.039, rtol=0)


def test_an_empty_data_set_is_refused(refusal):
    with refusal(r"data: expected shape \('n ≥ 1', 2\), got \(0, 2\)"):
        ideal_x0(normal(3, 2), torch.tensor([3, 500, 999]), CORNERS[:0], LINEAR)


def test_data_of_another_shape_are_refused(refusal):
    with refusal(r"data: expected shape \('n ≥ 1', 2\), got \(4, 3\)"):
        ideal_x0(normal(3, 2), torch.tensor([3, 500, 999]), normal(4, 3), LINEAR)


@pytest.mark.parametrize("outside", [-1, 1000])
def test_timesteps_outside_the_table_are_refused(outside, refusal):
    with refusal(r"t: expected timesteps in \[0, 999\]"):
        ideal_x0(normal(1, 2), torch.tensor([outside]), CORNERS, LINEAR)
