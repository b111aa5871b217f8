"""The servers that are compared, one row each.

    python -m sidebyside.servers NAME SERVICE BUFFER

listens on a port of 127.0.0.1 that the system chooses, prints its number, and serves until SIGTERM. Each server knows
some of the services:

    echo       sends back what it receives; while it can't, it does not receive
    sink       receives
    source     sends all that is taken, the numbers of `bytes` modulo 251 in their order
    datagrams  sends each datagram back to where it came from

All of them ask for the same backlog, have TCP_NODELAY set, and receive at most BUFFER bytes at a time, as far as what
they are written on lets them choose. A datagram socket has a receive buffer of DATAGRAM_BUFFER bytes.
"""

from __future__ import annotations

import importlib
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["BACKLOG", "DATAGRAM_BUFFER", "PATTERN", "SERVERS", "Family", "Kind", "announce", "noDelay", "pattern"]

BACKLOG = 4096
DATAGRAM_BUFFER = 1 << 20  # bytes
PATTERN = 251

Family = Callable[[str, int], None]
"""What a module of this package has as `serve`: serves a service, with a buffer of so many bytes, for ever."""

STREAMS = frozenset({"echo", "sink", "source"})
ALL = STREAMS | {"datagrams"}


@dataclass(frozen=True)
class Kind:
    """A server: what it is called, and how it comes to be."""

    title: str
    module: str  # of this package; or a C program, as a path beside this file
    option: str = ""  # what the module's `serve` is told besides
    services: frozenset[str] = ALL
    ours: bool = False
    # The stock installation has no more than this: left out of --quick.
    main: bool = False
    note: str = field(default="", compare=False)

    def command(self, python: str, name: str, program: Callable[[Path], Path]) -> list[str]:
        """The command that starts it; `program` gives the compiled form of a C file."""
        source = Path(__file__).resolve().parent / self.module
        if source.suffix == ".c":
            return [str(program(source))]
        return [python, "-m", __name__, name]

    def serve(self, service: str, buffer: int) -> None:
        """Be this server."""
        module = importlib.import_module(f"{__name__}.{self.module}")
        if self.option:
            module.serve(service, buffer, self.option)
        else:
            module.serve(service, buffer)


# In an order in which those that are compared most closely are neighbours: they are measured one after the other.
SERVERS: dict[str, Kind] = {
    "raw": Kind("epoll loop in Python", "bare", main=True),
    "window": Kind("CAsyncSocket, window, epoll", "on_casync", "epoll", ours=True, main=True),
    "casync": Kind("CAsyncSocket, casync reactor", "on_casync", "casync", ours=True, main=True),
    "uvloop": Kind("uvloop Protocol", "on_asyncio", "protocol over uvloop", main=True),
    "twisted": Kind("Twisted Protocol", "on_twisted", "epoll", main=True),
    "twisted-casync": Kind("Twisted Protocol, casync reactor", "on_twisted", "casync"),
    "over": Kind("Twisted Protocol over CAsyncSocket, epoll", "on_twisted", "epoll over"),
    "over-casync": Kind("Twisted Protocol over CAsyncSocket, casync", "on_twisted", "casync over"),
    "transport": Kind("CAsyncSocket over a Twisted transport, epoll", "on_casync", "epoll transport", STREAMS),
    "direct": Kind("CAsyncSocket, direct, epoll", "on_casync", "epoll direct", ours=True, main=True),
    "window-poll": Kind("CAsyncSocket, window, poll", "on_casync", "poll", ours=True),
    "window-select": Kind("CAsyncSocket, window, select", "on_casync", "select", ours=True),
    "window-asyncio": Kind("CAsyncSocket, window, asyncio", "on_casync", "asyncio", ours=True),
    "window-uvloop": Kind("CAsyncSocket, window, uvloop", "on_casync", "uvloop", ours=True),
    "window-one": Kind(
        "CAsyncSocket, window, one Receive", "on_casync", "epoll one", frozenset({"datagrams"}), ours=True, main=True
    ),
    "casync-one": Kind(
        "CAsyncSocket, casync, one Receive",
        "on_casync",
        "casync one",
        frozenset({"datagrams"}),
        ours=True,
        main=True,
    ),
    "c": Kind("epoll loop in C", "bare.c", main=True),
    "asyncio": Kind("asyncio Protocol", "on_asyncio", "protocol"),
    "asyncio-buffered": Kind("asyncio BufferedProtocol", "on_asyncio", "buffered", STREAMS),
    "trio": Kind("trio", "on_trio"),
    "asyncore": Kind("asyncore", "on_asyncore"),
    "qt": Kind("PySide6 QTcpSocket", "on_qt"),
}


def announce(port: int) -> None:
    """Say that it listens."""
    print(port, flush=True)


def noDelay(descriptor: int) -> None:
    """Set TCP_NODELAY on a listener: on Linux the sockets that it accepts have it from there."""
    with socket.socket(fileno=os.dup(descriptor)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def pattern(buffer: int) -> memoryview:
    """What a source repeats: whole periods, about as long as the buffer."""
    return memoryview(bytes(range(PATTERN)) * max(1, buffer // PATTERN))
