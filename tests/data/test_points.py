import math

import pytest
import torch

from edudiff.data import points

NAMES = ["ring", "moons", "swiss_roll", "checkerboard"]
WITH_DENSITY = ["ring", "checkerboard"]
CELL = 0.02


def cells(low: float = -3.0, high: float = 3.0) -> torch.Tensor:
    """The centres of small squares that tile the plane between low and high, in float64."""
    along = torch.arange(low, high, CELL, dtype=torch.float64) + CELL / 2
    return torch.cartesian_prod(along, along)


@pytest.mark.parametrize("name", NAMES)
def test_a_sample_is_n_points_in_float32(name, generator):
    drawn = points.sample(name, 5, generator=generator)
    assert (drawn.shape, drawn.dtype) == ((5, 2), torch.float32)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_points(name):
    once, again = (
        points.sample(name, 50, generator=torch.Generator().manual_seed(3)) for _ in range(2)
    )
    assert torch.equal(once, again)


@pytest.mark.parametrize("name", NAMES)
def test_another_seed_gives_other_points(name):
    once, other = (
        points.sample(name, 50, generator=torch.Generator().manual_seed(seed)) for seed in (3, 4)
    )
    assert not torch.equal(once, other)


@pytest.mark.parametrize("name", NAMES)
def test_the_points_come_from_the_given_generator_alone(name, generator):
    before = torch.get_rng_state()
    points.sample(name, 50, generator=generator)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("name", NAMES)
def test_the_points_stay_near_the_square_of_side_six(name, generator):
    assert points.sample(name, 50_000, generator=generator).abs().max() < 3.5


@pytest.mark.parametrize("name", NAMES)
def test_the_points_fill_the_square_in_both_directions(name, generator):
    drawn = points.sample(name, 5_000, generator=generator)
    assert (drawn.amax(dim=0) - drawn.amin(dim=0)).min() > 2


@pytest.mark.parametrize("name", NAMES)
def test_a_law_knows_its_own_name(name):
    assert points.law(name).name == name


def test_ring_log_density_is_eight_gaussians_at_a_centre():
    at_centre = points.log_density("ring", torch.tensor([[0.0, 2.0]], dtype=torch.float64))
    one_gaussian_peak = 1 / (2 * math.pi * 0.1**2)
    assert at_centre.item() == pytest.approx(math.log(one_gaussian_peak / 8), abs=1e-9)


def test_ring_log_density_falls_by_a_half_one_standard_deviation_out():
    at = points.log_density("ring", torch.tensor([[2.0, 0.0], [2.1, 0.0]], dtype=torch.float64))
    assert (at[0] - at[1]).item() == pytest.approx(0.5, abs=1e-6)


def test_ring_log_density_is_finite_far_away():
    assert points.log_density("ring", torch.tensor([[30.0, -30.0]])).isfinite().all()


def test_checkerboard_log_density_is_one_eighth_on_its_squares():
    inside = torch.tensor([[-2.0, -2.0], [0.5, 0.5], [-0.5, -0.5], [1.9, 1.1]])
    expected = torch.full((4,), -math.log(8))
    torch.testing.assert_close(points.log_density("checkerboard", inside), expected)


def test_checkerboard_log_density_is_minus_infinity_elsewhere():
    outside = torch.tensor([[0.5, -0.5], [1.5, 0.5], [2.0, 2.0], [-2.5, -2.5], [9.0, 9.0]])
    assert (points.log_density("checkerboard", outside) == -math.inf).all()


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_the_density_integrates_to_one(name):
    total = points.log_density(name, cells()).exp().sum() * CELL**2
    assert total.item() == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_samples_have_the_moments_of_the_density(name, generator):
    grid = cells()
    weight = points.log_density(name, grid).exp() * CELL**2
    drawn = points.sample(name, 200_000, generator=generator).double()
    expected = torch.stack([(weight[:, None] * grid**k).sum(dim=0) for k in (1, 2, 4)])
    found = torch.stack([(drawn**k).mean(dim=0) for k in (1, 2, 4)])
    # Four standard errors of a fourth moment with values up to 16, from 2e5 samples.
    torch.testing.assert_close(found, expected, atol=0.08, rtol=0)


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_the_share_of_samples_in_a_box_is_the_density_over_it(name, generator):
    def inside(where: torch.Tensor) -> torch.Tensor:
        return (where[:, 0] > -0.1) & (where[:, 1] > 1.9)

    grid = cells()
    expected = points.log_density(name, grid).exp()[inside(grid)].sum() * CELL**2
    share = inside(points.sample(name, 200_000, generator=generator)).double().mean()
    # Four standard errors of a share from 2e5 samples are at most 0.0045.
    assert share.item() == pytest.approx(expected.item(), abs=0.0045)


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_every_sample_has_positive_density(name, generator):
    drawn = points.sample(name, 20_000, generator=generator)
    assert points.log_density(name, drawn).isfinite().all()


@pytest.mark.parametrize("name", WITH_DENSITY)
def test_the_log_density_of_a_point_does_not_depend_on_the_others(name, generator):
    drawn = points.sample(name, 6, generator=generator)
    together = points.log_density(name, drawn)
    alone = torch.cat([points.log_density(name, point[None]) for point in drawn])
    assert torch.equal(together, alone)


@pytest.mark.parametrize("name", WITH_DENSITY)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_log_density_has_the_dtype_of_the_points(name, dtype):
    assert points.log_density(name, torch.zeros(3, 2, dtype=dtype)).dtype == dtype


def test_the_ring_has_eight_modes_on_a_circle_of_radius_two():
    torch.testing.assert_close(points.ring_centers().norm(dim=1), torch.full((8,), 2.0))


def test_the_first_mode_is_at_angle_zero_and_the_third_a_quarter_turn_on():
    expected = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    torch.testing.assert_close(points.ring_centers()[[0, 2]], expected, atol=1e-6, rtol=0)


def test_the_modes_are_equally_spaced():
    centers = points.ring_centers(5)
    sides = (centers - centers.roll(1, dims=0)).norm(dim=1)
    torch.testing.assert_close(sides, torch.full((5,), 4 * math.sin(math.pi / 5)))


def test_the_ring_law_carries_its_modes():
    assert torch.equal(points.law("ring").centers, points.ring_centers())


def test_the_eight_modes_are_equally_likely(generator):
    drawn = points.sample("ring", 80_000, generator=generator)
    nearest = torch.cdist(drawn, points.ring_centers()).argmin(dim=1)
    # Four standard errors of a share of 1/8 from 8e4 samples.
    shares = nearest.bincount(minlength=8) / 80_000
    torch.testing.assert_close(shares, torch.full((8,), 1 / 8), atol=0.0047, rtol=0)


def test_the_spread_around_a_mode_is_a_tenth(generator):
    drawn = points.sample("ring", 80_000, generator=generator)
    offset = torch.cdist(drawn, points.ring_centers()).min(dim=1).values
    assert offset.square().mean().item() == pytest.approx(2 * 0.1**2, rel=0.03)


def test_the_two_moons_are_mirror_images_through_the_origin(generator):
    drawn = points.sample("moons", 100_000, generator=generator)
    torch.testing.assert_close(drawn.mean(dim=0), torch.zeros(2), atol=0.02, rtol=0)


def test_the_moons_are_half_circles(generator):
    drawn = points.sample("moons", 20_000, generator=generator)
    middles = 1.5 * torch.tensor([[-0.5, -0.25], [0.5, 0.25]])
    off_the_circles = (torch.cdist(drawn, middles) - 1.5).abs().min(dim=1).values
    assert off_the_circles.max() < 5 * 1.5 * points.MOONS_STD


def test_the_swiss_roll_is_a_spiral_whose_radius_grows_with_the_angle(generator):
    drawn = points.sample("swiss_roll", 20_000, generator=generator)
    radius, angle = drawn.norm(dim=1), torch.atan2(drawn[:, 1], drawn[:, 0])
    turns = (6 * radius - angle) / (2 * math.pi)
    # 6 r = angle + 2π · (whole turns), up to the noise of 0.04 in r and as much sideways.
    assert (turns - turns.round()).abs().max() < 0.3


def test_an_unknown_law_is_refused_with_the_nearest_name(refusal):
    with refusal("Did you mean 'swiss_roll'"):
        points.law("swiss-roll")


def test_sampling_an_unknown_law_is_refused(generator, refusal):
    with refusal("unknown point law"):
        points.sample("spiral", 3, generator=generator)


@pytest.mark.parametrize("n", [0, -1, 2.5])
def test_sampling_fewer_than_one_point_is_refused(n, generator, refusal):
    with refusal("n: expected a whole number ≥ 1"):
        points.sample("ring", n, generator=generator)


@pytest.mark.parametrize("name", ["moons", "swiss_roll"])
def test_the_log_density_of_a_law_without_closed_form_is_refused(name, refusal):
    with refusal(r"expected a law with a closed form, \['checkerboard', 'ring'\], got"):
        points.log_density(name, torch.zeros(1, 2))


def test_the_log_density_of_an_unknown_law_is_refused(refusal):
    with refusal("Did you mean 'ring'"):
        points.log_density("rings", torch.zeros(1, 2))


# A picture as a law.


def test_every_pixel_is_chosen_in_proportion_to_its_ink(generator):
    ink = torch.tensor([[1.0, 2.0], [0.0, 5.0]])
    drawn = points.from_picture(ink, 100_000, generator=generator)
    left, upper = drawn[:, 0] < 0, drawn[:, 1] > 0
    shares = torch.stack([left & upper, ~left & upper, left & ~upper, ~left & ~upper]).sum(dim=1)
    # Four standard errors of a share of a half, from 1e5 points.
    expected = torch.tensor([0.125, 0.25, 0.0, 0.625])
    torch.testing.assert_close(shares / 100_000, expected, atol=0.0063, rtol=0)


def test_the_pictures_first_row_is_on_top(generator):
    ink = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert points.from_picture(ink, 1000, generator=generator)[:, 1].min() >= 0


@pytest.mark.parametrize(
    ("shape", "width", "height"), [((4, 4), 4, 4), ((2, 8), 4, 1), ((8, 2), 1, 4)]
)
def test_the_longer_side_is_laid_on_minus_two_to_two(shape, width, height, generator):
    drawn = points.from_picture(torch.ones(shape), 20_000, generator=generator)
    extent = torch.stack([drawn.amin(dim=0), drawn.amax(dim=0)])
    expected = torch.tensor([[-width, -height], [width, height]]) / 2
    torch.testing.assert_close(extent, expected, atol=0.01, rtol=0)


def test_points_lie_anywhere_within_their_pixel(generator):
    drawn = points.from_picture(torch.ones(1, 1), 50_000, generator=generator)
    torch.testing.assert_close(drawn.mean(dim=0), torch.zeros(2), atol=0.021, rtol=0)
    torch.testing.assert_close(drawn.var(dim=0), torch.full((2,), 16 / 12), atol=0.03, rtol=0)


def test_points_from_a_picture_are_float32(generator):
    assert points.from_picture(torch.ones(2, 2), 3, generator=generator).dtype == torch.float32


def test_the_same_seed_gives_the_same_points_from_a_picture():
    once, again = (
        points.from_picture(torch.ones(2, 2), 9, generator=torch.Generator().manual_seed(3))
        for _ in range(2)
    )
    assert torch.equal(once, again)


@pytest.mark.parametrize(
    "ink",
    [
        torch.ones(4),
        torch.ones(1, 4, 4),
        torch.zeros(4, 4),
        torch.tensor([[1.0, -0.1]]),
        torch.tensor([[1.0, math.nan]]),
        torch.zeros(0, 4),
    ],
    ids=["vector", "channels", "empty", "negative", "nan", "no_rows"],
)
def test_what_holds_no_ink_is_refused(ink, generator, refusal):
    with refusal(r"ink: expected \(h, w\) with values ≥ 0, some above"):
        points.from_picture(ink, 3, generator=generator)


def test_fewer_than_one_point_from_a_picture_is_refused(generator, refusal):
    with refusal("n: expected a whole number ≥ 1"):
        points.from_picture(torch.ones(2, 2), 0, generator=generator)
