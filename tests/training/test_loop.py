import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Generator, Tensor, nn

from edudiff.training import checkpoint
from edudiff.training.ema import EMA
from edudiff.training.loop import descend, train


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "last.pt"


def parabola(weight: float = 3.0) -> tuple[nn.Linear, torch.optim.Optimizer]:
    """One weight w and gradient descent with rate 0.1 on it."""
    network = nn.Linear(1, 1, bias=False)
    nn.init.constant_(network.weight, weight)
    return network, torch.optim.SGD(network.parameters(), lr=0.1)


def squared(network: nn.Linear):
    return lambda generator: network.weight.square().sum()


def test_a_step_reports_the_loss_before_it(generator):
    network, optimizer = parabola(3.0)
    assert descend(squared(network), network, optimizer)(generator) == pytest.approx(9)


def test_a_step_goes_down_the_gradient(generator):
    network, optimizer = parabola(3.0)
    descend(squared(network), network, optimizer)(generator)
    assert network.weight.item() == pytest.approx(3 - 0.1 * 2 * 3)


def test_gradients_of_earlier_steps_are_forgotten(generator):
    network, optimizer = parabola(3.0)
    step = descend(squared(network), network, optimizer)
    step(generator)
    step(generator)
    assert network.weight.item() == pytest.approx(3 * 0.8 * 0.8)


def test_the_loss_is_computed_with_the_steps_generator(generator):
    network, optimizer = parabola()
    seen = []

    def loss_fn(given: Generator) -> Tensor:
        seen.append(given)
        return network.weight.sum()

    descend(loss_fn, network, optimizer)(generator)
    assert seen == [generator]


def test_a_longer_gradient_is_shortened_to_the_given_length(generator):
    network, optimizer = parabola(3.0)
    descend(squared(network), network, optimizer, max_grad_norm=0.5)(generator)
    assert network.weight.item() == pytest.approx(3 - 0.1 * 0.5, abs=1e-5)


def test_a_shorter_gradient_is_left_as_it_is(generator):
    network, optimizer = parabola(3.0)
    descend(squared(network), network, optimizer, max_grad_norm=7.0)(generator)
    assert network.weight.item() == pytest.approx(3 - 0.1 * 6)


def test_the_average_follows_the_network_after_the_step(generator):
    network, optimizer = parabola(3.0)
    ema = EMA(network, decay=0.9)
    descend(squared(network), network, optimizer, ema=ema)(generator)
    assert ema.module.weight.item() == pytest.approx(network.weight.item())


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_the_training(loss, generator):
    network, optimizer = parabola()
    step = descend(lambda generator: network.weight.sum() * loss, network, optimizer)
    with pytest.raises(FloatingPointError, match="loss: expected a finite number, got"):
        step(generator)


def test_a_loss_that_is_not_finite_leaves_the_weights_as_they_were(generator):
    network, optimizer = parabola(3.0)
    ema = EMA(network)
    step = descend(lambda generator: network.weight.sum() * math.nan, network, optimizer, ema=ema)
    with pytest.raises(FloatingPointError):
        step(generator)
    assert network.weight.item() == ema.module.weight.item() == 3


def draw(generator: Generator) -> float:
    return torch.rand((), generator=generator).item()


def test_training_yields_after_each_step_counted_from_one(generator):
    counts = [count for count, _ in train(draw, num_steps=3, generator=generator)]
    assert counts == [1, 2, 3]


def test_training_yields_what_the_step_reported(generator):
    reports = [report for _, report in train(draw, num_steps=3, generator=generator)]
    again = Generator().manual_seed(7)
    assert reports == [draw(again) for _ in range(3)]


def test_training_does_one_step_at_a_time():
    done = []
    steps = train(lambda generator: done.append(1), num_steps=3, generator=Generator())
    assert done == []
    next(steps)
    assert done == [1]


def test_nothing_is_written_without_a_path(tmp_path, monkeypatch, generator):
    monkeypatch.chdir(tmp_path)
    list(train(draw, num_steps=2, generator=generator, parts={"network": nn.Linear(1, 1)}))
    assert list(tmp_path.iterdir()) == []


def saved_steps(path: Path, num_steps: int, every: int, monkeypatch) -> list[int]:
    seen, save = [], checkpoint.save

    def remember(path: Path, step: int, *told: Any, **options: Any) -> None:
        seen.append(step)
        save(path, step, *told, **options)

    monkeypatch.setattr(checkpoint, "save", remember)
    parts = {"network": nn.Linear(1, 1)}
    options = {"parts": parts, "checkpoint_path": path, "checkpoint_every": every}
    list(train(draw, num_steps=num_steps, generator=Generator(), **options))
    return seen


def test_a_checkpoint_is_written_every_so_many_steps_and_at_the_end(path, monkeypatch):
    assert saved_steps(path, 7, 3, monkeypatch) == [3, 6, 7]


def test_the_last_checkpoint_is_written_once(path, monkeypatch):
    assert saved_steps(path, 6, 3, monkeypatch) == [3, 6]


def test_a_process_that_does_not_write_takes_a_checkpoint_up_and_writes_none(path, generator):
    parts = {"network": nn.Linear(1, 1)}
    list(train(draw, num_steps=2, generator=generator, parts=parts, checkpoint_path=path))
    before = path.read_bytes()
    options = {"parts": parts, "checkpoint_path": path, "checkpoint_every": 1, "writes": False}
    counts = [count for count, _ in train(draw, num_steps=4, generator=generator, **options)]
    assert counts == [3, 4]
    assert path.read_bytes() == before


def noisy_training(path: Path | None, num_steps: int):
    """Steps that use everything that must survive: momentum, an average, both randomnesses."""
    torch.manual_seed(4)
    network, generator = nn.Sequential(nn.Linear(2, 4), nn.Dropout(), nn.Linear(4, 1)), Generator()
    generator.manual_seed(5)
    optimizer, ema = torch.optim.Adam(network.parameters(), lr=0.01), EMA(network, decay=0.9)

    def loss_fn(generator: Generator) -> Tensor:
        return network(torch.randn(8, 2, generator=generator)).square().mean()

    parts = {"network": network, "optimizer": optimizer, "ema": ema}
    step = descend(loss_fn, network, optimizer, ema=ema)
    options = {"parts": parts, "checkpoint_path": path, "checkpoint_every": 3}
    return parts, train(step, num_steps=num_steps, generator=generator, **options)


@pytest.mark.parametrize("stop", [1, 3, 4, 8, 10])
def test_an_interrupted_training_ends_with_the_same_bits(stop, path):
    expected, steps = noisy_training(None, 10)
    list(steps)
    _, steps = noisy_training(path, 10)
    for _ in range(stop):
        next(steps)
    found, steps = noisy_training(path, 10)
    list(steps)
    for part in ("network", "ema"):
        before, after = expected[part].state_dict(), found[part].state_dict()
        before, after = before.get("module", before), after.get("module", after)
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_resumed_training_yields_only_the_steps_done_now(path):
    list(noisy_training(path, 6)[1])
    assert [count for count, _ in noisy_training(path, 9)[1]] == [7, 8, 9]


def test_a_finished_training_has_nothing_left_to_do(path):
    list(noisy_training(path, 6)[1])
    assert list(noisy_training(path, 6)[1]) == []


@pytest.mark.parametrize("count", ["num_steps", "checkpoint_every"])
def test_a_count_below_one_is_refused(count, generator, refusal):
    options = {"num_steps": 3, "checkpoint_every": 3, count: 0}
    with refusal(f"{count}: expected a whole number ≥ 1, got 0"):
        next(train(draw, generator=generator, **options))


@pytest.mark.parametrize("parts", [None, {}])
def test_a_checkpoint_of_nothing_is_refused(parts, path, generator, refusal):
    steps = train(draw, num_steps=3, generator=generator, parts=parts, checkpoint_path=path)
    with refusal("parts: expected what a checkpoint must hold, got nothing"):
        next(steps)


def test_the_checkpoint_of_a_longer_training_is_refused(path, refusal):
    list(noisy_training(path, 6)[1])
    with refusal("num_steps: expected at least the 6 done, got 5"):
        next(noisy_training(path, 5)[1])


def test_the_checkpoint_of_something_else_is_refused(path, generator, refusal):
    list(noisy_training(path, 6)[1])
    steps = train(
        draw, num_steps=9, generator=generator, parts={"x": nn.Linear(1, 1)}, checkpoint_path=path
    )
    with refusal("expected the parts"):
        next(steps)
