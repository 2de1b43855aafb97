"""The student's side: run a notebook, then answer with plain data what is asked of its functions.

Started as a process of its own for each submission. It is sent inputs and sends back what the
functions made of them; it knows no right answer.
"""

import contextlib
import functools
import json
import linecache
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any

from edudiff.grading import cells, limits, stub
from edudiff.grading.limits import Limits

Message = dict[str, Any]


def lead_nowhere(*ends: int) -> None:
    """Connect these of the standard input, output and error to nothing."""
    nowhere = os.open(os.devnull, os.O_RDWR)
    for end in ends:
        os.dup2(nowhere, end)


class Channel:
    """Our end of the line to the grader. The submission's own input and output lead nowhere.

    Attributes:
        alone: whether all processes that this one can reach are the submission's.
    """

    def __init__(self) -> None:
        self.alone = False
        self._owner = os.getpid()
        self._in, self._out = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
        lead_nowhere(0, 1)

    def send(self, **message: Any) -> None:
        """Send a message; in a copy of this process, made by a submission that forks, end it."""
        self.only_once()
        self._out.write(json.dumps(message).encode() + b"\n")
        self._out.flush()

    def only_once(self) -> None:
        """End this process if it is a copy."""
        if os.getpid() != self._owner:
            os._exit(0)

    def clear_away(self) -> None:
        """End what a cell has started and left, so that the next one finds room for its own.

        It is gone when this returns: what it held must not be counted against the next cell.
        """
        self.only_once()
        if self.alone:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(-1, signal.SIGKILL)  # all that may be reached, but not this process
            with contextlib.suppress(ChildProcessError):
                while os.waitpid(-1, 0):
                    pass

    def receive(self) -> Message | None:
        """The next message; None if there will be none."""
        line = self._in.readline()
        return json.loads(line) if line else None


def run_cells(
    sources: Sequence[str],
    skip: Sequence[int],
    most: Limits,
    tell: Callable[[int], None],
    clear_away: Callable[[], None] = lambda: None,
) -> list[Message]:
    """Run the cells in order, as a notebook does, each of them for so long at most.

    Args:
        sources: the code.
        skip: numbers of cells, from 1, that ended the process before.
        most: the limits.
        tell: is called with the number of a cell before it runs.
        clear_away: is called after a cell that went wrong.

    Returns:
        For each cell that went wrong its number and what was wrong.
    """
    from edudiff.exercises.limit import finish_within

    module = ModuleType("__main__")
    vars(module)["display"] = lambda *_, **__: None  # Jupyter has one
    sys.modules["__main__"] = module
    end, problems = time.monotonic() + most.seconds, []
    for number, source in enumerate(sources, start=1):
        seconds = min(most.cell_seconds, end - time.monotonic())
        if number in skip or seconds <= 0:
            problem = "" if number in skip else "not run: the notebook's time was used up"
        else:
            tell(number)
            raised: list[str] = []
            late = finish_within(seconds, functools.partial(_run, number, source, module, raised))
            problem = "stopped when its time was up" if late else "".join(raised)
            if problem:
                clear_away()
        if problem:
            problems.append({"cell": number, "problem": problem})
    return problems


def _run(number: int, source: str, module: ModuleType, raised: list[str]) -> None:
    from edudiff.exercises.limit import TimeUp

    name = f"code cell {number}"
    try:
        plain = cells.runnable(source)
        linecache.cache[name] = (len(plain), None, plain.splitlines(keepends=True), name)
        exec(compile(plain, name, "exec"), vars(module))
    except TimeUp:
        raise
    except BaseException as error:  # also SystemExit
        try:
            words = " ".join(str(error).split())[:200]
        except Exception:
            words = ""
        raised.append(f"{type(error).__name__}: {words}".removesuffix(": "))


def answer(handed: dict[str, Any], request: Message) -> Message:
    """What the function handed in for an exercise does with the inputs of this request."""
    from edudiff.exercises.plain import decode
    from edudiff.exercises.runner import probe

    function = handed.get(request["exercise"])
    if function is not None and function is not ... and not callable(function):
        return {"no_function": type(function).__name__[:80]}
    calls = [{name: decode(value) for name, value in call.items()} for call in request["calls"]]
    return {"report": probe(function, calls, seconds=request["seconds"]).to_plain()}


def look(paths: Sequence[str]) -> Message:
    """What this process could do if it wanted to."""
    found = [path for path in paths if _can_read(path)]
    return {
        "user": os.getuid(),
        "network": limits.can_reach_the_network(),
        "sees": found,
    }


def _can_read(path: str) -> bool:
    try:
        return bool(os.listdir(path)) if os.path.isdir(path) else os.path.getsize(path) > 0
    except OSError:
        return False


def main() -> None:
    """Take orders until there are none."""
    channel = Channel()
    order = channel.receive()
    if order is None:
        return
    most = Limits(**order["limits"])
    limits.apply(most, alone=order["alone"])
    channel.alone = order["alone"]
    if "paths" in order:
        channel.send(**look(order["paths"]))
        return
    try:
        sources = cells.read(order["notebook"])
    except ValueError as error:
        channel.send(unreadable=str(error))
        return
    handed = stub.install()
    import torch

    torch.set_num_threads(1)
    if limits.can_reach_the_network():
        limits.block_sockets()
    channel.send(remarks=cells.remarks(sources))
    lead_nowhere(2)  # until here our own mistakes could be read there

    def tell(number: int) -> None:
        channel.send(cell=number, held=limits.held())

    problems = run_cells(sources, order["skip"], most, tell, channel.clear_away)
    channel.send(problems=problems, handed=sorted(handed)[:1000])
    while (request := channel.receive()) is not None:
        channel.send(**answer(handed, request))


if __name__ == "__main__":
    main()
    os._exit(0)  # no thread or exit handler of the submission may hold it up
