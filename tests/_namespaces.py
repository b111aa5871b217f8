"""A network of its own for the processes of a test: all ports are free there, whatever the machine has them for."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Sets the flags of the loopback interface as `ip link set lo up` does (netdevice(7)), and stays until its input ends.
_HOLDER = """
import fcntl, socket, struct, sys
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 1
with socket.socket() as any:
    name, flags = struct.unpack("16sH", fcntl.ioctl(any, SIOCGIFFLAGS, struct.pack("16sH14x", b"lo", 0))[:18])
    fcntl.ioctl(any, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", flags | IFF_UP))
print("up", flush=True)
sys.stdin.read()
"""


@contextmanager
def networkOfItsOwn() -> Iterator[list[str]]:
    """The words before a command that have it run in a new network, with nothing in it but the loopback interface.

    There are none where the system lets nobody make one (a container, mostly): then it is the machine's network, and
    ports can be taken there.
    """
    # Others than root need a user namespace around it, in which they are root.
    making, entering = ([], []) if os.getuid() == 0 else (["--map-root-user"], ["--user", "--preserve-credentials"])
    if shutil.which("unshare") is None or shutil.which("nsenter") is None:
        yield []
        return
    with subprocess.Popen(
        ["unshare", *making, "--net", sys.executable, "-c", _HOLDER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as holder:
        # Leaving the context closes its input, which ends it.
        assert holder.stdout is not None
        isUp = holder.stdout.readline() == "up\n"
        yield ["nsenter", f"--target={holder.pid}", *entering, "--net", "--"] if isUp else []
