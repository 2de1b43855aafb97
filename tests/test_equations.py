"""Equations of the book that no module computes: held by the chapters' own code, or by exact sums.

The table of all equations and their tests is `book/equations.yml`.
"""

import ast
import itertools
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn
from torch.distributions import Normal, kl_divergence

from myst import pages

BOOK = Path(__file__).resolve().parents[1] / "book"


def on_the_page(chapter: str, *names: str, **given: Any) -> list[Callable[..., Any]]:
    """Functions as a chapter's cells define them, without running the rest of the chapter."""
    page = pages.read(BOOK / f"{chapter}.md", BOOK.parent)
    trees = [ast.parse(cell.source) for cell in page.cells if cell.kind == "code"]
    wanted = [
        node
        for tree in trees
        for node in tree.body
        if isinstance(node, ast.FunctionDef) and node.name in names
    ]
    assert {node.name for node in wanted} == set(names)
    space: dict[str, Any] = {"np": np, "torch": torch, "nn": nn, **given}
    exec(compile(ast.Module(wanted, []), chapter, "exec"), space)
    return [space[name] for name in names]


def double(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def averaged_over_noise(f: Callable[[Tensor], Tensor]) -> Tensor:
    """The mean of f(ε) over standard normal ε, exact for polynomials up to degree 79."""
    points, weights = np.polynomial.hermite_e.hermegauss(40)
    mean = torch.tensor(weights / weights.sum()) * f(torch.tensor(points))
    return mean.sum(dim=-1)


# Chapter 1 ----------------------------------------------------------------------------------


def test_a_ray_meets_the_ball_at_the_smaller_root_ahead_of_it():
    dot, hit = on_the_page("01-rendering", "dot", "hit_sphere", FAR=1e9)
    rng = np.random.default_rng(0)
    o, centre, radius = 3 * rng.normal(size=(500, 3)), rng.normal(size=3), 1.3
    towards = centre + rng.normal(size=(500, 3)) - o
    d = towards / np.linalg.norm(towards, axis=1, keepdims=True)
    found = hit(o, d, centre, radius, start=1e-4)[:, 0]
    for start, way, s in zip(o, d, found, strict=True):
        q = start - centre
        roots = np.roots([1, 2 * way @ q, q @ q - radius**2])
        ahead = [r.real for r in roots if abs(r.imag) < 1e-12 and r.real > 1e-4]
        assert s == pytest.approx(min(ahead, default=1e9), rel=1e-6)
    hits = found < 1e9
    assert 50 < hits.sum() < 450
    p = (o + found[:, None] * d)[hits]
    np.testing.assert_allclose(dot(p - centre, p - centre), radius**2, rtol=1e-9)


def test_the_three_terms_of_phong_by_hand():
    _, phong = on_the_page("01-rendering", "dot", "phong")
    n, a = np.array([0.0, 1, 0]), np.array([0.8, 0.5, 0.2])
    light, v = np.array([0.6, 0.8, 0]), np.array([-0.8, 0.6, 0])
    # n · l = 0.8, the mirrored light is r = (−0.6, 0.8, 0), and r · v = 0.96.
    ambient, diffuse, specular = phong(n, light, v, a, 0.3, 0.7, 0.5, 30)
    np.testing.assert_allclose(ambient, 0.3 * a)
    np.testing.assert_allclose(diffuse, 0.7 * a * 0.8)
    np.testing.assert_allclose(specular, [0.5 * 0.96**30])
    away = phong(n, -light, v, a, 0.3, 0.7, 0.5, 30)
    np.testing.assert_allclose(sum(away), 0.3 * a, atol=1e-15)


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_the_mean_of_n_random_rays_errs_by_sigma_over_the_root_of_n(n):
    # A pixel of three colours, hit with these chances: all possible choices of n rays.
    colours, chances = np.array([0.1, 0.4, 1.0]), np.array([0.2, 0.5, 0.3])
    mean = chances @ colours
    sigma = math.sqrt(chances @ (colours - mean) ** 2)
    squared = sum(
        chances[list(rays)].prod() * (colours[list(rays)].mean() - mean) ** 2
        for rays in itertools.product(range(3), repeat=n)
    )
    assert math.sqrt(squared) == pytest.approx(sigma / math.sqrt(n), rel=1e-12)


@pytest.mark.parametrize("reflectance", [0.0, 0.5, 0.9])
def test_in_a_closed_room_of_one_colour_kajiyas_light_is_a_geometric_series(reflectance):
    # Everywhere the same matt surface, f = reflectance / π, that also glows: L is one number, and
    # what is reflected once, twice, … adds up to emitted / (1 − reflectance).
    rise = (np.arange(1000) + 0.5) / 1000  # n · l; equal steps are equal areas of the half-sphere
    light = emitted = 0.25
    for _ in range(400):
        light = emitted + 2 * np.pi * np.mean(reflectance / np.pi * light * rise)
    assert light == pytest.approx(emitted / (1 - reflectance), rel=1e-9)


# Chapters 3 and 4 ---------------------------------------------------------------------------


def test_the_belief_in_each_digit_is_bayes_rule():
    (posterior,) = on_the_page("03-forward-diffusion", "posterior", clean=None)
    known, xt = double(-1, 0.5, 2)[:, None] * double(1, -0.3), double(0.3, 0.1)[None]
    alpha_bar_t = torch.tensor(0.72, dtype=torch.float64)
    seen = Normal(alpha_bar_t.sqrt() * known, (1 - alpha_bar_t).sqrt()).log_prob(xt).sum(dim=1)
    expected = seen.exp() / seen.exp().sum()
    torch.testing.assert_close(posterior(xt, alpha_bar_t, known)[0], expected)


@pytest.mark.parametrize(("a", "b", "sigma"), [(0.3, 0.7, 0.4), (-2.0, 1.5, 2.0)])
def test_the_divergence_of_gaussians_of_one_width_is_half_a_squared_distance(a, b, sigma):
    q, p = Normal(double(a), double(sigma)), Normal(double(b), double(sigma))

    def log_ratio(eps: Tensor) -> Tensor:
        return q.log_prob(a + sigma * eps) - p.log_prob(a + sigma * eps)

    expected = (a - b) ** 2 / (2 * sigma**2)
    assert averaged_over_noise(log_ratio).item() == pytest.approx(expected, rel=1e-12)
    assert kl_divergence(q, p).item() == pytest.approx(expected, rel=1e-12)


def test_the_mean_of_the_noise_is_the_score_turned_and_scaled():
    # On a line: clouds of width s at the points mu, noised; the mean of ε by a fine sum.
    mu, s, alpha_bar_t = double(-1, 0.2, 0.9), 0.1, 0.6
    signal, noise = math.sqrt(alpha_bar_t), math.sqrt(1 - alpha_bar_t)
    xt = double(-0.8, 0.1, 0.7).requires_grad_()
    x0 = torch.linspace(-3, 3, 6001, dtype=torch.float64)[:, None]
    law = Normal(mu, s).log_prob(x0).exp().sum(dim=1, keepdim=True)
    joint = law * Normal(signal * x0, noise).log_prob(xt.detach()).exp()
    mean_eps = (joint * (xt.detach() - signal * x0) / noise).sum(dim=0) / joint.sum(dim=0)
    variance = s**2 * alpha_bar_t + 1 - alpha_bar_t
    logits = -((xt[:, None] - signal * mu) ** 2) / (2 * variance)
    (score,) = torch.autograd.grad(logits.logsumexp(dim=1).sum(), xt)
    pulled = xt - (logits.softmax(dim=1) * signal * mu).sum(dim=1)
    torch.testing.assert_close(-noise * score, mean_eps, rtol=1e-9, atol=0)
    torch.testing.assert_close(noise / variance * pulled.detach(), mean_eps, rtol=1e-9, atol=0)


# Chapters 7 and 10 --------------------------------------------------------------------------


def test_the_loss_of_a_vae_is_the_negative_bound_times_beta():
    (terms,) = on_the_page("07-vae", "terms")
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.Linear(2, 5)).double()
    x, noise = torch.randn(3, 5).double(), torch.randn(3, 2).double()
    beta = 0.3  # the variance of the pixels' noise
    distortion, rate = terms(net, x, noise)
    mean, logvar = net[0](x).chunk(2, dim=1)
    q = Normal(mean, (0.5 * logvar).exp())
    x_hat = net[1](mean + q.stddev * noise)
    bound = Normal(x_hat, beta**0.5).log_prob(x).sum(dim=1)
    bound = bound - kl_divergence(q, Normal(0.0, 1.0)).sum(dim=1)
    constant = beta * 5 / 2 * math.log(2 * math.pi * beta)
    torch.testing.assert_close(distortion + beta * rate.sum(dim=1), -beta * bound - constant)


@pytest.mark.parametrize("variance", [0.2, 0.99, 1.01, 3.0, 20.0])
def test_a_straight_vae_spends_half_a_log_ratio_on_a_direction_or_nothing(variance):
    # On one principal direction: z = a x + σ ε, x̂ = b z, with β = 1. The loss, averaged over data
    # of this variance and over the noise, is least on a fine search at the rate of the formula.
    a = torch.linspace(0, 2, 801, dtype=torch.float64)[:, None]
    sigma = torch.linspace(0.01, 1.2, 1191, dtype=torch.float64)
    power = a**2 * variance + sigma**2
    b = a * variance / power  # the best decoder for every encoder
    distortion = 0.5 * (variance - 2 * a * b * variance + b**2 * power)
    rate = 0.5 * (power - 1 - 2 * sigma.log())
    best = (distortion + rate).flatten().argmin()
    expected = max(0.0, 0.5 * math.log(variance))
    assert rate.flatten()[best].item() == pytest.approx(expected, abs=0.01)


@pytest.mark.parametrize(("k", "n"), [(0, 50), (1, 50), (25, 50), (49, 50), (7, 9)])
def test_wilsons_ends_are_the_shares_that_lie_z_errors_from_what_was_seen(k, n):
    (wilson,) = on_the_page("10-latent-diffusion", "wilson")
    z = 1.7
    ends = wilson(k, n, z)
    for share in ends:
        assert (k / n - share) ** 2 == pytest.approx(z**2 * share * (1 - share) / n, abs=1e-15)
    assert ends[0] <= k / n <= ends[1]
    known = binomtest(k, n).proportion_ci(method="wilson")
    np.testing.assert_allclose(wilson(k, n), known, atol=1e-6)


# Chapters 12, 17, 18 and 19 ---------------------------------------------------------------------


@pytest.mark.parametrize("n", [1, 2, 5])
def test_the_difference_of_two_shares_of_the_same_votes_has_this_standard_error(n):
    p1, p2 = 0.4, 0.35
    chances = {(1, 0): p1, (0, 1): p2, (0, 0): 1 - p1 - p2}
    squared = 0.0
    for votes in itertools.product(chances, repeat=n):  # everything n voters can say
        first, second = np.sum(votes, axis=0) / n
        chance = math.prod(chances[vote] for vote in votes)
        squared += chance * (first - second - (p1 - p2)) ** 2
    assert math.sqrt(squared) == pytest.approx(math.sqrt((p1 + p2 - (p1 - p2) ** 2) / n), rel=1e-12)


def passed_on(n: int) -> tuple[list[tuple[Tensor, int]], Tensor]:
    """What the ring of chapter 17 holds after each round, how many pieces each sent, the sums."""
    (ring,) = on_the_page("17-scaling-out", "ring")
    rows = torch.arange(n * n, dtype=torch.float64).reshape(n, n).square()
    rounds = [(held, len(came) // n) for held, came in ring(rows)]
    return rounds, rows.sum(dim=0)


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_in_a_ring_each_sends_two_pieces_less_two_nths_of_the_gradient(n):
    rounds, sums = passed_on(n)
    assert torch.equal(rounds[-1][0], sums.expand(n, n))
    numbers = 4 * n  # a gradient of 4 n weights is cut into n pieces of four
    sent = sum(pieces for _, pieces in rounds) * (numbers // n) * 4
    assert sent == 2 * (n - 1) / n * 4 * numbers


@pytest.mark.parametrize("n", [2, 3, 4, 8])
def test_sharded_each_sends_one_half_of_the_ring_three_times(n):
    # The first half of the ring scatters sums, the second gathers pieces; the weights are
    # gathered twice and the gradients scattered once.
    rounds, sums = passed_on(n)
    scattered, _ = rounds[n - 1]
    assert all((held == sums).sum() == 1 for held in scattered)  # each holds one piece's sum
    halves = [sum(pieces for _, pieces in part) for part in (rounds[:n], rounds[n:])]
    numbers = 4 * n
    sent = (halves[0] + 2 * halves[1]) * (numbers // n) * 4
    assert sent == 3 * (n - 1) / n * 4 * numbers


@pytest.mark.parametrize("dimension", [1, 2, 1000])
def test_a_model_that_is_right_once_in_a_hundred_loses_the_logarithm_of_100_at_most(dimension):
    x = torch.linspace(-6, 6, 41, dtype=torch.float64)[:, None].expand(41, dimension)
    p = Normal(0.0, 1.0).log_prob(x).sum(dim=1)
    for noise in (Normal(1.0, 3.0), Normal(-2.0, 0.2)):
        q = noise.log_prob(x).sum(dim=1)
        swindler = torch.logaddexp(p + math.log(0.01), q + math.log(0.99))
        lost = p - swindler
        assert lost.max() <= math.log(100) + 1e-9
    # Where the noise never comes, exactly that is lost.
    assert lost.max().item() == pytest.approx(math.log(100), abs=1e-9)


@pytest.mark.parametrize("alpha_bar_t", [0.01, 0.5, 0.9])
def test_the_best_single_weight_leaves_the_share_of_the_data(alpha_bar_t):
    signal, noise = math.sqrt(alpha_bar_t), math.sqrt(1 - alpha_bar_t)
    x0 = double(-1, 1)[:, None]

    def loss(w: float) -> float:
        errors = averaged_over_noise(lambda eps: (eps - w * (signal * x0 + noise * eps)) ** 2)
        return errors.mean().item()

    assert loss(noise) == pytest.approx(alpha_bar_t, rel=1e-12)
    for other in (noise - 0.01, noise + 0.01):
        assert loss(other) == pytest.approx(alpha_bar_t + 0.01**2, rel=1e-9)
