"""Run every test, in three phases and without a network: `make test` calls this."""

import os
import subprocess
import sys
import time

import build_book

ROOT = build_book.ROOT
OFFLINE = [sys.executable, str(ROOT / "tools" / "offline.py")]
PROCESSES = ["-n", str(os.cpu_count() or 1), "--dist", "loadgroup"]
PYTEST = [sys.executable, "-m", "pytest", "-q", *PROCESSES]
PHASES = {
    "The package and the tools": ["tests", "--ignore=tests/site"],
    "The notebooks, as a student receives them": ["--nbmake", "--nbmake-timeout=900", "notebooks"],
    "The site, in a browser": ["tests/site"],
}
ENVIRONMENT = {**os.environ, **build_book.ENVIRONMENT}


def announce(title: str) -> None:
    """Say which phase begins."""
    print(f"\n=== {title} ".ljust(80, "="), flush=True)


def run(title: str, words: list[str]) -> bool:
    """Run one phase; whether it passed."""
    announce(title)
    start = time.monotonic()
    done = subprocess.run([*OFFLINE, *PYTEST, *words], cwd=ROOT, env=ENVIRONMENT, check=False)
    print(f"{title}: {time.monotonic() - start:.0f} s", flush=True)
    return done.returncode == 0


def main() -> None:
    """Build what is out of date, run all phases, and end in failure if one failed."""
    announce("The book")
    build_book.build()
    failed = [title for title, words in PHASES.items() if not run(title, words)]
    if failed:
        sys.exit(f"\nFailed: {'; '.join(failed)}.")
    print("\nEverything passed.")


if __name__ == "__main__":
    main()
