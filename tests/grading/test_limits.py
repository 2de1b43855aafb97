import json
import subprocess
import sys
from dataclasses import asdict

import pytest

from edudiff.grading import limits
from edudiff.grading.limits import Limits

LITTLE = Limits(seconds=1.0, memory=300 * 10**6, processes=4, file=1000)
TRY = """
import json, os, socket, sys
from edudiff.grading import limits
limits.apply(limits.Limits(**json.loads(sys.argv[1])), alone=False)
try:
    {code}
    print("allowed")
except (MemoryError, OSError) as error:
    print(type(error).__name__, error)
"""


def run(code: str) -> str:
    words = [sys.executable, "-c", TRY.format(code=code), json.dumps(asdict(LITTLE))]
    return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()


def test_what_is_within_the_limits_is_allowed():
    assert run("x = bytearray(10**6)") == "allowed"


@pytest.mark.skipif(sys.platform != "linux", reason="macOS has no limit on memory")
def test_memory_is_limited():
    assert run("x = bytearray(50 * 10**9)").startswith("MemoryError")


def test_files_are_limited(tmp_path):
    code = f"f = open({str(tmp_path / 'x')!r}, 'wb', 0); [f.write(bytes(500)) for _ in range(9)]"
    assert "File too large" in run(code)


def test_limits_cannot_be_raised_again():
    code = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (10**9, 10**9))"
    assert "allowed" not in run(code)


def test_sockets_are_refused_once_they_are_blocked():
    assert "network: expected none" in run(
        "limits.block_sockets(); socket.create_connection(('127.0.0.1', 9))"
    )


def test_libraries_load_with_sockets_blocked():
    assert run("limits.block_sockets(); import ssl, http.client") == "allowed"


def test_every_process_of_this_user_is_counted():
    before = limits.running()
    if before is None:
        pytest.skip("no /proc here")
    sleeper = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        assert limits.running() >= 2
    finally:
        sleeper.kill()
        sleeper.communicate()


@pytest.mark.skipif(sys.platform != "linux", reason="/proc does not tell there")
def test_what_a_process_holds_grows_with_what_it_fills():
    before = limits.held()
    block = b"x" * 10**8
    assert 0.9e8 < limits.held() - before < 2e8 and len(block) == 10**8
