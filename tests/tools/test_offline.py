import subprocess
import sys
from pathlib import Path

import pytest

import offline

SCRIPT = Path(offline.__file__)
ASK = """
import socket
server = socket.create_server(("127.0.0.1", 0))
socket.create_connection(server.getsockname(), 1)
try:
    socket.create_connection(("192.0.2.1", 80), 1)
except OSError as error:
    print(type(error).__name__, error.errno)
"""


def run(*words):
    command = [sys.executable, str(SCRIPT), *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.skipif(not offline.way(), reason="the network cannot be cut off here")
def test_the_command_reaches_this_machine_and_no_other():
    assert run(sys.executable, "-c", ASK).stdout == "OSError 101\n"


def test_the_command_decides_the_exit_status():
    assert run(sys.executable, "-c", "raise SystemExit(3)").returncode == 3


def test_a_system_that_cannot_cut_off_is_said_to(monkeypatch, capsys):
    started = []
    monkeypatch.setattr(offline, "way", lambda: ())
    monkeypatch.setattr(offline.os, "execvp", lambda file, words: started.append(words))
    offline.main(["pytest", "-q"])
    assert started == [["pytest", "-q"]]
    assert "does not let the network be cut off" in capsys.readouterr().out
