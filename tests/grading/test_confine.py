import os
import sys
from pathlib import Path

import pytest

import edudiff
from edudiff.grading import confine
from edudiff.grading.confine import Confinement


def test_secrets_of_the_environment_stay_behind(monkeypatch):
    monkeypatch.setenv("SECRET_TOKEN", "1")
    assert "SECRET_TOKEN" not in confine.environment("/scratch")


def test_the_strongest_way_comes_first():
    ways = list(confine.candidates(()))
    assert ways[0].namespaces and not ways[-1].namespaces


def test_root_never_lends_its_rights():
    if os.geteuid():
        pytest.skip("only root can")
    assert all(way.own_user for way in confine.candidates(()))


def test_nothing_that_works_is_told_in_a_sentence(monkeypatch):
    monkeypatch.setattr(confine, "works", lambda confinement: False)
    with pytest.raises(OSError, match="grade: expected a system where code can run"):
        confine.choose()


def test_what_is_chosen_works(confinement):
    assert confine.works(confinement)


def test_a_command_that_is_not_there_does_not_work():
    assert not confine.works(Confinement(namespaces=("no-such-command",)))


def test_without_means_the_command_is_as_it_was():
    assert Confinement().command(["a", "b"], "/scratch") == ["a", "b"]


def test_python_and_the_package_are_kept():
    kept = [*confine.keep(), "/usr", "/lib", "/bin"]
    for path in (sys.prefix, sys.base_prefix, edudiff.__file__):
        assert any(Path(os.path.realpath(path)).is_relative_to(folder) for folder in kept)


def test_answers_are_hidden_and_what_the_process_needs_is_not():
    hidden = [Path(path).name for path in confine.hidden([])]
    assert {"catalogue.py", "forward_diffusion.py"} <= set(hidden)
    assert not {"runner.py", "plain.py", "limit.py", "__init__.py"} & set(hidden)


def test_a_scratch_folder_is_gone_afterwards(confinement):
    with confinement.scratch() as scratch:
        assert os.path.isdir(scratch)
    assert not os.path.exists(scratch)


def test_a_folder_that_cannot_be_given_away_is_no_way(monkeypatch):
    def refuse(*_):
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(confine.os, "chown", refuse)
    assert not confine.works.__wrapped__(Confinement(own_user=True))
