import json
from pathlib import Path

import pytest

from edudiff.training.log import Log, read, write_line


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log.jsonl"


def begun(path: Path | None, every: int = 2, num_steps: int = 7) -> Log:
    log = Log(path, every=every, batch_size=10, num_steps=num_steps)
    log.begin()
    return log


def test_a_line_has_the_step_the_terms_the_time_and_the_speed(path):
    log = begun(path, every=1)
    log.add({"loss": 2.5, "kl": 0.5})
    (row,) = read(path)
    assert list(row) == ["step", "loss", "kl", "seconds", "pictures_per_second"]
    assert (row["step"], row["loss"], row["kl"]) == (1, 2.5, 0.5)


def test_each_line_is_json_by_itself(path):
    log = begun(path, every=1)
    for loss in (1.0, 2.0):
        log.add({"loss": loss})
    assert [json.loads(line)["loss"] for line in path.read_text().splitlines()] == [1, 2]


def test_a_line_holds_the_mean_of_the_steps_since_the_line_before(path):
    log = begun(path, every=3)
    for loss in (1.0, 2.0, 6.0, 10.0, 20.0, 30.0):
        log.add({"loss": loss})
    assert [(row["step"], row["loss"]) for row in read(path)] == [(3, 3), (6, 20)]


def test_the_last_step_has_a_line_too(path):
    log = begun(path, every=5, num_steps=7)
    for _ in range(7):
        log.add({"loss": 1.0})
    assert [row["step"] for row in read(path)] == [5, 7]


def test_time_and_speed_are_those_of_the_clock(path, monkeypatch):
    now = iter([0.0, 100.0, 104.0, 109.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(now))
    log = begun(path, every=2)
    for _ in range(4):
        log.add({"loss": 1.0})
    clocks = [(row["seconds"], row["pictures_per_second"]) for row in read(path)]
    assert clocks == [(4.0, 5.0), (9.0, 4.0)]


def test_a_log_without_a_path_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    begun(None, every=1).add({"loss": 1.0})
    assert list(tmp_path.iterdir()) == []


def test_a_new_training_begins_with_an_empty_log(path):
    write_line(path, {"step": 1, "loss": 0.0, "seconds": 5.0})
    begun(path)
    assert path.read_text() == ""


def resumed(path: Path, done: int) -> Log:
    """A log whose training was killed at step 6, its checkpoint being of step `done`."""
    log, saved = begun(path), {}
    for step in range(1, 7):
        log.add({"loss": float(step)})
        saved[step] = log.state_dict()
    after = Log(path, every=2, batch_size=10, num_steps=7)
    after.load_state_dict(saved[done])
    after.begin()
    return after


def test_lines_written_after_the_checkpoint_are_taken_back(path):
    resumed(path, done=4)
    assert [row["step"] for row in read(path)] == [2, 4]


def test_a_mean_begun_before_the_checkpoint_is_finished_after_it(path):
    resumed(path, done=3).add({"loss": 40.0})
    assert read(path)[-1]["loss"] == (3 + 40) / 2


def test_saving_does_not_look_at_what_comes_later(path):
    log = begun(path, every=9)
    log.add({"loss": 1.0})
    saved = log.state_dict()
    log.add({"loss": 1.0})
    assert saved == {"step": 1, "num_summed": 1, "sums": {"loss": 1.0}}


def test_the_time_of_earlier_sessions_counts(path):
    write_line(path, {"step": 2, "loss": 1.0, "seconds": 500.0})
    log = Log(path, every=2, batch_size=10, num_steps=7)
    log.load_state_dict({"step": 2, "num_summed": 0, "sums": {}})
    log.begin()
    for _ in range(2):
        log.add({"loss": 1.0})
    assert 500 <= read(path)[-1]["seconds"] < 510


def test_a_quality_is_taken_back_when_its_training_begins_again(path):
    write_line(path, {"step": 2, "loss": 1.0, "seconds": 1.0})
    write_line(path, {"step": 2, "quality": {"psnr": 30.0}})
    log = Log(path, every=2, batch_size=10, num_steps=2)
    log.load_state_dict({"step": 2, "num_summed": 0, "sums": {}})
    log.begin()
    assert [list(row) for row in read(path)] == [["step", "loss", "seconds"]]


def test_a_last_line_that_was_cut_short_is_left_out(path):
    write_line(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2, "lo')
    assert read(path) == [{"step": 1}]


def test_a_broken_line_elsewhere_is_refused(path, refusal):
    path.write_text('{"step": 1}\nnonsense\n{"step": 3}\n')
    with refusal("log.jsonl, line 2: expected JSON, got 'nonsense'"):
        read(path)


@pytest.mark.parametrize("name", ["every", "batch_size", "num_steps"])
def test_a_count_below_one_is_refused(name, refusal):
    with refusal(f"{name}: expected a whole number ≥ 1, got 0"):
        Log(None, **{"every": 1, "batch_size": 1, "num_steps": 1, name: 0})
