"""What keeps a submission in: the strongest means that this system allows."""

import contextlib
import functools
import os
import shutil
import site
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import edudiff
from edudiff.grading import guard, stub

USER = 60578 + os.getpid() % 600
"""A number that no user has, so that all of its processes belong to this grader's submissions."""

ROOT = str(Path(edudiff.__file__).parents[1])
NAMESPACES = "--net --ipc --mount --pid --fork --kill-child --mount-proc".split()
NO_POWER = "--no-new-privs --bounding-set=-all --inh-caps=-all".split()
BECOME = ["--reuid", str(USER), "--regid", str(USER), "--clear-groups"]
KEPT = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH")
"""Of the environment all else is left behind: it may hold secrets."""


@dataclass(frozen=True)
class Confinement:
    """How processes are started.

    Attributes:
        own_user: whether they run as a user of their own.
        namespaces: words before the guard that give them a network, files and processes of their
            own; empty if that is not allowed.
        wrapped: whether `setpriv` is there to take rights away.
        hide: what they shall not see.
    """

    own_user: bool = False
    namespaces: tuple[str, ...] = ()
    wrapped: bool = False
    hide: tuple[str, ...] = ()

    @property
    def alone(self) -> bool:
        """Whether nothing but the submission runs as its user."""
        return self.own_user or bool(self.namespaces)

    def command(self, words: Sequence[str], scratch: str) -> list[str]:
        """The whole command line for a command that begins in the scratch folder."""
        inner = list(words)
        if self.wrapped:
            become = BECOME if self.own_user else []
            inner = ["setpriv", *become, *NO_POWER, "--pdeathsig", "KILL", *inner]
        if not self.namespaces:
            return inner
        plan = guard.Plan(keep(), self.hide, scratch, tuple(inner))
        first = [*python("edudiff.grading.guard"), plan.to_word()]
        return ["setpriv", "--pdeathsig", "KILL", *self.namespaces, *first]

    @contextlib.contextmanager
    def scratch(self) -> Iterator[str]:
        """A folder of their own, gone afterwards."""
        place = "/tmp" if self.namespaces else None
        folder = Path(tempfile.mkdtemp(prefix="edudiff-grade-", dir=place))
        try:
            if self.own_user:
                os.chown(folder, USER, USER)
            yield str(folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)

    def sweep(self) -> None:
        """End every process that their user still has; namespaces end by themselves."""
        if self.own_user and not self.namespaces:
            kill = ["setpriv", *BECOME, "sh", "-c", "kill -9 -1"]
            subprocess.run(kill, check=False, stderr=subprocess.DEVNULL)


def python(module: str) -> list[str]:
    """The words that run a module of ours, whatever lies in the folder where it begins."""
    return [sys.executable, "-P", "-m", module]


def environment(scratch: str) -> dict[str, str]:
    """The environment of a submission: one thread, no GPU, no secrets."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    threads = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    return (
        kept
        | dict.fromkeys(threads, "1")
        | {
            "HOME": scratch,
            "TMPDIR": scratch,
            "MPLCONFIGDIR": scratch,
            "MPLBACKEND": "Agg",
            "PYTHONPATH": ROOT,
            "PYTHONDONTWRITEBYTECODE": "1",
            "CUDA_VISIBLE_DEVICES": "",
            "TQDM_DISABLE": "1",
            "HF_HUB_OFFLINE": "1",
        }
    )


def keep() -> tuple[str, ...]:
    """The folders without which Python and this package do not run; none lies in another."""
    needed = {os.path.realpath(path) for path in (sys.prefix, sys.base_prefix, sys.exec_prefix)}
    needed |= {os.path.dirname(os.path.realpath(sys.executable)), os.path.realpath(ROOT)}
    needed |= {os.path.realpath(path) for path in site.getsitepackages()}
    needed = {path for path in needed if not path.startswith(("/usr", "/lib", "/bin"))} - {"/"}
    inner = {path for path in needed for other in needed if path.startswith(f"{other}/")}
    return tuple(sorted(needed - inner))


def hidden(more: Sequence[Path]) -> tuple[str, ...]:
    """What submissions do not see: the home folder, what everybody may write, answers, and more."""
    answers = [path for path in stub.FOLDER.glob("*.py") if path.stem not in stub.PLAIN]
    answers = [path for path in answers if path.stem != "__init__"]
    home = [Path.home()] if Path.home() != Path("/") else []
    wanted = [*home, *map(Path, guard.OPEN), *more, *answers, stub.FOLDER / "__pycache__"]
    tight = [path for path in keep() if path.startswith("/tmp/")]
    return tuple(str(path.resolve()) for path in wanted if not (tight and path == Path("/tmp")))


@functools.cache
def works(confinement: Confinement) -> bool:
    """Whether Python and this package can be run so."""
    words = [sys.executable, "-P", "-c", "import os, edudiff; print(os.__file__, edudiff.__file__)"]
    try:
        with confinement.scratch() as scratch:
            done = subprocess.run(
                confinement.command(words, scratch),
                cwd=scratch,
                env=environment(scratch),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=60,
            )
    except (OSError, subprocess.TimeoutExpired):
        return False
    same = f"{os.__file__} {edudiff.__file__}"  # not some other Python's modules
    return done.stdout.decode(errors="replace").strip() == same


def candidates(hide: tuple[str, ...]) -> Iterator[Confinement]:
    """Ways to start a submission, the strongest first."""
    root = hasattr(os, "geteuid") and os.geteuid() == 0
    user = [] if root else ["--user", "--map-root-user"]
    yield Confinement(root, ("unshare", *user, *NAMESPACES), True, hide)
    yield Confinement(root, (), True)
    if not root:
        yield Confinement()


def choose(more: Sequence[Path] = ()) -> Confinement:
    """The strongest way that works here.

    Args:
        more: folders that submissions shall not see.

    Raises:
        OSError: if there is none; so for root where no other user can be used, because root's
            rights are never lent to strangers' code.
    """
    for confinement in candidates(hidden(more)):
        if works(confinement):
            return confinement
    raise OSError(
        "grade: expected a system where code can run with fewer rights than yours, found none. "
        "Run it as an ordinary user, or on a throw-away machine with util-linux (setpriv)."
    )
