import pytest
import torch

from edudiff.training.rates import trapezoid, two_cycles


def rates(highest=1.0, refining=0.25, *, switch=100, num_steps=300):
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    scheduler = two_cycles(optimizer, highest, refining, switch=switch, num_steps=num_steps)
    seen = []
    for _ in range(num_steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return torch.tensor(seen), scheduler


def test_each_cycle_has_its_own_highest_rate():
    seen, _ = rates()
    assert seen[:100].max() == pytest.approx(1.0, rel=0.01)
    assert seen[100:].max() == pytest.approx(0.25, rel=0.01)


def test_each_cycle_falls_to_almost_nothing():
    seen, _ = rates()
    assert seen[99] < 0.01 and seen[-1] < 0.01


def test_each_cycle_rises_early_and_then_only_falls():
    seen, _ = rates()
    for cycle in (seen[:100], seen[100:]):
        top = int(cycle.argmax())
        assert top <= 0.06 * len(cycle)
        assert (cycle[: top + 1].diff() > 0).all() and (cycle[top:].diff() <= 0).all()


def test_the_first_cycle_is_that_of_one_cycle():
    seen, _ = rates()
    optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
    one = torch.optim.lr_scheduler.OneCycleLR(optimizer, 1.0, total_steps=101, pct_start=0.05)
    alone = []
    for _ in range(100):
        alone.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        one.step()
    torch.testing.assert_close(seen[:100], torch.tensor(alone))


def test_the_scheduler_knows_the_number_of_steps_done():
    _, scheduler = rates(num_steps=130)
    assert scheduler.last_epoch == 130


def test_a_scheduler_goes_on_where_its_state_was_saved():
    def some(count, state=None):
        optimizer = torch.optim.AdamW([torch.nn.Parameter(torch.zeros(1))])
        scheduler = two_cycles(optimizer, 1.0, 0.25, switch=20, num_steps=60)
        if state is not None:
            optimizer.load_state_dict(state[0])
            scheduler.load_state_dict(state[1])
        seen = []
        for _ in range(count):
            seen.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            scheduler.step()
        return seen, (optimizer.state_dict(), scheduler.state_dict())

    whole, _ = some(60)
    for broken_off in (7, 20, 33):
        first, state = some(broken_off)
        assert first + some(60 - broken_off, state)[0] == whole


@pytest.mark.parametrize("switch, num_steps", [(0, 10), (10, 10), (11, 10)])
def test_the_switch_must_lie_within_the_training(switch, num_steps, refusal):
    with refusal("expected a whole number"):
        rates(switch=switch, num_steps=num_steps)


@pytest.mark.parametrize("name", ["highest", "refining"])
def test_rates_must_be_above_zero(name, refusal):
    with refusal(f"{name}: expected a number above 0, got 0.0"):
        rates(**{name: 0.0})


def test_a_trapezoid_rises_stays_and_falls():
    share = trapezoid(100, rise=0.1, fall=0.3)
    seen = torch.tensor([share(step) for step in range(100)])
    assert (seen[:10].diff() > 0).all() and (seen[9:70] == 1).all() and (seen[71:].diff() < 0).all()
    assert seen[0] == pytest.approx(0.1) and seen[-1] == pytest.approx(1 / 30)


def test_a_trapezoid_is_nothing_at_its_end_and_never_below():
    share = trapezoid(10)
    assert share(10) == 0 and share(12) == 0


def test_while_it_stays_the_rate_does_not_depend_on_the_length():
    assert trapezoid(100)(50) == trapezoid(1000)(50 + 20) == 1


@pytest.mark.parametrize("options", [{"rise": -0.1}, {"fall": -0.1}, {"rise": 0.6, "fall": 0.5}])
def test_a_trapezoid_refuses_shares_that_do_not_fit(options, refusal):
    with refusal("rise and fall: expected at most 1 together"):
        trapezoid(10, **options)


def test_a_trapezoid_refuses_no_steps(refusal):
    with refusal("num_steps: expected a whole number ≥ 1, got 0"):
        trapezoid(0)
