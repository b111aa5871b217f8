"""
What a connection can be made of, each with the way to get a pair of connected sockets and with what it lacks.

Whoever makes sockets of something else adds a row to L{MEDIA}: the contract (C{test_contract*.py}) is to hold there
too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from socket import socketpair
from typing import Any, Final

from _play import Script, playedOn
from _reactors import REACTORS, WAYS, Recorder, must, reactorOf
from _streams import LOCALHOST, listening, portOf
from _tls import client, listeningTLS
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint

from twisted_casync import CAsyncSocket
from twisted_casync.bridges import connectOver, listenOver
from twisted_casync.testing import MemoryNetwork
from twisted_casync.tls import connectTLS

__all__ = ["CAPABILITIES", "MEDIA", "Medium", "connected", "having", "playedInMemoryToo", "worldOf"]

CAPABILITIES: Final = {
    "half close": "one direction ends, and the other goes on",
    "reset": "a connection can be aborted, and the peer is told so",
    "reset by unread data": "who closes with something unread resets the connection",
    "urgent data": "a byte overtakes the others",
    "names": "both ends have addresses",
    "duplicates": "a second object has the same connection",
    "buffer sizes": "SO_SNDBUF bounds what is on its way",
}
"""What a medium may lack, and what that is."""

WINDOWS: Final = [f"{name}-window" for name in REACTORS]
CLOCK: Final = "clock"


@dataclass(frozen=True)
class Medium:
    """
    What connections are made of.

    @ivar connect: with the reactor and two closed sockets: a script that connects the first, the subject, to the
        second.
    @ivar ways: the reactors that it is tested on, of C{_reactors.WAYS}; or L{CLOCK}.
    @ivar lacks: those of L{CAPABILITIES} that it has not, each with the reason.
    @ivar varies: those that it has in places, each with the reason.
    """

    connect: Callable[[Any, CAsyncSocket, CAsyncSocket], Script]
    ways: Sequence[str]
    lacks: Mapping[str, str] = field(default_factory=dict)
    varies: Mapping[str, str] = field(default_factory=dict)


def connected(*sockets: CAsyncSocket) -> Callable[[], bool]:
    """
    @return: the condition that all are.
    """
    return lambda: all(" connected " in repr(sock) for sock in sockets)


def _tcp(reactor: Any, near: CAsyncSocket, far: CAsyncSocket) -> Script:
    listener = listening(reactor, OnAccept=lambda self: must(self.Accept(near)))
    must(far.Create())
    # Of a CSocket too, as nobody waits here.
    CAsyncSocket.Connect(far, LOCALHOST, portOf(listener))
    yield connected(near, far)
    listener.Close()


def _unix(reactor: Any, near: CAsyncSocket, far: CAsyncSocket) -> Script:
    for sock, end in zip((near, far), socketpair(), strict=True):
        must(sock.Attach(end))
    yield connected(near, far)


def _transport(reactor: Any, near: CAsyncSocket, far: CAsyncSocket) -> Script:
    listener = Recorder(reactor, OnAccept=lambda self: must(self.Accept(near)))
    listenOver(listener, TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST), reactor=reactor)
    yield lambda: listener.m_hSocket != -1
    connectOver(far, TCP4ClientEndpoint(reactor, LOCALHOST, portOf(listener)), reactor=reactor)
    yield connected(near, far)
    listener.Close()


def _tls(reactor: Any, near: CAsyncSocket, far: CAsyncSocket) -> Script:
    listener = listeningTLS(reactor, OnAccept=lambda self: must(self.Accept(near)))
    connectTLS(far, LOCALHOST, portOf(listener), client())
    yield connected(near, far)
    listener.Close()


def _memory(network: Any, near: CAsyncSocket, far: CAsyncSocket) -> Script:
    network.pair(far, near)
    yield connected(near, far)


def _memoryByMembers(network: Any, near: CAsyncSocket, far: CAsyncSocket) -> Script:
    return _tcp(network, near, far)


_NOTHING_TO_DUPLICATE: Final = "there is no descriptor to duplicate"

MEDIA: Final[dict[str, Medium]] = {
    # What the direct way has of its own, the tests of the members have on every reactor.
    "tcp": Medium(_tcp, [*WINDOWS, "select-direct", "uvloop-direct"]),
    "unix": Medium(
        _unix,
        ["epoll-window", "epoll-direct", "poll-window", "casync-window"],
        {
            "reset": "SO_LINGER does nothing to UNIX sockets (unix(7))",
            "names": "they have none",
        },
        {"urgent data": "Linux has it there since 5.15, where it was configured"},
    ),
    "transport": Medium(
        _transport,
        WINDOWS,
        {
            "urgent data": "transports have none",
            "duplicates": _NOTHING_TO_DUPLICATE,
            "buffer sizes": "options are only remembered",
        },
    ),
    "tls": Medium(
        _tls,
        WINDOWS,
        {
            "reset": "who is cut off hears that something may be missing, WSAECONNABORTED (RFC 8446, 6.1)",
            "reset by unread data": "as for reset",
            "half close": "TLS ends both directions at once (RFC 8446, 6.1)",
            "urgent data": "TLS has none",
            "duplicates": _NOTHING_TO_DUPLICATE,
            "buffer sizes": "options are only remembered",
        },
    ),
    "memory": Medium(_memory, [CLOCK], {"duplicates": _NOTHING_TO_DUPLICATE}),
    "memory-connected": Medium(_memoryByMembers, [CLOCK], {"duplicates": _NOTHING_TO_DUPLICATE}),
}


def having(capability: str | None, lacking: bool = False) -> list[tuple[str, str]]:
    """
    @param capability: one of L{CAPABILITIES}; L{None} for what all have.
    @param lacking: those that have it not, instead.
    @return: media, each with each of its reactors.
    """
    return [
        (name, way)
        for name, medium in MEDIA.items()
        if (capability in medium.lacks) == lacking and capability not in medium.varies
        for way in medium.ways
    ]


class _ClockReactor(MemoryNetwork):
    """
    A memory network that can be run as reactors are.
    """

    def callWhenRunning(self, call: Callable[[], object]) -> None:
        self.callLater(0, call)

    def run(self, installSignalHandlers: bool = True) -> None:  # type: ignore[override]  # as reactors have it
        self._running = True
        while self._running:
            self.rightNow = max(self.rightNow, self.calls[0].getTime())
            self.step()

    def stop(self) -> None:
        self._running = False


@contextmanager
def worldOf(way: str) -> Iterator[Any]:
    """
    The reactor of a way, which is that of this thread meanwhile.
    """
    if way == CLOCK:
        with _ClockReactor().installed() as network:
            yield network
    else:
        with reactorOf(way) as reactor:
            yield reactor


playedInMemoryToo = playedOn([*WAYS, CLOCK], worldOf)
"""A test on every reactor, and over a memory network."""
