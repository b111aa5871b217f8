"""
A turn of the reactor within a handler, as a message pump that was ported makes it: it serves the sockets, as it serves
Twisted's own transports, and no socket is told the same twice.

Not on asyncio and uvloop: C{run_forever} can't be called within itself, and C{reactor.iterate} is just that there.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

import pytest
from _bridged import Remembering, served
from _media import MEDIA
from _play import Mistake, Script, playedOn, turns
from _reactors import LIMIT, WAYS, Recorder, must, reactorOf
from _streams import accepted, beginConnect, listening, peerOf, portOf, told

from twisted_casync import SOCK_DGRAM, CSocket, WSAError
from twisted_casync.bridges import overCAsyncSockets

PUMPING = [way for way in WAYS if not way.startswith(("asyncio", "uvloop"))]
played = playedOn(PUMPING, reactorOf)


def pump(reactor: Any, until: Callable[[], bool]) -> int:
    """
    Have the reactor turn until a condition holds, however many turns that takes.

    @return: how many it took.
    """
    deadline = reactor.seconds() + LIMIT
    count = 0
    while not until():
        assert reactor.seconds() < deadline, "pumped in vain"
        reactor.iterate(0.01)
        count += 1
    return count


@played
def test_it_serves_the_other_sockets(reactor: Any) -> Script:
    """Data, a connection that is made and one that is accepted, what is told of a new socket, an end of stream."""
    other, otherPeer = accepted(reactor, OnReceive=Recorder.readAll)
    children: list[Recorder] = []

    def accept(door: Recorder) -> None:
        children.append(Recorder(reactor))
        must(door.Accept(children[-1]))

    door = listening(reactor, OnAccept=accept)
    client, mailbox = Recorder(reactor), Recorder(reactor)
    pumped: list[int] = []

    def converse(one: Recorder) -> None:
        one.readAll()
        otherPeer.sendall(b"hello")
        pumped.append(pump(reactor, lambda: other.received == b"hello"))
        must(mailbox.Create(0, SOCK_DGRAM))
        pumped.append(pump(reactor, lambda: mailbox.told == told("OnSend")))
        must(client.Create())
        beginConnect(client, portOf(door))
        pumped.append(pump(reactor, lambda: client.names() == ["OnConnect", "OnSend"] and len(children) == 1))
        pumped.append(pump(reactor, lambda: children[0].told == told("OnSend")))
        client.Close()
        otherPeer.close()
        pumped.append(pump(reactor, lambda: children[0].names()[-1] == other.names()[-1] == "OnClose"))

    one, peer = accepted(reactor, OnReceive=converse)
    with peer:
        yield lambda: one.told == told("OnSend") == other.told
        peer.sendall(b"x")
        yield lambda: len(pumped) == 5
        assert one.received == b"x"
        yield turns()
        assert one.told == told("OnSend", "OnReceive")
        assert other.told == told("OnSend", "OnReceive", "OnClose")
        assert children[0].told == told("OnSend", "OnClose")
        assert len(door.told) == 1


@played
def test_it_does_not_spin(reactor: Any) -> Script:
    """When all is told the turn lasts as long as it was asked to."""
    waited: list[float] = []

    def wait(one: Recorder) -> None:
        one.readAll()
        if waited:
            return
        pump(reactor, lambda: first.received == second.received == b"x")
        for _ in range(3):
            start = reactor.seconds()
            reactor.iterate(0.05)
            waited.append(reactor.seconds() - start)

    first, firstPeer = accepted(reactor, OnReceive=wait)
    second, secondPeer = accepted(reactor, OnReceive=wait)
    with firstPeer, secondPeer:
        yield lambda: first.told == second.told == told("OnSend")
        # Nothing of the test's own is due meanwhile.
        for call in reactor.getDelayedCalls():
            call.delay(1)
        firstPeer.sendall(b"x")
        secondPeer.sendall(b"x")
        yield lambda: len(waited) >= 3
        # poll(2) counts in milliseconds.
        assert min(waited) >= 0.045


@played
def test_one_that_has_not_received_yet_is_not_told_again(reactor: Any) -> Script:
    """Neither within the turn nor after it; it is not asked for ever, and receives what is there."""

    def pumpAndReceive(one: Recorder) -> None:
        for _ in range(3):
            reactor.iterate(0)
        one.readAll()

    one, peer = accepted(reactor, OnReceive=pumpAndReceive)
    mailbox = Recorder(reactor, OnReceive=pumpAndReceive)
    must(mailbox.Create(0, SOCK_DGRAM, lpszSocketAddress="127.0.0.1"))
    with peer, socket.socket(type=SOCK_DGRAM) as sender:
        yield lambda: one.told == told("OnSend") == mailbox.told
        for count in (1, 2):
            peer.sendall(b"x")
            yield lambda count=count: len(one.received) == count  # type: ignore[misc]  # the default is a binding
            sender.sendto(b"x", must(mailbox.GetSockName()))
            yield lambda count=count: len(mailbox.received) == count  # type: ignore[misc]  # as above
            yield turns()
            assert one.told == told("OnSend", *["OnReceive"] * count)
            assert mailbox.told == told("OnSend", *["OnReceive"] * count)


@played
def test_more_of_what_was_received_is_told_within_it(reactor: Any) -> Script:
    """A handler that has received is told of the rest, as Twisted's transports do, inside itself."""
    depths: list[int] = []
    inside = 0

    def receiveOne(one: Recorder) -> None:
        nonlocal inside
        inside += 1
        depths.append(inside)
        buffer = bytearray(1)
        assert one.Receive(buffer) == 1
        one.received += buffer
        reactor.iterate(0)
        inside -= 1

    one, peer = accepted(reactor, OnReceive=receiveOne)
    with peer:
        yield lambda: one.told == told("OnSend")
        peer.sendall(b"abc")
        yield lambda: len(one.received) == 3
        assert one.received == b"abc" and len(depths) == 3 and max(depths) > 1


@pytest.mark.parametrize("count", [2, 20])
@played
def test_what_is_left_of_the_turn_around_it_is_told_once(reactor: Any, count: int) -> Script:
    sockets: list[Recorder] = []
    peers: list[socket.socket] = []
    pumped: list[Recorder] = []

    def pumpOnce(one: Recorder) -> None:
        one.readAll()
        if not pumped:
            pumped.append(one)
            pump(reactor, lambda: all(other.received for other in sockets))

    for _ in range(count):
        one, peer = accepted(reactor, OnReceive=pumpOnce)
        sockets.append(one)
        peers.append(peer)
    yield lambda: all(one.told == told("OnSend") for one in sockets)
    for one, peer in zip(sockets, peers, strict=True):
        peer.sendall(b"x")
        assert select.select([one], [], [], LIMIT)[0]
    yield lambda: all(one.received for one in sockets)
    yield turns()
    assert len(pumped) == 1
    for one, peer in zip(sockets, peers, strict=True):
        assert (one.received, one.told) == (b"x", told("OnSend", "OnReceive"))
        peer.close()


@played
def test_a_listener_is_told_of_the_next_connection_within_OnAccept(reactor: Any) -> Script:
    """Once it has accepted one; and what then raises costs the one that it has accepted itself."""
    children: list[Recorder] = []

    def accept(door: Recorder) -> None:
        child = Recorder(reactor)
        children.append(child)
        if len(children) == 1:
            reactor.iterate(0)
            assert len(children) == 1
        must(door.Accept(child))
        if child is children[0]:
            pump(reactor, lambda: len(children) == 2)
            raise Mistake

    door = listening(reactor, OnAccept=accept)
    with peerOf(door), peerOf(door):
        yield lambda: len(children) == 2
        yield turns()
        assert children[0].told[-1] == ("OnClose", WSAError.WSAECONNABORTED)
        assert children[1].told == told("OnSend")


@played
def test_what_closes_all_within_it_is_the_last_word(reactor: Any) -> Script:
    sockets: list[Recorder] = []
    peers: list[socket.socket] = []

    def close() -> None:
        for other in sockets:
            other.Close()

    def closeAll(one: Recorder) -> None:
        reactor.callLater(0, close)
        pump(reactor, lambda: one.fileno() == -1)

    for _ in range(3):
        one, peer = accepted(reactor, OnReceive=closeAll)
        sockets.append(one)
        peers.append(peer)
    yield lambda: all(one.told == told("OnSend") for one in sockets)
    for peer in peers:
        peer.sendall(b"x")
    yield lambda: sockets[0].fileno() == -1
    yield turns()
    assert sum(one.names().count("OnReceive") for one in sockets) == 1
    for peer in peers:
        peer.close()


class Pumping(CSocket):
    """
    One whose handler pumps, and then waits for what it has received.
    """

    received = b""
    times = 0

    async def OnReceive(self, nErrorCode: int) -> None:  # type: ignore[override]  # the base class's can't wait
        self.times += 1
        self._as_reactor().iterate(0)
        self.received += await self.Receive(10)


@played
def test_a_handler_that_waits_is_not_told_again_either(reactor: Any) -> Script:
    door, one = listening(reactor), Pumping(reactor)
    with peerOf(door) as peer:
        must(Recorder.Accept(door, one))
        for count in (1, 2):
            peer.sendall(b"x")
            yield lambda count=count: len(one.received) == count  # type: ignore[misc]  # the default is a binding
            yield turns()
            assert one.times == count
        one.Close()


@played
def test_it_serves_the_transports_of_the_bridges(reactor: Any) -> Script:
    view = overCAsyncSockets(reactor)
    other = Remembering()
    otherPeer = served(view, other)

    def converse(self: Remembering, data: bytes) -> None:
        otherPeer.sendall(b"hello")
        pump(reactor, lambda: other.received == b"hello")
        self.transport.write(b"done")

    one = Remembering(dataReceived=converse)
    with served(view, one) as peer, otherPeer:
        peer.sendall(b"x")
        yield lambda: one.received == b"x"
        yield lambda: bool(select.select([peer], [], [], 0)[0])
        assert peer.recv(10) == b"done"
        assert other.told == ["connectionMade", "dataReceived"]


@played
def test_it_serves_sockets_over_transports(reactor: Any) -> Script:
    """What carries them is called by the reactor in that turn."""
    near, far = Recorder(reactor, OnReceive=Recorder.readAll), Recorder(reactor)
    yield from MEDIA["transport"].connect(reactor, near, far)

    def converse(one: Recorder) -> None:
        one.readAll()
        must(one.Send(b"question"))
        pump(reactor, lambda: near.received == b"question")

    far.handlers["OnReceive"] = converse
    yield lambda: near.told == told("OnSend") or near.told == told("OnConnect", "OnSend")
    must(near.Send(b"x"))
    yield lambda: near.received == b"question"
    assert (far.received, far.names().count("OnReceive")) == (b"x", 1)
    near.Close()
    far.Close()
