"""
What a connection of a Twisted protocol costs over C{CAsyncSocket}s, in what can be counted, beside Twisted's own
transports: one that comes, has a message echoed, and goes.
"""

from __future__ import annotations

import select
import socket
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from _costs import systemCalls
from _reactors import LIMIT, reactorOf
from twisted.internet.protocol import Protocol, ServerFactory

from twisted_casync.bridges import overCAsyncSockets

LOCALHOST = "127.0.0.1"

AT_ONCE = 16
CONNECTIONS = 20 * AT_ONCE

OURS = 80
"""The functions of this package that are called for one connection."""

SYSTEM_CALLS = 12.5
"""
For each connection: accept4, getsockname, FIONBIO, a look, epoll_ctl twice, recvfrom, sendto, a peek at the end,
SO_ERROR, shutdown, close; and a share of epoll_wait.
"""


class Echo(Protocol):
    """
    Stops receiving while its peer does, and counts.
    """

    lost = 0

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.registerProducer(transport, True)

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        transport.write(data)

    def connectionLost(self, reason: Any = None) -> None:
        Echo.lost += 1


def counted(reactor: Any, count: int) -> Counter[str]:
    """
    The calls of functions while the reactor serves so many connections, by whose the function is.
    """
    factory = ServerFactory.forProtocol(Echo)
    factory.noisy = False
    port = reactor.listenTCP(0, factory, interface=LOCALHOST)
    name = LOCALHOST, port.getHost().port
    calls: Counter[str] = Counter()

    def profile(frame: Any, event: str, argument: Any) -> None:
        if event == "call":
            calls["ours" if "twisted_casync" in frame.f_code.co_filename else "Python"] += 1
        elif event == "c_call":
            calls["C"] += 1

    def serve(until: Callable[[], bool]) -> None:
        for _ in range(100):
            sys.setprofile(profile)
            try:
                reactor.iterate(0)
            finally:
                sys.setprofile(None)
            if until():
                return
        raise AssertionError("waited in vain")

    Echo.lost = 0
    for _ in range(count // AT_ONCE):
        peers = [socket.create_connection(name, LIMIT) for _ in range(AT_ONCE)]
        for peer in peers:
            peer.sendall(b"x" * 64)
        serve(lambda: select.select(peers, [], [], 0)[0] == peers)  # noqa: B023  # asked at once
        for peer in peers:
            assert peer.recv(100) == b"x" * 64
            peer.close()
        lost = Echo.lost + AT_ONCE
        serve(lambda: Echo.lost == lost)  # noqa: B023
    port.stopListening()
    reactor.iterate(0)
    return calls


@pytest.mark.parametrize("way", ["epoll-window", "casync-window"])
def test_a_connection_calls_no_more_functions_than_one_of_twisted_s_own(way: str) -> None:
    with reactorOf(way) as reactor:
        view = overCAsyncSockets(reactor)
        counted(view, AT_ONCE)
        over, own = counted(view, CONNECTIONS), counted(reactor, CONNECTIONS)
    assert over["ours"] / CONNECTIONS <= OURS, over
    # The casync reactor is no more than epoll to a socket, but it calls less for Twisted's own: there they are even.
    room = 1.0 if way == "epoll-window" else 1.02
    assert over.total() < own.total() * room, (over, own)


@pytest.mark.programs
@pytest.mark.slow
@pytest.mark.parametrize("server", ["over", "over-casync"])
def test_nor_does_it_make_more_system_calls(server: str, tmp_path: Path) -> None:
    values = systemCalls(server, ["calls-connect"], tmp_path)["calls-connect"]
    assert values["calls"] <= SYSTEM_CALLS, values
    assert values["registering"] <= 2.01, values
