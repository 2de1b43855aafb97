import pytest
import torch

from edudiff.diffusion.forward import add_noise
from edudiff.diffusion.multiscale import pyramid, shifted_schedules
from edudiff.diffusion.multiscale_loss import joint_loss, keep_mixed, mixed_fractions
from edudiff.diffusion.prediction import velocity
from edudiff.diffusion.schedule import make_schedule

RATIOS = (4, 2, 1)
SCHEDULES = shifted_schedules(make_schedule("cosine"), RATIOS)


def example(batch=6):
    """(noisy pictures, noise, v, t)"""
    x0s = pyramid(torch.randn(batch, 3, 8, 8).clamp(-1, 1), RATIOS)
    eps, t = [torch.randn_like(x0) for x0 in x0s], torch.randint(1000, (batch,))
    each = list(zip(x0s, eps, SCHEDULES, strict=True))
    xts = [add_noise(x0, e, t, schedule) for x0, e, schedule in each]
    return xts, eps, [velocity(x0, e, t, schedule) for x0, e, schedule in each], t


def test_the_right_answer_costs_nothing():
    xts, eps, vs, t = example()
    found = joint_loss(vs, xts, eps, t, SCHEDULES)
    torch.testing.assert_close(found, torch.zeros(6), atol=1e-10, rtol=0)


def test_the_error_of_the_noise_is_alpha_bar_times_that_of_v():
    xts, eps, vs, t = example()
    v_hats = [torch.randn_like(v) for v in vs]
    expected = torch.zeros(6, dtype=torch.float64)
    for v, v_hat, schedule in zip(vs, v_hats, SCHEDULES, strict=True):
        error = (v_hat - v).square().mean(dim=(1, 2, 3))
        expected += schedule.alpha_bar(t, error) * error
    found = joint_loss(v_hats, xts, eps, t, SCHEDULES)
    torch.testing.assert_close(found, expected.float(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("ratios", [(8, 4, 2, 1), (8, 2, 1), (8, 4, 1), (16, 1)])
@pytest.mark.parametrize("power", [0, 1, 2])
def test_deep_and_uneven_losses_are_sums_over_pictures_that_there_are(ratios, power):
    """Picture by picture and resolution by resolution, from the formula."""
    schedules = shifted_schedules(make_schedule("cosine"), ratios, power)
    x0s, t = pyramid(torch.rand(12, 3, ratios[0], ratios[0]), ratios), torch.randint(1000, (12,))
    fractions, weights = mixed_fractions(range(1, len(ratios) + 1)), [*range(2, len(ratios) + 2)]
    eps = [torch.randn_like(x0) for x0 in x0s]
    noise = keep_mixed(eps, fractions)
    each = zip(x0s, eps, schedules, strict=True)
    xts = keep_mixed([add_noise(x0, e, t, schedule) for x0, e, schedule in each], fractions)
    v_hats = [torch.randn_like(xt) for xt in xts]
    expected = torch.zeros(12, dtype=torch.float64)
    for r, schedule in enumerate(schedules):
        for i in range(len(xts[r])):
            signal = schedule.alphas_cumprod[t[i]]
            eps_hat = (1 - signal).sqrt() * xts[r][i] + signal.sqrt() * v_hats[r][i]
            error = (eps_hat - noise[r][i]).square().mean()
            expected[i] += weights[r] * error / fractions[r]
    found = joint_loss(v_hats, xts, noise, t, schedules, weights=weights, fractions=fractions)
    torch.testing.assert_close(found.double(), expected, atol=0, rtol=1e-5)


def test_weights_multiply_the_resolutions():
    xts, eps, vs, t = example()
    wrong = [torch.randn_like(v) for v in vs]
    each = [joint_loss(wrong, xts, eps, t, SCHEDULES, weights=w) for w in torch.eye(3).tolist()]
    found = joint_loss(wrong, xts, eps, t, SCHEDULES, weights=(16, 4, 1))
    torch.testing.assert_close(found, 16 * each[0] + 4 * each[1] + each[2])


@pytest.mark.parametrize(
    ("ratio", "fractions"),
    [((1,), [1]), ((1, 1), [0.5, 1]), ((2, 1, 1), [0.5, 0.75, 1]), ((0.5, 1.5), [0.25, 1])],
)
def test_fractions_are_running_sums(ratio, fractions):
    assert mixed_fractions(ratio) == fractions


def test_a_mixed_batch_keeps_the_first_pictures_of_each_resolution():
    levels = [torch.arange(8.0)] * 3
    kept = keep_mixed(levels, mixed_fractions((2, 1, 1)))
    assert [level.tolist() for level in kept] == [[*range(4)], [*range(6)], [*range(8)]]


def test_over_a_mixed_batch_the_mean_of_the_loss_is_unbiased():
    """Shuffled in every order by rotation, pictures left out are made up for by those kept."""
    xts, eps, vs, t = example()
    wrong, fractions = [torch.randn_like(v) for v in vs], mixed_fractions((1, 1, 1))
    means = []
    for shift in range(6):
        turned = [[x.roll(shift, 0) for x in levels] for levels in (wrong, xts, eps)]
        kept = [keep_mixed(levels, fractions) for levels in turned]
        loss = joint_loss(*kept, t.roll(shift), SCHEDULES, fractions=fractions)
        means.append(loss.mean())
    expected = joint_loss(wrong, xts, eps, t, SCHEDULES).mean()
    torch.testing.assert_close(torch.stack(means).mean(), expected, atol=1e-5, rtol=1e-5)


def test_pictures_that_were_left_out_have_no_loss_at_that_resolution():
    xts, eps, vs, t = example()
    wrong, fractions = [torch.randn_like(v) for v in vs], mixed_fractions((1, 1, 1))
    kept = [keep_mixed(levels, fractions) for levels in (wrong, xts, eps)]
    found = joint_loss(*kept, t, SCHEDULES, fractions=fractions, weights=(1, 0, 0))
    assert found[:2].all() and not found[2:].any()


@pytest.mark.parametrize("ratio", [(), (0, 1), (1, -1), (float("nan"), 1)])
def test_a_mixed_ratio_that_is_not_above_zero_is_refused(ratio, refusal):
    with refusal("mixed_ratio: expected one number above 0 for each resolution"):
        mixed_fractions(ratio)


def test_fractions_that_leave_a_resolution_empty_are_refused(refusal):
    levels = [torch.zeros(4)] * 2
    with refusal(r"at least one of 4 pictures at every resolution, got \[0, 4\], high to low"):
        keep_mixed(levels, mixed_fractions((1, 9)))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_the_smallest_batch_that_leaves_no_resolution_of_four_empty_is_four(batch, refusal):
    fractions = mixed_fractions((1, 1, 1, 1))
    with refusal(f"at least one of {batch} pictures at every resolution, got "):
        keep_mixed([torch.zeros(batch)] * 4, fractions)
    assert [len(level) for level in keep_mixed([torch.zeros(4)] * 4, fractions)] == [1, 2, 3, 4]


def test_another_number_of_fractions_is_refused(refusal):
    with refusal("fractions: expected one for each of 2 resolutions, got 3"):
        keep_mixed([torch.zeros(4)] * 2, [0.2, 0.4, 1.0])


@pytest.mark.parametrize("name", ["weights", "fractions"])
def test_lists_of_another_length_are_refused(name, refusal):
    xts, eps, vs, t = example()
    with refusal(f"{name}: expected one for each of 3 schedules, got 2"):
        joint_loss(vs, xts, eps, t, SCHEDULES, **{name: [1.0, 1.0]})


def test_noise_of_another_shape_is_refused(refusal):
    xts, eps, vs, t = example()
    with refusal("eps: expected the shape of eps_hat"):
        joint_loss(vs, xts, [eps[0][:1], *eps[1:]], t, SCHEDULES)
