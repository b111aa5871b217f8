"""
Ports for programs that are told their port: one that the system chose is anybody's again before the program has it.
"""

from __future__ import annotations

import fcntl
import os
import socket
import tempfile
from pathlib import Path

__all__ = ["portOfItsOwn"]

# Below those that Linux gives to sockets that ask for none (ip_local_port_range), and above those of known services.
_PORTS = range(17000, 32000)

_held: list[int] = []
"""The locks of this process's ports, which end with it."""


def portOfItsOwn() -> int:
    """
    @return: a port that is free for TCP and UDP on the loopback interface, and that no other process of tests gets
        while this one lives.
    """
    locks = Path(tempfile.gettempdir()) / f"twisted-casync-ports-{os.getuid()}"
    locks.mkdir(exist_ok=True)
    for port in _PORTS[len(_held) :]:
        lock = os.open(locks / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
                with socket.socket(type=kind) as probe:
                    probe.bind(("127.0.0.1", port))
        except OSError:
            os.close(lock)
            continue
        _held.append(lock)
        return port
    raise AssertionError("all ports are taken")
