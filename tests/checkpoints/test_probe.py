import socket
import time

import pytest
import torch

from edudiff.checkpoints import probe
from edudiff.checkpoints.table import MODELS

FULL = MODELS["stable-diffusion"].full


def gpu(monkeypatch, *, free, reserved=0):
    """What PyTorch would say with a GPU."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 2 * free))
    monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: reserved)


def no_gpu(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def test_without_a_gpu_there_is_no_gpu_memory(monkeypatch):
    no_gpu(monkeypatch)
    assert probe.gpu_memory() is None


def test_memory_that_others_use_does_not_count(monkeypatch):
    gpu(monkeypatch, free=7)
    assert probe.gpu_memory() == 7


def test_memory_that_this_process_holds_already_counts(monkeypatch):
    gpu(monkeypatch, free=7, reserved=3)
    assert probe.gpu_memory() == 10


def test_a_gpu_that_cannot_be_used_counts_as_none(monkeypatch):
    def broken():
        raise RuntimeError("CUDA driver initialization failed")

    no_gpu(monkeypatch)
    gpu(monkeypatch, free=7)
    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    assert probe.gpu_memory() is None


def test_a_mac_s_gpu_counts(monkeypatch):
    no_gpu(monkeypatch)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.mps, "recommended_max_memory", lambda: 11)
    assert probe.gpu_memory() == 11


def test_a_hub_that_answers_is_reachable_and_sends_no_file(web):
    assert probe.hub(FULL) == "reachable"
    assert web.fetched == []


def test_a_licence_to_accept_is_told_from_a_missing_repository(web):
    web.refuses = "GatedRepo"
    assert probe.hub(FULL) == "gated"


@pytest.mark.parametrize("code", ["RepoNotFound", "RevisionNotFound", "EntryNotFound"])
def test_a_hub_without_the_repository_the_revision_or_the_file_is_told(code, web):
    web.refuses = code
    assert probe.hub(FULL) == "missing"


def test_the_environment_can_forbid_to_ask(home):
    assert probe.hub(FULL) == "switched off"


def test_no_connection_is_unreachable(nobody_answers):
    assert probe.hub(FULL) == "unreachable"


def test_a_server_that_fails_is_unreachable(web):
    web.refuses = "Broken"
    assert probe.hub(FULL) == "unreachable"


def test_a_hub_that_keeps_silent_is_given_up_after_a_moment(web, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(probe.constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        begin = time.monotonic()
        assert probe.hub(FULL, seconds=0.2) == "unreachable"
    assert time.monotonic() - begin < 2
