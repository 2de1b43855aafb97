import argparse
import os
import pickle
import sys
import types
from enum import Enum

import pytest
import torch
from safetensors.torch import load_file

from edudiff.checkpoints import pickled


class Danger:
    """An object whose pickle calls a function when it is read."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.fixture
def weights():
    return {"conv_in.weight": torch.randn(4, 3), "inner_unet.conv_in.bias": torch.randn(2)}


@pytest.fixture
def settings(monkeypatch):
    """Settings as Matryoshka's training saves them: objects of a module that is not here."""
    config, samplers = types.ModuleType("ml_mdm.config"), types.ModuleType("samplers")

    class Settings:
        def __init__(self, **options):
            self.__dict__.update(options)

    class Kind(Enum):
        COSINE = 0

    monkeypatch.setitem(sys.modules, "ml_mdm", types.ModuleType("ml_mdm"))
    for made, module in ((Settings, config), (Kind, samplers)):
        made.__module__, made.__qualname__ = module.__name__, made.__name__
        setattr(module, made.__name__, made)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    yield argparse.Namespace(model=Settings(width=64), kind=Kind.COSINE)


def test_bare_weights_become_safetensors(weights, tmp_path):
    source, target = tmp_path / "weights.pth", tmp_path / "model.safetensors"
    torch.save(weights, source)
    pickled.convert(source, target)
    found = load_file(target)
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], weights[name]) for name in weights)


def test_weights_that_share_memory_are_written_too(tmp_path):
    source, target = tmp_path / "weights.pth", tmp_path / "model.safetensors"
    whole = torch.randn(4, 4)
    torch.save({"a": whole, "b": whole.T, "c": whole[1]}, source)
    pickled.convert(source, target)
    assert torch.equal(load_file(target)["b"], whole.T)


def test_settings_beside_the_weights_are_left_out_without_importing_anything(
    weights, settings, tmp_path, monkeypatch
):
    source = tmp_path / "vis_model.pth"
    torch.save({"state_dict": weights, "batch_num": 7, "loss": 0.5, "args": settings}, source)
    for name in ("ml_mdm.config", "samplers"):
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(pickle.UnpicklingError):
        torch.load(source, weights_only=True)  # PyTorch alone refuses such a file
    found = pickled.read(source)
    assert all(torch.equal(found[name], weights[name]) for name in weights)
    assert "ml_mdm.config" not in sys.modules and "samplers" not in sys.modules


def test_nothing_stays_allowed_afterwards(weights, settings, tmp_path):
    source = tmp_path / "vis_model.pth"
    torch.save({"state_dict": weights, "args": settings}, source)
    before = {*torch.serialization.get_safe_globals()}
    pickled.read(source)
    assert {*torch.serialization.get_safe_globals()} == before


@pytest.mark.parametrize(
    ("function", "name"), [(os.mkdir, "mkdir"), (eval, "eval"), (print, "print")]
)
def test_a_file_with_code_in_it_is_refused_and_the_code_is_not_run(
    function, name, weights, tmp_path, refusal
):
    source, made = tmp_path / "vis_model.pth", tmp_path / "made"
    argument = f"__import__('os').mkdir({str(made)!r})" if function is eval else str(made)
    torch.save({"state_dict": weights, "args": Danger(function, argument)}, source)
    with refusal(f"source: expected a checkpoint of tensors alone, got one that asks for .*{name}"):
        pickled.read(source)
    assert not made.exists()


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("protocol", [3, 4, 5])
def test_code_in_a_newer_kind_of_pickle_is_refused_too(protocol, weights, tmp_path, refusal):
    source, made = tmp_path / "vis_model.pth", tmp_path / "made"
    found = {"state_dict": weights, "args": Danger(os.mkdir, str(made))}
    torch.save(found, source, pickle_protocol=protocol)
    asks = "posix.mkdir|nt.mkdir|what PyTorch does not read safely"
    with refusal(
        f"source: expected a checkpoint of tensors alone, got one that asks for .*({asks})"
    ):
        pickled.read(source)
    assert not made.exists()


def test_a_stand_in_does_nothing_with_what_it_is_given():
    stand_in = pickled._stand_in("ml_mdm.config.Settings")
    made = stand_in(1, of="anything")
    made.__setstate__({"width": 64})
    assert not vars(made) and stand_in.__module__ == "ml_mdm.config"


@pytest.mark.parametrize("content", [b"", b"not a checkpoint", pickle.dumps({"a": 1})])
def test_another_kind_of_file_is_refused(content, tmp_path, refusal):
    source = tmp_path / "vis_model.pth"
    source.write_bytes(content)
    with refusal("source: expected a checkpoint that torch.save wrote"):
        pickled.read(source)


@pytest.mark.parametrize("found", [{}, [1, 2], {"state_dict": {"a": 1}}, {"a": 1}])
def test_a_file_without_weights_is_refused(found, tmp_path, refusal):
    source = tmp_path / "vis_model.pth"
    torch.save(found, source)
    with refusal("source: expected weights by name, got none"):
        pickled.read(source)
