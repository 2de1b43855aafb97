"""A time limit that works in a notebook, in a thread and on every system."""

import ctypes
import sys
import threading
import time
import traceback
from collections.abc import Callable

PATIENCE = 1.0
"""Seconds that code is given to stop, before it is made to stand still."""


class TimeUp(BaseException):
    """Raised inside code whose time is up; no `except Exception` holds it."""


class Parked(TimeUp):
    """Raised inside code that catches everything, and holds it for good where it catches this.

    An exception is made in the thread in which it is raised, so whatever waits here stands still:
    it computes nothing and prints nothing any more.
    """

    def __init__(self) -> None:
        threading.Event().wait()


def finish_within(seconds: float, work: Callable[[], None]) -> traceback.StackSummary | None:
    """Run `work` in a thread of its own, and stop it when its time is up.

    A signal would be simpler, but exists only in main threads and not on every system. A thread
    can be stopped between two steps of Python, not within one long call, such as a sleep; it is
    then left behind, and stops after that call. Code that catches everything is parked.

    Args:
        seconds: how long it may take.
        work: what to do. An exception that leaves it is lost: let it keep its own.

    Returns:
        None if it finished; otherwise where it stood when the time was up.
    """
    lock, finished = threading.Lock(), threading.Event()

    def run() -> None:
        try:
            try:
                work()
            finally:
                with lock:
                    finished.set()
        except BaseException:  # a late TimeUp must not print our traceback
            pass

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        if finished.wait(seconds):
            return None
        return _where(thread)
    finally:  # also when the wait itself is interrupted
        _stop(thread, lock, finished)


def _where(thread: threading.Thread) -> traceback.StackSummary:
    frame = sys._current_frames().get(thread.ident or 0)
    return traceback.extract_stack(frame) if frame else traceback.StackSummary()


def _stop(thread: threading.Thread, lock: threading.Lock, finished: threading.Event) -> None:
    end = time.monotonic() + PATIENCE
    while thread.is_alive() and not finished.is_set() and time.monotonic() < end:
        _raise_in(thread, TimeUp, lock, finished)
        finished.wait(0.01)
    _raise_in(thread, Parked, lock, finished)


def _raise_in(
    thread: threading.Thread, kind: type[TimeUp], lock: threading.Lock, finished: threading.Event
) -> None:
    with lock:
        if not finished.is_set():
            ident = ctypes.c_ulong(thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(kind))
