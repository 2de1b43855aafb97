import os
from pathlib import Path

import pytest
import torch
from torch import Generator, nn

from edudiff.training import checkpoint


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run" / "last.pt"


def trained_a_little() -> dict[str, nn.Module | torch.optim.Optimizer]:
    network = nn.Linear(3, 2)
    optimizer = torch.optim.Adam(network.parameters())
    for _ in range(2):
        network(torch.randn(4, 3)).sum().backward()
        optimizer.step()
    return {"network": network, "optimizer": optimizer}


def new() -> dict[str, nn.Module | torch.optim.Optimizer]:
    network = nn.Linear(3, 2)
    return {"network": network, "optimizer": torch.optim.Adam(network.parameters())}


def test_the_folder_is_made_if_need_be(path, generator):
    checkpoint.save(path, 1, new(), generator)
    assert path.is_file()


def test_nothing_but_the_checkpoint_is_left_in_the_folder(path, generator):
    checkpoint.save(path, 1, new(), generator)
    assert os.listdir(path.parent) == ["last.pt"]


def test_resuming_says_how_many_steps_were_done(path, generator):
    checkpoint.save(path, 41, new(), generator)
    assert checkpoint.resume(path, new(), generator) == 41


def test_the_weights_come_back(path, generator):
    saved, taken_up = trained_a_little(), new()
    checkpoint.save(path, 1, saved, generator)
    checkpoint.resume(path, taken_up, generator)
    assert torch.equal(taken_up["network"].weight, saved["network"].weight)


def test_the_optimisers_memory_comes_back(path, generator):
    saved, taken_up = trained_a_little(), new()
    checkpoint.save(path, 1, saved, generator)
    checkpoint.resume(path, taken_up, generator)
    before, after = (each["optimizer"].state_dict()["state"][0] for each in (saved, taken_up))
    assert torch.equal(after["exp_avg_sq"], before["exp_avg_sq"])
    assert after["step"] == before["step"] == 2


def test_the_generator_goes_on_where_it_was(path, generator):
    torch.randn(5, generator=generator)
    checkpoint.save(path, 1, new(), generator)
    expected = torch.randn(5, generator=generator)
    other = Generator().manual_seed(99)
    checkpoint.resume(path, new(), other)
    assert torch.equal(torch.randn(5, generator=other), expected)


def test_the_global_randomness_goes_on_where_it_was(path, generator):
    parts = new()
    checkpoint.save(path, 1, parts, generator)
    expected = torch.randn(5)
    checkpoint.resume(path, parts, generator)
    assert torch.equal(torch.randn(5), expected)


def test_a_later_checkpoint_takes_the_place_of_an_earlier_one(path, generator):
    for step in (1, 2):
        checkpoint.save(path, step, new(), generator)
    assert checkpoint.resume(path, new(), generator) == 2


def test_without_a_file_no_steps_were_done(path, generator):
    assert checkpoint.resume(path, new(), generator) == 0


def test_without_a_file_nothing_is_changed(path, generator):
    parts, before = trained_a_little(), generator.get_state()
    weight = parts["network"].weight.clone()
    checkpoint.resume(path, parts, generator)
    assert torch.equal(parts["network"].weight, weight)
    assert torch.equal(generator.get_state(), before)


class FullDisk:
    """A part that cannot be saved to the end: the disk is full after its first bytes."""

    def state_dict(self) -> dict[str, object]:
        return {"first": torch.zeros(3), "then": FullDisk()}

    def load_state_dict(self, state: dict[str, object]) -> None:
        raise NotImplementedError

    def __reduce__(self) -> str:
        raise OSError("no space left on device")


def test_a_save_that_fails_leaves_the_earlier_checkpoint_whole(path, generator):
    checkpoint.save(path, 1, new(), generator)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(path, 2, {"network": FullDisk()}, generator)
    assert checkpoint.resume(path, new(), generator) == 1


def test_a_save_that_fails_leaves_no_checkpoint_where_there_was_none(path, generator):
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(path, 1, {"network": FullDisk()}, generator)
    assert checkpoint.resume(path, new(), generator) == 0


def test_what_a_failed_save_left_behind_does_not_disturb_the_next(path, generator):
    path.parent.mkdir()
    path.with_name("last.pt.part").write_bytes(b"half a checkpoint" * 10_000)
    checkpoint.save(path, 3, new(), generator)
    assert checkpoint.resume(path, new(), generator) == 3


def test_the_bytes_reach_the_disk_before_they_take_the_name(path, generator, monkeypatch):
    events = []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda file: (events.append("fsync"), fsync(file))[1])
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (events.append("replace"), replace(self, to))[1]
    )
    checkpoint.save(path, 1, new(), generator)
    assert events == ["fsync", "replace"]


def test_every_beginning_of_a_checkpoint_is_refused(path, generator, refusal):
    checkpoint.save(path, 1, new(), generator)
    whole = path.read_bytes()
    for length in range(0, len(whole), len(whole) // 25):
        path.write_bytes(whole[:length])
        with refusal("last.pt: expected a checkpoint of edudiff, got"):
            checkpoint.resume(path, new(), generator)


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
@pytest.mark.parametrize(
    "content",
    [torch.zeros(3), [1], None, {"weight": torch.zeros(3)}, {"step": 1, "parts": None}],
    ids=["tensor", "list", "nothing", "state_dict", "no_parts"],
)
def test_a_file_of_something_else_is_refused(content, path, generator, refusal):
    path.parent.mkdir()
    torch.save(content, path)
    with refusal("expected a checkpoint of edudiff"):
        checkpoint.resume(path, new(), generator)


def test_a_checkpoint_without_the_randomness_is_refused(path, generator, refusal):
    path.parent.mkdir()
    torch.save({"step": 1, "parts": {}}, path)
    with refusal("expected a checkpoint of edudiff"):
        checkpoint.resume(path, {}, generator)


class Intruder:
    """Something that would write a file when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, (str(self.victim),)


def test_a_checkpoint_cannot_run_code(path, generator, tmp_path, refusal):
    path.parent.mkdir()
    torch.save({"step": 1, "parts": {"network": Intruder(tmp_path / "was here")}}, path)
    with refusal("expected a checkpoint of edudiff"):
        checkpoint.resume(path, new(), generator)
    assert not (tmp_path / "was here").exists()


def test_other_parts_than_those_given_are_refused(path, generator, refusal):
    checkpoint.save(path, 1, new(), generator)
    with refusal(r"expected the parts \['ema', 'network'\], got \['network', 'optimizer'\]"):
        checkpoint.resume(path, {"network": nn.Linear(3, 2), "ema": nn.Linear(3, 2)}, generator)


@pytest.mark.parametrize("missing", ["network", "optimizer"])
def test_fewer_parts_than_were_saved_are_refused(missing, path, generator, refusal):
    checkpoint.save(path, 1, new(), generator)
    parts = new()
    del parts[missing]
    with refusal(r"expected the parts \['\w+'\], got \['network', 'optimizer'\]"):
        checkpoint.resume(path, parts, generator)


def test_a_network_of_another_size_is_refused(path, generator, refusal):
    checkpoint.save(path, 1, {"network": nn.Linear(3, 2)}, generator)
    with refusal("expected a state that fits 'network', got"):
        checkpoint.resume(path, {"network": nn.Linear(4, 2)}, generator)


def test_an_optimiser_of_other_parameters_is_refused(path, generator, refusal):
    checkpoint.save(path, 1, {"optimizer": trained_a_little()["optimizer"]}, generator)
    other = torch.optim.Adam([nn.Parameter(torch.zeros(3))])
    with refusal("expected a state that fits 'optimizer', got"):
        checkpoint.resume(path, {"optimizer": other}, generator)
