import socket
import sys
import time

import pytest

from edudiff.training import traffic

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells")


@linux
def test_what_is_sent_is_counted():
    with socket.create_server(("127.0.0.1", 0)) as server:
        near = socket.create_connection(server.getsockname())
        far, _ = server.accept()
        with near, far:
            before = traffic.sent()
            near.sendall(b"x" * 50_000)
            left = 50_000
            while left:
                left -= len(far.recv(left))
            for _ in range(200):
                counted = traffic.sent() - before
                if counted >= 50_000:
                    break
                time.sleep(0.01)
            assert counted == 50_000


@linux
def test_it_leaves_no_file_open():
    import os

    traffic.sent()
    before = len(os.listdir("/proc/self/fd"))
    with socket.socketpair()[0], open(os.devnull):
        traffic.sent()
    assert len(os.listdir("/proc/self/fd")) <= before


def test_elsewhere_it_says_nothing(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    assert traffic.sent() is None
