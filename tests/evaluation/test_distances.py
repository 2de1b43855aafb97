import math

import pytest
import torch
from torch import Generator, Tensor

from edudiff.evaluation.distances import mmd, mode_coverage, nearest_mode, sliced_wasserstein


def cloud(n: int, d: int, seed: int, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(n, d, generator=Generator().manual_seed(seed), dtype=dtype)


def on_a_line(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)[:, None]


# Maximum mean discrepancy.


def test_gretton_eq3_mmd_by_hand():
    def k(distance: float) -> float:
        return math.exp(-(distance**2) / (2 * 0.7**2))

    found = mmd(on_a_line(0.0, 1.0), on_a_line(0.5, 2.0, 2.5), bandwidth=0.7)
    within_y = (k(1.5) + k(2.0) + k(0.5)) / 3
    between = (k(0.5) + k(2.0) + k(2.5) + k(0.5) + k(1.0) + k(1.5)) / 6
    assert found.item() == pytest.approx(k(1.0) + within_y - 2 * between, abs=1e-12)


def test_mmd_of_clouds_of_the_same_law_is_zero_on_average():
    found = torch.stack([mmd(cloud(10, 2, i), cloud(15, 2, 1000 + i)) for i in range(100)])
    # Counting the diagonal would add about 0.13; four standard errors are far less.
    assert found.mean().abs() < 4 * found.std() / math.sqrt(100) < 0.04


def test_mmd_of_clouds_of_the_same_law_may_be_negative():
    assert min(mmd(cloud(10, 2, i), cloud(15, 2, 1000 + i)).item() for i in range(20)) < 0


@pytest.mark.parametrize(("d", "bandwidth"), [(1, 0.5), (2, 0.7), (2, 2.0)])
def test_mmd_between_two_gaussians_has_its_closed_form(d, bandwidth):
    std, shift = 0.6, torch.full((d,), 0.8, dtype=torch.float64)
    x, y = std * cloud(1500, d, 1), std * cloud(1500, d, 2) + shift
    spread = bandwidth**2 + 2 * std**2
    height = (bandwidth**2 / spread) ** (d / 2)
    expected = 2 * height * (1 - math.exp(-shift.square().sum().item() / (2 * spread)))
    # Three standard errors of this estimate, measured over seeds, are at most 0.055.
    assert mmd(x, y, bandwidth).item() == pytest.approx(expected, abs=0.055)


def test_mmd_of_far_apart_points_is_two():
    x, y = torch.zeros(3, 2), torch.full((4, 2), 50.0)
    assert mmd(x, y).item() == pytest.approx(2)


def test_mmd_is_symmetric():
    x, y = cloud(20, 3, 1), cloud(30, 3, 2) + 1
    torch.testing.assert_close(mmd(x, y), mmd(y, x), atol=1e-12, rtol=0)


def test_mmd_does_not_depend_on_the_order_of_the_points():
    x, y = cloud(20, 3, 1), cloud(30, 3, 2) + 1
    torch.testing.assert_close(mmd(x.flip(0), y), mmd(x, y), atol=1e-12, rtol=0)


def test_mmd_does_not_change_when_everything_is_moved_far_away():
    x, y = cloud(60, 2, 1, torch.float32), cloud(60, 2, 2, torch.float32) + 1
    far = torch.tensor([100.0, -200.0])
    # Moving by 200 rounds float32 numbers to 1.5e-5.
    torch.testing.assert_close(mmd(x + far, y + far), mmd(x, y), atol=1e-4, rtol=0)


def test_mmd_of_scaled_clouds_scales_with_the_bandwidth():
    x, y = cloud(20, 2, 1), cloud(20, 2, 2) + 1
    torch.testing.assert_close(mmd(3 * x, 3 * y, 3 * 0.7), mmd(x, y, 0.7), atol=1e-12, rtol=0)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.nan])
def test_mmd_refuses_a_bandwidth_that_is_not_above_zero(bandwidth, refusal):
    with refusal("bandwidth: expected a number above 0"):
        mmd(cloud(3, 2, 1), cloud(3, 2, 2), bandwidth)


@pytest.mark.parametrize(("n", "m"), [(1, 5), (5, 1)])
def test_mmd_refuses_a_single_point(n, m, refusal):
    with refusal("x, y: expected at least 2 points each"):
        mmd(cloud(n, 2, 1), cloud(m, 2, 2))


# Sliced Wasserstein distance.


def test_bonneel_eq8_on_a_line_pairs_the_points_in_order(generator):
    found = sliced_wasserstein(
        on_a_line(3.0, 0.0, 1.0), on_a_line(2.0, 0.5, 5.0), generator=generator
    )
    assert found.item() == pytest.approx(math.sqrt((0.5**2 + 1**2 + 2**2) / 3))


@pytest.mark.parametrize("shift", [-2.5, 0.3])
def test_sliced_wasserstein_of_a_shift_on_a_line_is_its_length(shift, generator):
    x = cloud(50, 1, 1)
    found = sliced_wasserstein(x, x + shift, generator=generator, num_projections=3)
    assert found.item() == pytest.approx(abs(shift))


@pytest.mark.parametrize("d", [2, 3, 16])
def test_sliced_wasserstein_of_a_shift_is_its_length_over_root_d(d, generator):
    x, shift = cloud(30, d, 1), torch.linspace(-1, 2, d, dtype=torch.float64)
    found = sliced_wasserstein(x, x + shift, generator=generator, num_projections=20_000)
    # The mean of cos² over 20,000 directions has a relative standard error of at most 1 %.
    assert found.item() == pytest.approx(shift.norm().item() / math.sqrt(d), rel=0.02)


def test_sliced_wasserstein_of_a_scaling_by_its_closed_form(generator):
    # W₂ between θᵀx and 3 θᵀx is 2 √(mean of (θᵀx)²), whose mean over θ is |x|² / d.
    x = cloud(40, 3, 1)
    found = sliced_wasserstein(x, 3 * x, generator=generator, num_projections=20_000)
    expected = 2 * math.sqrt(x.square().sum(dim=1).mean().item() / 3)
    assert found.item() == pytest.approx(expected, rel=0.02)


def test_sliced_wasserstein_between_a_cloud_and_itself_in_another_order_is_zero(generator):
    x = cloud(50, 3, 1)
    assert sliced_wasserstein(x, x.flip(0), generator=generator) < 1e-12


def test_sliced_wasserstein_is_symmetric():
    x, y = cloud(50, 3, 1), cloud(50, 3, 2) * 2
    there, back = (
        sliced_wasserstein(a, b, generator=Generator().manual_seed(5)) for a, b in ((x, y), (y, x))
    )
    torch.testing.assert_close(there, back)


def test_sliced_wasserstein_keeps_the_units_of_the_data():
    x, y = cloud(50, 3, 1), cloud(50, 3, 2) * 2
    small, large = (
        sliced_wasserstein(unit * x, unit * y, generator=Generator().manual_seed(5))
        for unit in (1, 10)
    )
    torch.testing.assert_close(large, 10 * small)


def test_sliced_wasserstein_is_the_same_for_the_same_seed():
    x, y = cloud(50, 3, 1), cloud(50, 3, 2)
    one, other = (sliced_wasserstein(x, y, generator=Generator().manual_seed(5)) for _ in range(2))
    assert torch.equal(one, other)


def test_sliced_wasserstein_draws_from_its_generator_alone(generator):
    before = torch.get_rng_state()
    sliced_wasserstein(cloud(5, 3, 1), cloud(5, 3, 2), generator=generator)
    assert torch.equal(torch.get_rng_state(), before)


def test_sliced_wasserstein_refuses_clouds_of_other_sizes(generator, refusal):
    with refusal(r"y: expected the shape of x, \(5, 2\), got \(4, 2\)"):
        sliced_wasserstein(cloud(5, 2, 1), cloud(4, 2, 2), generator=generator)


def test_sliced_wasserstein_refuses_no_projections(generator, refusal):
    with refusal("num_projections: expected a whole number ≥ 1"):
        sliced_wasserstein(cloud(5, 2, 1), cloud(5, 2, 2), generator=generator, num_projections=0)


# Modes.

SQUARE = torch.tensor([[0.0, 0.0], [0.0, 4.0], [4.0, 0.0], [4.0, 4.0]])


def test_nearest_mode_by_hand():
    x = torch.tensor([[0.1, 3.8], [4.0, 0.5], [0.3, 0.4], [3.9, 4.1]])
    assert nearest_mode(x, SQUARE, radius=0.6).tolist() == [1, 2, 0, 3]


def test_a_point_exactly_at_the_radius_is_within_it():
    assert nearest_mode(torch.tensor([[0.0, 0.5]]), SQUARE, radius=0.5).item() == 0


def test_a_point_beyond_the_radius_has_no_mode():
    assert nearest_mode(torch.tensor([[0.0, 0.51]]), SQUARE, radius=0.5).item() == -1


def test_many_points_at_a_mode_are_at_no_distance_from_it():
    far = SQUARE + 500
    found = nearest_mode(far.repeat(20, 1), far, radius=1e-3)
    assert found.tolist() == [0, 1, 2, 3] * 20


def visits(*counts: int) -> Tensor:
    """So many points at each corner of the square, and then strays in its middle."""
    corners = torch.cat([SQUARE, torch.tensor([[2.0, 2.0]])])[: len(counts)]
    return corners.repeat_interleave(torch.tensor(counts), dim=0)


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((10, 10, 10, 10), 4),
        ((37, 1, 1, 1), 1),
        ((20, 20, 0, 0), 2),
        ((30, 3, 3, 4), 4),
        ((31, 3, 3, 2, 1), 3),
        ((0, 0, 0, 0, 40), 0),
    ],
)
def test_mode_coverage_by_hand(counts, expected):
    # Of 40 samples the fair share is 10 for each corner, and a quarter of it is 2.5.
    assert mode_coverage(visits(*counts), SQUARE, radius=0.5) == expected


def test_a_mode_with_exactly_the_least_share_is_covered():
    assert mode_coverage(visits(25, 5, 5, 5), SQUARE, radius=0.5, min_share=0.5) == 4


def test_a_mode_just_below_the_least_share_is_not_covered():
    assert mode_coverage(visits(26, 5, 5, 4), SQUARE, radius=0.5, min_share=0.5) == 3


def test_strays_lower_every_modes_share():
    with_strays = visits(3, 3, 3, 3, 48)
    assert mode_coverage(with_strays, SQUARE, radius=0.5, min_share=0.25) == 0


def test_a_wider_radius_lets_more_samples_count():
    x = SQUARE.repeat(5, 1) + 0.5
    covered = [mode_coverage(x, SQUARE, radius=radius) for radius in (0.7, 0.72)]
    assert covered == [0, 4]


def test_the_last_mode_counts_though_nothing_is_near_it():
    assert mode_coverage(visits(20, 20, 20), SQUARE, radius=0.5) == 3


@pytest.mark.parametrize("min_share", [0.0, -0.1, 1.1, math.nan])
def test_a_least_share_outside_zero_and_one_is_refused(min_share, refusal):
    with refusal(r"min_share: expected a number in \(0, 1\]"):
        mode_coverage(SQUARE, SQUARE, radius=0.5, min_share=min_share)


@pytest.mark.parametrize("function", [nearest_mode, mode_coverage])
@pytest.mark.parametrize("radius", [0.0, -1.0])
def test_a_radius_that_is_not_above_zero_is_refused(function, radius, refusal):
    with refusal("radius: expected a number above 0"):
        function(SQUARE, SQUARE, radius)


# What all of them refuse.


def measures(x: Tensor, y: Tensor) -> list:
    return [
        lambda: mmd(x, y),
        lambda: sliced_wasserstein(x, y, generator=Generator()),
        lambda: nearest_mode(x, y, 0.5),
        lambda: mode_coverage(x, y, 0.5),
    ]


@pytest.mark.parametrize("which", range(4))
@pytest.mark.parametrize(
    ("x", "y"), [((5, 2), (5, 3)), ((5,), (5, 2)), ((5, 2), (5, 2, 1)), ((0, 2), (5, 2))]
)
def test_clouds_that_do_not_lie_in_the_same_space_are_refused(which, x, y, refusal):
    with refusal(r"x, y: expected shapes \(n, d\) and \(m, d\) with n, m ≥ 1, got"):
        measures(torch.zeros(x), torch.zeros(y))[which]()


@pytest.mark.parametrize("which", range(4))
def test_whole_numbers_are_refused(which, refusal):
    with refusal("x: expected a floating-point tensor"):
        measures(torch.zeros(5, 2, dtype=torch.int64), torch.zeros(5, 2))[which]()
