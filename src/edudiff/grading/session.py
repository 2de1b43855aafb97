"""One process with a submission in it, and lines of JSON in both directions. It cannot stall us."""

import contextlib
import json
import os
import selectors
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from edudiff.grading import confine
from edudiff.grading.confine import Confinement

Message = dict[str, Any]

TICK = 0.25
"""Seconds between two looks at the memory."""
MOST = 64 * 10**6
"""Bytes that one message may have."""


class Stopped(Exception):
    """The submission's process is no longer asked; the text says why."""


class TooMuchMemory(Stopped):
    """So was a process that held too much memory."""


class Session:
    """A running submission; begins with `open_session`.

    Attributes:
        memory: bytes that its processes may hold together.
    """

    def __init__(self, process: "subprocess.Popen[bytes]", memory: int) -> None:
        self.memory = memory
        self._process = process
        assert process.stdin and process.stdout
        self._in, self._out = process.stdin.fileno(), process.stdout.fileno()
        self._arrived = bytearray()
        for end in (self._in, self._out):
            os.set_blocking(end, False)

    def ask(self, message: Message, seconds: float) -> Message:
        """Send a message and wait for the answer.

        Raises:
            Stopped: as `receive` does.
        """
        return self.receive(seconds, json.dumps(message).encode() + b"\n")

    def receive(self, seconds: float, to_send: bytes = b"") -> Message:
        """The next message, after all of `to_send` has been sent.

        Raises:
            Stopped: if it does not come in time, the process has ended or holds too much memory,
                or what comes is no message.
        """
        end, next_look = time.monotonic() + seconds, 0.0
        with selectors.DefaultSelector() as selector:
            selector.register(self._out, selectors.EVENT_READ)
            if to_send:
                selector.register(self._in, selectors.EVENT_WRITE)
            while b"\n" not in self._arrived or to_send:
                now = time.monotonic()
                if now > end:
                    raise Stopped("It was still running when its time was up.")
                if now > next_look:
                    self._look_at_memory()
                    next_look = now + TICK
                for key, _ in selector.select(TICK):
                    if key.fd == self._out:
                        self._read()
                    else:
                        to_send = self._write(to_send)
                        if not to_send:
                            selector.unregister(self._in)
        return self._take()

    def _read(self) -> None:
        piece = os.read(self._out, 1 << 20)
        if not piece:
            raise Stopped("The process ended itself.")
        self._arrived += piece
        if len(self._arrived) > MOST:
            raise Stopped("It answered with too much data.")

    def _write(self, to_send: bytes) -> bytes:
        try:
            return to_send[os.write(self._in, to_send[: 1 << 16]) :]
        except BrokenPipeError:
            raise Stopped("The process ended itself.") from None

    def _take(self) -> Message:
        line, _, rest = bytes(self._arrived).partition(b"\n")
        self._arrived = bytearray(rest)
        try:
            message = json.loads(line)
        except (ValueError, RecursionError):
            raise Stopped("It answered with damaged data.") from None
        if not isinstance(message, dict):
            raise Stopped("It answered with damaged data.")
        return message

    def _look_at_memory(self) -> None:
        if self._process.poll() is not None and not self._arrived:
            self._read()  # what is left in the pipe, or the news that nothing is
        if resident(self._process.pid) > self.memory:
            raise TooMuchMemory("It used too much memory.")


@contextlib.contextmanager
def open_session(confinement: Confinement, module: str, memory: int) -> Iterator[Session]:
    """Run a module of ours in confinement; afterwards nothing of it is left.

    Raises:
        OSError: if the process cannot be started.
    """
    with confinement.scratch() as scratch, tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            confinement.command(confine.python(module), scratch),
            cwd=scratch,
            env=confine.environment(scratch),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            start_new_session=True,
        )
        try:
            yield Session(process, memory)
        except Stopped as stopped:
            errors.seek(max(0, os.fstat(errors.fileno()).st_size - 500))
            last = errors.read().decode(errors="replace").strip().splitlines()[-1:]
            raise type(stopped)(" ".join([str(stopped), *last])) from None
        finally:
            end(process)
            confinement.sweep()


def end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and those that it started, as far as they did not break away."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        with contextlib.suppress(OSError):
            pipe.close() if pipe else None


def resident(root: int) -> int:
    """Bytes of memory that a process and its descendants hold; 0 where /proc does not tell."""
    parents, pages = {}, {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (OSError, ValueError):
            continue
        parents[int(folder.name)] = int(fields[1])
        pages[int(folder.name)] = int(fields[21])
    family, size = {root}, 0
    while len(family) != size:
        size = len(family)
        family |= {child for child, parent in parents.items() if parent in family}
    return sum(pages.get(pid, 0) for pid in family) * os.sysconf("SC_PAGE_SIZE")
