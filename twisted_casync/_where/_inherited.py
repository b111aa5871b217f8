"""The sockets that systemd has opened for this process: socket activation, sd_listen_fds(3).

Twisted's ListenFDs tells one descriptor of each name, and none where no names were passed; here are all.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Inherited", "inherited", "passed"]

_FIRST = 3
"""SD_LISTEN_FDS_START"""

_FAMILIES = {socket.AF_INET: "INET", socket.AF_INET6: "INET6", socket.AF_UNIX: "UNIX"}
_KINDS = {socket.SOCK_STREAM: "stream", socket.SOCK_DGRAM: "datagram"}
_SCHEMES = {
    ("INET", "stream"): "tcp",
    ("INET6", "stream"): "tcp6",
    ("INET", "datagram"): "udp",
    ("INET6", "datagram"): "udp6",
    ("UNIX", "stream"): "unix",
    ("UNIX", "datagram"): "unix",
}


@dataclass(frozen=True)
class Inherited:
    """One socket that was passed.

    @ivar index: its place among those that were passed, from 0.
    @ivar name: that of its unit, or FileDescriptorName of the unit's file; "unknown" where none was passed.
    @ivar descriptor: its number in this process.
    """

    index: int
    name: str
    descriptor: int

    def duplicate(self) -> socket.socket:
        """A descriptor of one's own for it, so that the socket can be closed and opened again.

        Raises ValueError: it is none that can serve.
        """
        try:
            found = socket.socket(fileno=os.dup(self.descriptor))
        except OSError as error:
            raise ValueError(f"the descriptor {self.descriptor} that was passed is no open socket: {error}") from None
        try:
            if found.family not in _FAMILIES or found.type not in _KINDS:
                raise ValueError(f"expected a socket of INET, INET6 or UNIX, stream or datagram, and it is {found}")
            if found.type == socket.SOCK_STREAM and not found.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                raise ValueError("expected a socket that listens, and it is a connection; its unit needs Accept=no")
        except ValueError:
            found.close()
            raise
        return found

    def look(self) -> tuple[str, str, str]:
        """Its domain ("INET", "INET6" or "UNIX"), kind ("stream" or "datagram") and scheme ("tcp" and so on).

        Raises ValueError as `duplicate` does.
        """
        with self.duplicate() as found:
            domain, kind = _FAMILIES[found.family], _KINDS[found.type]
        return domain, kind, _SCHEMES[domain, kind]

    def __str__(self) -> str:
        return f"{self.index} ({self.name})"


def passed(environ: Mapping[str, str], pid: int) -> tuple[Inherited, ...]:
    """What an environment says was passed to a process.

    Raises ValueError when it says something about another process, which can't be meant.
    """
    if "LISTEN_FDS" not in environ:
        return ()
    if environ.get("LISTEN_PID") != str(pid):
        raise ValueError(
            f"systemd has passed sockets to process {environ.get('LISTEN_PID')}, and this is {pid}: "
            "a command between them has to end in exec"
        )
    count = environ["LISTEN_FDS"]
    if not count.isdecimal():
        raise ValueError(f"LISTEN_FDS is {count!r}, expected a number")
    # Older ones pass no names, and so do many that imitate systemd; sd_listen_fds gives them this one.
    names = (environ.get("LISTEN_FDNAMES") or ":".join(["unknown"] * int(count))).split(":")
    if len(names) != int(count):
        raise ValueError(f"LISTEN_FDS is {count}, and LISTEN_FDNAMES has {len(names)} names")
    return tuple(Inherited(index, name, _FIRST + index) for index, name in enumerate(names))


@cache
def inherited() -> tuple[Inherited, ...]:
    """What was passed to this process. It is remembered, since a daemon has another process id later.

    Raises ValueError as `passed` does.
    """
    found = passed(_environment(), os.getpid())
    for one in found:
        # Not for the programs that this one starts.
        os.set_inheritable(one.descriptor, False)
    return found


def _environment() -> Mapping[str, str]:
    """The environment that this process was started with.

    Twisted takes the variables out of os.environ when its endpoints are imported, by whomever.
    """
    if "LISTEN_FDS" in os.environ:
        return os.environ
    try:
        text = os.fsdecode(Path("/proc/self/environ").read_bytes())
    except OSError:
        return os.environ
    return dict(line.split("=", 1) for line in text.split("\0") if "=" in line)
