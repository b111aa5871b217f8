"""
A thousand sockets that always have something to be told of, beside a timer and a connection of Twisted's own: nobody
starves.
"""

from __future__ import annotations

import resource
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from _memory import mailbox
from _reactors import REACTORS, Recorder, reactorOf, run
from twisted.internet.interfaces import ITransport
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory

from twisted_casync import MSG_PEEK, _window

BUSY = 1000
TURNS = 40


class PingPong(Protocol):
    """
    A connection of Twisted's own: answers each byte, and counts them.
    """

    count = 0

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(b"x")

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)
        assert self.transport is not None
        self.transport.write(data)


@contextmanager
def room(count: int) -> Iterator[None]:
    """
    Have so many descriptors.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def serve(reactor: Any) -> list[PingPong]:
    """
    Begin a connection of Twisted's own with itself.

    @return: the two protocols, when they are there.
    """
    made: list[PingPong] = []

    def build(address: Any) -> PingPong:
        made.append(PingPong())
        return made[-1]

    server, client = ServerFactory(), ClientFactory()
    server.buildProtocol = client.buildProtocol = build  # type: ignore[method-assign, assignment]  # a test's short way
    client.noisy = server.noisy = False
    port = reactor.listenTCP(0, server, interface="127.0.0.1")
    reactor.connectTCP("127.0.0.1", port.getHost().port, client)
    reactor.addSystemEventTrigger("before", "shutdown", port.stopListening)
    return made


def crowd(reactor: Any, told: list[Recorder]) -> list[Recorder]:
    """
    @param told: where each adds itself when it is told.
    @return: the busy sockets.
    """

    def peek(one: Recorder) -> None:
        """What enables FD_READ, and leaves the datagram there: it is news for ever."""
        told.append(one)
        assert one.Receive(bytearray(1), None, MSG_PEEK) == 1

    busy = [mailbox(reactor, OnReceive=peek) for _ in range(BUSY)]
    with mailbox(reactor) as sender:
        for one in busy:
            address = one.GetSockName()
            assert address is not None
            assert sender.SendTo(b"x", None, address[1], address[0]) == 1
    return busy


@pytest.mark.parametrize("name", REACTORS)
def test_busy_sockets_share_the_turns_with_one_another_and_leave_the_reactor_its_own(name: str) -> None:
    with room(BUSY + 300), reactorOf(f"{name}-window") as reactor:
        pair = serve(reactor)
        busy: list[Recorder] = []
        told: list[Recorder] = []
        turns: list[tuple[int, int]] = []

        def look() -> None:
            """A timer that is due in every turn."""
            # Made when the connection is there: select(2) can't watch numbers beyond 1023.
            if not busy and all(one.count for one in pair) and len(pair) == 2:
                busy.extend(crowd(reactor, told))
            # What was posted when they were made, that each can send, is told by calls of the reactor's own.
            if busy and busy[-1].told:
                turns.append((len(told), sum(one.count for one in pair)))
            reactor.callLater(0, look)

        reactor.callWhenRunning(look)
        # A turn is bounded in time too: on a busy machine it tells fewer.
        run(reactor, lambda: len(turns) >= TURNS and len(told) >= 2 * BUSY, pace=0)

        # Between two calls of the timer is a turn, which tells a bounded number of sockets.
        assert max(after[0] - before[0] for before, after in zip(turns, turns[1:], strict=False)) <= _window.MOST
        # Each of the busy sockets had its share.
        shares = Counter(told)
        assert len(shares) == BUSY
        assert max(shares.values()) - min(shares.values()) <= 1
        # And so had the connection: on a stock reactor every turn is its own too, in the casync reactor's one set it is
        # one among them all.
        passed = turns[-1][1] - turns[0][1]
        fair = TURNS / 2 if name != "casync" else (turns[-1][0] - turns[0][0]) / (BUSY + 2) / 2
        assert passed >= fair
        for one in busy:
            one.Close()
        for protocol in pair:
            ITransport(protocol.transport).loseConnection()
