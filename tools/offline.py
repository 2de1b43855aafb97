"""Run a command that reaches this machine and no other.

    python tools/offline.py pytest …

On Linux, where the system lets anyone do so, the command gets a network of its own with nothing
in it. Elsewhere it runs as it is, and this is said.
"""

import fcntl
import os
import shutil
import socket
import struct
import subprocess
import sys

UNSHARE = ("unshare", "--user", "--map-root-user", "--net")
SET_FLAGS, UP = 0x8914, 0x1  # SIOCSIFFLAGS and IFF_UP of Linux's <linux/if.h>


def can_cut_off() -> bool:
    """Whether this system lets us have a network of our own."""
    if shutil.which(UNSHARE[0]) is None:
        return False
    return subprocess.run([*UNSHARE, "true"], capture_output=True, check=False).returncode == 0


def wake_loopback() -> None:
    """Let a machine without a network speak to itself, as notebooks and browsers do."""
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh22x", b"lo", UP))


def main(words: list[str]) -> None:
    """Become the command; `--inside` says that the network is cut already."""
    if words[0] == "--inside":
        wake_loopback()
        os.execvp(words[1], words[1:])
    if can_cut_off():
        os.execvp(UNSHARE[0], [*UNSHARE, sys.executable, __file__, "--inside", *words])
    print("This system does not let the network be cut off: running with it.", flush=True)
    os.execvp(words[0], words)


if __name__ == "__main__":
    main(sys.argv[1:])
