import os
import subprocess
import sys
import time

import pytest

from edudiff.grading import confine, session
from edudiff.grading.confine import Confinement
from edudiff.grading.session import Stopped, open_session, resident


def child(monkeypatch, code: str):
    """A session with a process that runs this code, without confinement."""
    monkeypatch.setattr(confine, "python", lambda module: [sys.executable, "-c", code])
    return open_session(Confinement(), "", 10**9)


ECHO = "import sys\nfor line in sys.stdin: print(line.strip(), flush=True)"


def test_messages_go_and_come(monkeypatch):
    with child(monkeypatch, ECHO) as talk:
        assert talk.ask({"a": 1}, 20.0) == {"a": 1}
        assert talk.ask({"b": "x" * 10**6}, 20.0) == {"b": "x" * 10**6}


@pytest.mark.parametrize(
    ("code", "why"),
    [
        ("while True: pass", "still running when its time was up"),
        ("import os; os._exit(0)", "The process ended itself"),
        ("print('not JSON', flush=True); input()", "damaged data"),
        ("print(3, flush=True); input()", "damaged data"),
        ("print('[' * 10**5, flush=True); input()", "damaged data"),
        ("raise ValueError('my words')", "my words"),
    ],
)
def test_what_goes_wrong_is_told(monkeypatch, code, why):
    with pytest.raises(Stopped, match=why), child(monkeypatch, code) as talk:
        talk.receive(3.0)


def test_a_process_that_reads_nothing_cannot_stall_us(monkeypatch):
    start = time.monotonic()
    with pytest.raises(Stopped), child(monkeypatch, "import time; time.sleep(60)") as talk:
        talk.ask({"a": "x" * 10**6}, 1.0)
    assert time.monotonic() - start < 20


def test_endless_answers_are_cut_off(monkeypatch):
    monkeypatch.setattr(session, "MOST", 10**6)
    with pytest.raises(Stopped, match="too much data"):
        with child(monkeypatch, "while True: print('x' * 10**5, end='')") as talk:
            talk.receive(20.0)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc here")
def test_processes_are_stopped_that_use_too_much_memory_together(monkeypatch):
    code = (
        "import os; os.fork(); os.fork(); x = bytearray(4 * 10**8); x[:] = b'1' * len(x); input()"
    )
    with pytest.raises(Stopped, match="too much memory"), child(monkeypatch, code) as talk:
        talk.receive(20.0)


@pytest.mark.skipif(not os.path.exists("/proc/self/stat"), reason="no /proc here")
def test_the_memory_of_descendants_counts():
    code = "x = bytearray(2 * 10**8); x[:] = b'1' * len(x); print(1, flush=True); input()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", code], **pipes) as process:
        process.stdout.readline()
        assert resident(process.pid) > 2 * 10**8
        assert resident(os.getpid()) > resident(process.pid)
        process.communicate(b"\n")


def test_nothing_is_left_running(monkeypatch, tmp_path):
    beats = tmp_path / "beats"
    code = f"""
import os, time
if os.fork():
    while not os.path.exists({str(beats)!r}):
        time.sleep(0.02)
    print(3, flush=True)  # a number is no message
while True:
    open({str(beats)!r}, "a").write("x")
    time.sleep(0.02)
"""
    with pytest.raises(Stopped), child(monkeypatch, code) as talk:
        talk.receive(20.0)
    after = beats.read_text()
    time.sleep(0.3)
    assert beats.read_text() == after != ""
