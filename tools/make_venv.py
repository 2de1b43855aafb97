"""Make `.venv` with everything the book needs: `make` calls this, with whatever Python there is.

    python3 tools/make_venv.py [cpu]

Needs nothing but Python. A PyTorch that the machine has already, of a version that
`pyproject.toml` admits, is kept; `cpu` takes PyTorch's builds without CUDA, which are smaller.
An interrupted run is finished by the next one; a finished one is not repeated.
"""

from __future__ import annotations  # so that an old Python gets as far as the complaint

import hashlib
import operator
import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
OLDEST = (3, 11)
CPU_BUILDS = "https://download.pytorch.org/whl/cpu"
COMPARE = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


def complaint(version: tuple[int, ...], missing: list[str]) -> str | None:
    """What keeps a Python of this version, without these modules, from making the environment."""
    got = ".".join(map(str, version[:2]))
    if version[:2] < OLDEST:
        wanted = ".".join(map(str, OLDEST))
        return f"Python {wanted} or newer is needed, this is {got}: try make book PYTHON=python3.12"
    if missing:
        return f"Python lacks {' and '.join(missing)}: try apt install python{got}-venv"
    return None


def numbers(version: str) -> tuple[int, ...]:
    """The part of a version that can be compared: "2.10.0+cpu" becomes (2, 10)."""
    release = re.split(r"[^\d.]", version)[0]
    return tuple(int(part) for part in re.sub(r"(\.0)*\.?$", "", release).split("."))


def admits(bounds: str, version: str) -> bool:
    """Whether bounds such as ">=2.4,<3" hold for a version."""
    return all(
        COMPARE[sign](numbers(version), numbers(limit))
        for sign, limit in re.findall(r"([<>=!]+)\s*([\d.]+)", bounds)
    )


def torch_bounds(pyproject: str) -> str:
    """The versions of PyTorch that the package admits, as `pyproject.toml` writes them.

    Raises:
        ValueError: if it does not name PyTorch.
    """
    found = re.search(r'"torch\b([^";]*)[";]', pyproject)
    if found is None:
        raise ValueError('pyproject.toml: expected a dependency "torch…", got none')
    return found[1]


def torch_of(python: str) -> str | None:
    """The version of PyTorch that an interpreter can import."""
    command = [python, "-c", "import torch; print(torch.__version__)"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or None


def without_torch(requirements: str) -> str:
    """The requirements, but for PyTorch itself."""
    return re.sub(r"(?m)^torch==.*\n", "", requirements)


def fingerprint() -> str:
    """What `.venv/ready` says when the environment holds what it should."""
    files = (ROOT / "requirements.txt", ROOT / "pyproject.toml")
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


def pip(*words: str) -> None:
    """Call the environment's pip; stop where it fails."""
    command = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", *words]
    if subprocess.run(command, check=False).returncode:
        sys.exit("The packages were not installed: the reason stands above. Then run make again.")


def create(*, share: bool) -> bool:
    """Make the environment, unless one whose pip works is there.

    Returns:
        Whether it shares the machine's own packages.
    """
    try:
        subprocess.run([str(PYTHON), "-m", "pip", "--version"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        options = ["--clear", "--system-site-packages"] if share else ["--clear"]
        subprocess.run([sys.executable, "-m", "venv", *options, str(VENV)], check=True)
    settings = (VENV / "pyvenv.cfg").read_text()
    return "include-system-site-packages = true" in settings


def install(flavour: str, *, keep_torch: bool) -> None:
    """Install the pinned requirements and the package itself."""
    requirements = (ROOT / "requirements.txt").read_text()
    pinned = re.findall(r"(?m)^torch==[\w.]+", requirements)
    if keep_torch:
        requirements = without_torch(requirements)
    elif flavour == "cpu":
        pip("install", "--no-deps", "--index-url", CPU_BUILDS, *pinned)
    wanted = VENV / "requirements.txt"
    wanted.write_text(requirements)
    pip("install", "--requirement", str(wanted))
    pip("install", "--no-deps", "--editable", str(ROOT))


def main() -> None:
    """Do what is left to do."""
    missing = [name for name in ("venv", "ensurepip") if find_spec(name) is None]
    if reason := complaint(sys.version_info[:2], missing):
        sys.exit(reason)
    ready = VENV / "ready"
    if not ready.exists() or ready.read_text() != fingerprint():
        ready.unlink(missing_ok=True)
        torch = torch_of(getattr(sys, "_base_executable", sys.executable))
        bounds = torch_bounds((ROOT / "pyproject.toml").read_text())
        suitable = torch is not None and admits(bounds, torch)
        shares = create(share=suitable)
        install("".join(sys.argv[1:]), keep_torch=suitable and shares)
    ready.write_text(fingerprint())


if __name__ == "__main__":
    main()
