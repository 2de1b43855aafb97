import os
import signal
import threading
import time

import pytest

from edudiff.exercises import limit
from edudiff.exercises.limit import finish_within


def endless():
    while True:
        pass


def swallows_exceptions():
    while True:
        try:
            time.sleep(0.001)
        except Exception:
            pass


def test_work_that_is_done_leaves_no_trace():
    done = []
    assert finish_within(5.0, lambda: done.append(1)) is None
    assert done == [1]


@pytest.mark.parametrize("work", [endless, swallows_exceptions])
def test_endless_work_is_stopped_where_it_stood(work):
    before = threading.active_count()
    stack = finish_within(0.2, work)
    assert work.__name__ in [frame.name for frame in stack]
    time.sleep(0.1)
    assert threading.active_count() == before


def swallows_everything():
    while True:
        try:
            sum(range(100))
        except BaseException:
            pass


def catches_everything_in_print():
    while True:
        try:
            print(end="")
        except BaseException:
            print(end="")


@pytest.mark.parametrize("work", [swallows_everything, catches_everything_in_print])
def test_work_that_catches_everything_stands_still(work, monkeypatch):
    monkeypatch.setattr(limit, "PATIENCE", 0.1)
    assert finish_within(0.1, work) is not None
    time.sleep(0.1)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.1


def test_it_works_outside_the_main_thread():
    found = []
    thread = threading.Thread(target=lambda: found.append(finish_within(0.2, endless)))
    thread.start()
    thread.join(10)
    assert found[0] is not None


def test_work_that_cannot_be_stopped_is_left_behind(monkeypatch):
    monkeypatch.setattr(limit, "PATIENCE", 0.2)
    release = threading.Event()
    start = time.monotonic()
    assert finish_within(0.1, lambda: release.wait(60)) is not None
    assert time.monotonic() - start < 5
    release.set()


def test_an_exception_shows_no_traceback_of_ours(capfd):
    def work():
        raise SystemExit(3)

    assert finish_within(5.0, work) is None
    assert capfd.readouterr() == ("", "")


def test_stopping_shows_no_traceback_of_ours(capfd):
    for _ in range(5):
        finish_within(0.02, endless)
    assert capfd.readouterr() == ("", "")


@pytest.fixture
def interruptible():
    """As at a terminal: a shell lets what it starts in the background ignore interrupts."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interruptible")
def test_whoever_waits_can_interrupt_it_and_the_work_stops_too():
    before = threading.active_count()
    interrupt = threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        finish_within(30.0, endless)
    interrupt.join()
    time.sleep(0.1)
    assert threading.active_count() == before
