import math

import pytest
import torch
from scipy.linalg import sqrtm

from edudiff.evaluation.frechet import (
    Gaussian,
    extrapolated,
    fit_gaussian,
    frechet_distance,
    gaussian_distance,
)


def bell(mean, covariance):
    mean, covariance = torch.tensor(mean).double(), torch.tensor(covariance).double()
    return Gaussian(mean, covariance)


def cloud(n, d, generator, dtype=torch.float64):
    mix = torch.randn(d, d, generator=generator, dtype=dtype)
    return torch.randn(n, d, generator=generator, dtype=dtype) @ mix + mix[0]


def test_on_a_line_it_is_the_squares_of_both_differences():
    p, q = bell([1.0], [[4.0]]), bell([-2.0], [[9.0]])
    assert gaussian_distance(p, q).item() == pytest.approx((1 + 2) ** 2 + (2 - 3) ** 2)


def test_two_bells_on_axes_add_their_lines_up():
    p, q = bell([0.0, 1.0], [[1.0, 0.0], [0.0, 4.0]]), bell([0.0, 0.0], [[9.0, 0.0], [0.0, 4.0]])
    assert gaussian_distance(p, q).item() == pytest.approx(1 + (1 - 3) ** 2)


def test_the_formula_agrees_with_scipys_root_of_a_matrix(generator):
    p, q = (fit_gaussian(cloud(40, 5, generator)) for _ in range(2))
    root = torch.from_numpy(sqrtm((p.covariance @ q.covariance).numpy()).real)
    spread = p.covariance.trace() + q.covariance.trace() - 2 * root.trace()
    expected = (p.mean - q.mean).square().sum() + spread
    torch.testing.assert_close(gaussian_distance(p, q), expected, rtol=1e-7, atol=1e-7)


def test_it_is_zero_of_a_cloud_with_itself_and_the_same_both_ways(generator):
    x, y = cloud(50, 4, generator), cloud(60, 4, generator)
    assert frechet_distance(x, x) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x), rel=1e-9)


def test_moving_a_cloud_adds_the_square_of_the_way(generator):
    x = cloud(50, 4, generator)
    assert frechet_distance(x, x + 3) == pytest.approx(4 * 9, rel=1e-9)


def test_flat_clouds_have_a_distance_too(generator):
    x = cloud(50, 3, generator)
    x[:, 2] = 1
    assert frechet_distance(x, 2 * x) == pytest.approx(
        frechet_distance(x[:, :2], 2 * x[:, :2]) + 1, rel=1e-7
    )


def test_different_clouds_with_the_same_mean_and_covariance_are_at_distance_zero():
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    turned = x @ torch.tensor([[1.0, 1.0], [-1.0, 1.0]]) / math.sqrt(2)
    assert frechet_distance(x, turned) == pytest.approx(0, abs=1e-6)


def test_small_samples_of_the_same_law_are_too_far_apart_by_about_one_over_n(generator):
    y = torch.randn(20_000, 3, generator=generator)
    means = []
    for n in (50, 200):
        many = [frechet_distance(torch.randn(n, 3, generator=generator), y) for _ in range(40)]
        means.append(sum(many) / len(many))
    assert 3 < means[0] / means[1] < 5


def test_the_line_through_the_sizes_ends_nearer_to_the_truth(generator):
    x, y = (torch.randn(n, 8, generator=generator) for n in (600, 20_000))
    found, each = extrapolated(x, y, (100, 200, 400), generator=generator)
    assert each[0] > each[1] > each[2] > 0
    assert abs(found) < each[2] / 2


@pytest.mark.parametrize("sizes", [(100,), (50, 50), (1, 20), (20, 700)])
def test_sizes_must_be_two_and_there(sizes, generator):
    x = torch.randn(600, 2, generator=generator)
    with pytest.raises(ValueError, match="sizes: expected two or more"):
        extrapolated(x, x, sizes, generator=generator)


def test_one_point_has_no_covariance():
    with pytest.raises(ValueError, match="n ≥ 2, got \\(1, 3\\)"):
        fit_gaussian(torch.zeros(1, 3))


def test_clouds_must_live_in_the_same_space(generator, refusal):
    with refusal("expected shapes"):
        frechet_distance(torch.zeros(5, 3), torch.zeros(5, 2))
    with refusal("q: expected the shape of p"):
        gaussian_distance(*(fit_gaussian(cloud(9, d, generator)) for d in (2, 3)))
