import math

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler
from torch.distributions import Normal, kl_divergence

from edudiff.diffusion.forward import add_noise, forward_step, posterior_mean_variance
from edudiff.diffusion.prediction import x0_from_eps
from edudiff.diffusion.schedule import NoiseSchedule, make_schedule

BY_HAND = NoiseSchedule(torch.tensor([0.1, 0.2, 0.5], dtype=torch.float64))
LINEAR = make_schedule("linear")
ENDS_AND_MIDDLE = torch.tensor([0, 1, 500, 999])
FUNCTIONS = [forward_step, add_noise, posterior_mean_variance]


def noise_like_pictures(seed: int, batch: int = 4) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 2, 3, 3, generator=generator, dtype=torch.float64)


def first(result: torch.Tensor | tuple[torch.Tensor, ...]) -> torch.Tensor:
    return result[0] if isinstance(result, tuple) else result


def test_eq2_one_step():
    x_prev, eps = torch.tensor([[2.0]]).double(), torch.tensor([[-3.0]]).double()
    xt = forward_step(x_prev, eps, torch.tensor([1]), BY_HAND)
    assert xt.item() == pytest.approx(math.sqrt(0.8) * 2 - math.sqrt(0.2) * 3, abs=1e-12)


def test_the_first_step_starts_from_the_clean_data():
    x0, eps = noise_like_pictures(1), noise_like_pictures(2)
    t = torch.zeros(4, dtype=torch.int64)
    torch.testing.assert_close(forward_step(x0, eps, t, LINEAR), add_noise(x0, eps, t, LINEAR))


@pytest.mark.parametrize("t", [0, 1, 500, 999])
def test_one_step_keeps_unit_variance(t):
    one, t = torch.ones(1, 1, dtype=torch.float64), torch.tensor([t])
    kept = forward_step(one, 0 * one, t, LINEAR).square()
    added = forward_step(0 * one, one, t, LINEAR).square()
    assert (kept + added).item() == pytest.approx(1, abs=1e-12)


def test_many_steps_without_noise_shrink_the_data_as_the_closed_form_does():
    xt = x0 = noise_like_pictures(1)
    for t in range(1000):
        xt = forward_step(xt, torch.zeros_like(xt), torch.full((4,), t), LINEAR)
    jump = add_noise(x0, torch.zeros_like(x0), torch.full((4,), 999), LINEAR)
    torch.testing.assert_close(xt, jump, atol=0, rtol=1e-9)


def test_many_steps_add_as_much_noise_as_the_closed_form(generator):
    xt = torch.full((200_000,), 0.7, dtype=torch.float64)
    for t in range(3):
        eps = torch.randn(200_000, generator=generator, dtype=torch.float64)
        xt = forward_step(xt, eps, torch.full((200_000,), t), BY_HAND)
    # Four standard errors: 4 √(0.64 / 2e5) for the mean, 4 · 0.64 √(2 / 2e5) for the variance.
    assert xt.mean().item() == pytest.approx(0.6 * 0.7, abs=0.0072)
    assert xt.var().item() == pytest.approx(0.64, abs=0.0081)


def test_eq4_closed_form():
    x0, eps = torch.tensor([[2.0]]).double(), torch.tensor([[-3.0]]).double()
    xt = add_noise(x0, eps, torch.tensor([1]), BY_HAND)
    assert xt.item() == pytest.approx(math.sqrt(0.72) * 2 - math.sqrt(0.28) * 3, abs=1e-12)


def test_the_noises_of_a_walk_make_up_the_noise_of_the_jump():
    betas, x0 = LINEAR.betas[400:420], noise_like_pictures(1, batch=1)
    schedule, walked = NoiseSchedule(betas), x0
    last, combined = schedule.alphas_cumprod[-1], torch.zeros_like(x0)
    for t, alpha_bar in enumerate(schedule.alphas_cumprod):
        eps = noise_like_pictures(10 + t, batch=1)
        walked = forward_step(walked, eps, torch.tensor([t]), schedule)
        combined += (betas[t] * last / alpha_bar).sqrt() * eps
    combined /= (1 - last).sqrt()
    torch.testing.assert_close(add_noise(x0, combined, torch.tensor([19]), schedule), walked)


def test_add_noise_without_noise_only_shrinks_the_data():
    x0 = noise_like_pictures(1)
    expected = LINEAR.alphas_cumprod[ENDS_AND_MIDDLE].sqrt().reshape(4, 1, 1, 1) * x0
    found = add_noise(x0, torch.zeros_like(x0), ENDS_AND_MIDDLE, LINEAR)
    torch.testing.assert_close(found, expected, atol=0, rtol=1e-12)


def test_add_noise_without_data_only_scales_the_noise():
    eps = noise_like_pictures(1)
    expected = (1 - LINEAR.alphas_cumprod[ENDS_AND_MIDDLE]).sqrt().reshape(4, 1, 1, 1) * eps
    found = add_noise(torch.zeros_like(eps), eps, ENDS_AND_MIDDLE, LINEAR)
    torch.testing.assert_close(found, expected, atol=0, rtol=1e-12)


@pytest.mark.parametrize("name", ["linear", "scaled_linear", "cosine"])
def test_add_noise_preserves_variance_at_every_timestep(name):
    one, t = torch.ones(1000, 1, dtype=torch.float64), torch.arange(1000)
    schedule = make_schedule(name)
    signal, noise = add_noise(one, 0 * one, t, schedule), add_noise(0 * one, one, t, schedule)
    torch.testing.assert_close(signal.square() + noise.square(), one, atol=1e-12, rtol=0)


def test_add_noise_has_the_moments_of_eq4(generator):
    t = torch.full((200_000,), 300)
    eps = torch.randn(200_000, generator=generator, dtype=torch.float64)
    xt = add_noise(torch.full_like(eps, 0.7), eps, t, LINEAR)
    alpha_bar_t = LINEAR.alphas_cumprod[300].item()
    # Four standard errors of a mean and of a variance of 2e5 normal numbers.
    assert xt.mean().item() == pytest.approx(math.sqrt(alpha_bar_t) * 0.7, abs=0.009)
    assert xt.var().item() == pytest.approx(1 - alpha_bar_t, abs=0.0127)


def test_add_noise_is_that_of_diffusers():
    theirs = DDPMScheduler()
    theirs.alphas_cumprod = LINEAR.alphas_cumprod
    x0, eps = noise_like_pictures(1), noise_like_pictures(2)
    expected = theirs.add_noise(x0, eps, ENDS_AND_MIDDLE)
    found = add_noise(x0, eps, ENDS_AND_MIDDLE, LINEAR)
    torch.testing.assert_close(found, expected, atol=1e-12, rtol=0)


def test_add_noise_is_that_of_diffusers_with_its_own_table():
    x0, eps = noise_like_pictures(1), noise_like_pictures(2)
    expected = DDPMScheduler().add_noise(x0, eps, ENDS_AND_MIDDLE)
    found = add_noise(x0, eps, ENDS_AND_MIDDLE, LINEAR)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize(("t", "t_prev"), [(1, 0), (17, 16), (999, 998), (999, 500), (100, 50)])
def test_eq6_eq7_posterior_is_bayes(t, t_prev):
    x0, xt = noise_like_pictures(1, batch=1), noise_like_pictures(2, batch=1)
    alpha_bar_prev = LINEAR.alphas_cumprod[t_prev]
    alpha = LINEAR.alphas[t_prev + 1 : t + 1].prod()
    # q(x_prev | x_0) is N(√ᾱ_prev x_0, 1 − ᾱ_prev) and q(x_t | x_prev) is N(√α x_prev, 1 − α):
    # precisions add, and means are weighted by them.
    precision = 1 / (1 - alpha_bar_prev) + alpha / (1 - alpha)
    pulled = alpha_bar_prev.sqrt() * x0 / (1 - alpha_bar_prev) + alpha.sqrt() * xt / (1 - alpha)
    mean, variance = posterior_mean_variance(
        x0, xt, torch.tensor([t]), LINEAR, torch.tensor([t_prev])
    )
    torch.testing.assert_close(mean, pulled / precision, atol=1e-9, rtol=0)
    torch.testing.assert_close(variance.squeeze(), 1 / precision, atol=0, rtol=1e-9)


def test_eq6_eq7_by_hand():
    x0, xt = torch.tensor([[2.0]]).double(), torch.tensor([[-3.0]]).double()
    mean, variance = posterior_mean_variance(x0, xt, torch.tensor([1]), BY_HAND)
    expected = math.sqrt(0.9) * 0.2 / 0.28 * 2 + math.sqrt(0.8) * 0.1 / 0.28 * -3
    assert mean.item() == pytest.approx(expected, abs=1e-12)
    assert variance.item() == pytest.approx(0.1 / 0.28 * 0.2, abs=1e-12)


def test_one_step_back_from_two_hills_is_bayes_rule():
    # The data are −1 or 1. On a fine grid: the law one step earlier, times the step; against the
    # posteriors of both ends, weighted by how likely each end is.
    grid = torch.linspace(-4, 4, 4001, dtype=torch.float64)
    ends, xt, t = torch.tensor([[-1.0], [1.0]]).double(), torch.tensor([[0.3]] * 2).double(), 1
    earlier = Normal(math.sqrt(0.9) * ends, math.sqrt(0.1)).log_prob(grid).exp().mean(dim=0)
    product = Normal(math.sqrt(0.8) * grid, math.sqrt(0.2)).log_prob(xt[0]).exp() * earlier
    mean, variance = posterior_mean_variance(ends, xt, torch.tensor([t, t]), BY_HAND)
    weights = Normal(math.sqrt(0.72) * ends, math.sqrt(0.28)).log_prob(xt).softmax(dim=0)
    expected = (weights * Normal(mean, variance.sqrt()).log_prob(grid).exp()).sum(dim=0)
    torch.testing.assert_close(product / product.sum() / (grid[1] - grid[0]), expected)


@pytest.mark.parametrize("variance", [0.15, 0.3, 0.6])
def test_the_bound_is_never_below_and_is_reached_by_the_exact_step_back(variance):
    # Standard normal data and four steps with β = 0.3: the exact step back is N(√α x_t, β).
    schedule = NoiseSchedule(torch.full((4,), 0.3, dtype=torch.float64))
    points, weights = map(torch.tensor, np.polynomial.hermite_e.hermegauss(40))
    x0, eps = torch.tensor([[0.0], [0.4], [-2.0]]).double().expand(3, 40), points.expand(3, 40)
    last = schedule.alphas_cumprod[-1]
    bound = kl_divergence(Normal(last.sqrt() * x0, (1 - last).sqrt()), Normal(0.0, 1.0))
    for step in (3, 2, 1, 0):
        t = torch.full((3,), step)
        xt = add_noise(x0, eps, t, schedule)
        model = Normal(math.sqrt(0.7) * xt, math.sqrt(variance))
        mean, spread = posterior_mean_variance(x0, xt, t, schedule)
        known = Normal(mean, spread.sqrt().clamp(min=1e-9))
        bound = bound + (kl_divergence(known, model) if step else -model.log_prob(x0))
    found = (bound * weights).sum(dim=1) / weights.sum()
    end = 0.7**4 + variance * sum(0.7**k for k in range(4))  # the variance of what it makes
    truth = -Normal(0.0, math.sqrt(end)).log_prob(x0[:, 0])
    if variance == 0.3:
        torch.testing.assert_close(found, truth)
    else:
        assert (found > truth + 0.05).all()


def test_a_term_of_the_bound_is_a_weighted_error_of_the_noise():
    t = torch.tensor([1, 2, 500, 999])
    x0, eps, eps_hat = (noise_like_pictures(seed) for seed in (1, 2, 3))
    xt = add_noise(x0, eps, t, LINEAR)
    mean, variance = posterior_mean_variance(x0, xt, t, LINEAR)
    mean_hat, _ = posterior_mean_variance(x0_from_eps(eps_hat, xt, t, LINEAR), xt, t, LINEAR)
    sigma = variance.sqrt()
    divergence = kl_divergence(Normal(mean, sigma), Normal(mean_hat, sigma)).sum(dim=(1, 2, 3))
    remaining = LINEAR.alphas[t] * (1 - LINEAR.alphas_cumprod[t])
    weight = LINEAR.betas[t] ** 2 / (2 * variance.flatten() * remaining)
    error = (eps - eps_hat).square().sum(dim=(1, 2, 3))
    torch.testing.assert_close(weight * error, divergence)


def test_the_posterior_goes_one_step_back_unless_told_otherwise():
    x0, xt, t = noise_like_pictures(1), noise_like_pictures(2), torch.tensor([1, 2, 500, 999])
    short, long = (
        posterior_mean_variance(x0, xt, t, LINEAR),
        posterior_mean_variance(x0, xt, t, LINEAR, t - 1),
    )
    assert torch.equal(short[0], long[0])
    assert torch.equal(short[1], long[1])


@pytest.mark.parametrize("t", [0, 40, 999])
def test_the_posterior_of_the_clean_data_is_the_clean_data(t):
    x0, xt, t = noise_like_pictures(1, 1), noise_like_pictures(2, 1), torch.tensor([t])
    mean, variance = posterior_mean_variance(x0, xt, t, LINEAR, torch.tensor([-1]))
    torch.testing.assert_close(mean, x0, atol=1e-12, rtol=0)
    assert variance.item() == 0


def test_a_posterior_step_keeps_the_law_of_x_prev():
    t, t_prev = torch.arange(1, 1000), torch.arange(1, 1000) // 3
    zero = torch.zeros(999, 1, dtype=torch.float64)
    alpha_bar_prev = LINEAR.alpha_bar(t_prev, zero)
    from_xt, variance = posterior_mean_variance(zero, zero + 1, t, LINEAR, t_prev)
    spread = from_xt.square() * (1 - LINEAR.alpha_bar(t, zero)) + variance
    torch.testing.assert_close(spread, 1 - alpha_bar_prev, atol=1e-12, rtol=0)


def test_the_posterior_variance_is_float64_and_broadcasts_over_the_batch():
    x0 = noise_like_pictures(1).float()
    _, variance = posterior_mean_variance(x0, x0, ENDS_AND_MIDDLE, LINEAR)
    assert (variance.shape, variance.dtype) == ((4, 1, 1, 1), torch.float64)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_the_dtype_follows_the_data(function, dtype):
    x, eps = noise_like_pictures(1).to(dtype), noise_like_pictures(2).to(dtype)
    assert first(function(x, eps, ENDS_AND_MIDDLE, LINEAR)).dtype == dtype


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_device_follows_the_data(function, device):
    x = noise_like_pictures(1).float().to(device)
    t = ENDS_AND_MIDDLE.to(device)
    assert first(function(x, x, t, LINEAR)).device.type == device.type


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_member_of_the_batch_does_not_depend_on_the_others(function):
    x, eps = noise_like_pictures(1), noise_like_pictures(2)
    together = first(function(x, eps, ENDS_AND_MIDDLE, LINEAR))
    for row in range(4):
        one = slice(row, row + 1)
        alone = first(function(x[one], eps[one], ENDS_AND_MIDDLE[one], LINEAR))
        assert torch.equal(alone, together[one])


@pytest.mark.parametrize("function", FUNCTIONS)
def test_the_arguments_are_left_as_they_were(function):
    x, eps, t = noise_like_pictures(1), noise_like_pictures(2), ENDS_AND_MIDDLE.clone()
    function(x, eps, t, LINEAR)
    assert torch.equal(x, noise_like_pictures(1))
    assert torch.equal(eps, noise_like_pictures(2))
    assert torch.equal(t, ENDS_AND_MIDDLE)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_noise_picture_for_a_whole_batch_is_refused(function, refusal):
    with refusal("expected the shape of"):
        function(noise_like_pictures(1), noise_like_pictures(2, 1), ENDS_AND_MIDDLE, LINEAR)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_timestep_for_a_whole_batch_is_refused(function, refusal):
    with refusal("expected one timestep each"):
        function(noise_like_pictures(1), noise_like_pictures(2), torch.tensor([5]), LINEAR)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("place", [0, 1])
def test_pictures_still_stored_as_bytes_are_refused(function, place, refusal):
    arguments = [noise_like_pictures(1), noise_like_pictures(2)]
    arguments[place] = arguments[place].to(torch.uint8)
    with refusal("expected a floating-point tensor, got torch.uint8"):
        function(*arguments, ENDS_AND_MIDDLE, LINEAR)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("outside", [-1, 1000])
def test_timesteps_outside_the_table_are_refused(function, outside, refusal):
    x, eps = noise_like_pictures(1, 1), noise_like_pictures(2, 1)
    with refusal(r"t: expected timesteps in \[0, 999\]"):
        function(x, eps, torch.tensor([outside]), LINEAR)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_timesteps_that_are_not_int64_are_refused(function, refusal):
    x, eps = noise_like_pictures(1, 1), noise_like_pictures(2, 1)
    with refusal("t: expected int64 timesteps"):
        function(x, eps, torch.tensor([5.0]), LINEAR)


@pytest.mark.parametrize("t_prev", [5, 6])
def test_the_posterior_refuses_to_go_forward_or_stand_still(t_prev, refusal):
    x, eps = noise_like_pictures(1, 1), noise_like_pictures(2, 1)
    with refusal(r"t_prev: expected timesteps below t, \[5\], got"):
        posterior_mean_variance(x, eps, torch.tensor([5]), LINEAR, torch.tensor([t_prev]))


def test_the_posterior_refuses_to_go_beyond_the_clean_data(refusal):
    x, eps = noise_like_pictures(1, 1), noise_like_pictures(2, 1)
    with refusal(r"expected timesteps in \[-1, 999\]"):
        posterior_mean_variance(x, eps, torch.tensor([5]), LINEAR, torch.tensor([-2]))


def test_the_posterior_refuses_one_t_prev_for_a_whole_batch(refusal):
    x, eps, t = noise_like_pictures(1), noise_like_pictures(2), torch.tensor([5, 6, 7, 8])
    with refusal("expected one timestep each"):
        posterior_mean_variance(x, eps, t, LINEAR, torch.tensor([3]))
