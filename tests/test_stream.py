"""
Stream sockets on every reactor: how they connect, and how data is told of and moved.
"""

from __future__ import annotations

import hashlib
from random import Random
from socket import socketpair
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import Recorder, must
from _streams import (
    LOCALHOST,
    accepted,
    beginConnect,
    fill,
    hasRoomAgain,
    listening,
    peerOf,
    portOf,
    refusingPort,
    told,
)

from twisted_casync import (
    FD_ACCEPT,
    FD_ALL_EVENTS,
    FD_CLOSE,
    FD_CONNECT,
    FD_READ,
    FD_WRITE,
    SO_RCVBUF,
    SO_SNDBUF,
    SOCKET_ERROR,
    GetLastError,
    WSAError,
)

# -- connecting and accepting


@played
def test_a_connection_is_announced_to_both_sides_before_they_can_send(reactor: Any) -> Script:
    child, client = Recorder(reactor), Recorder(reactor)
    listener = listening(reactor, OnAccept=lambda self: must(self.Accept(child)))
    must(client.Create())
    beginConnect(client, portOf(listener))
    yield lambda: len(client.told) >= 2 and len(child.told) >= 1
    yield turns()
    assert client.told == told("OnConnect", "OnSend")
    assert listener.told == told("OnAccept")
    assert child.told == told("OnSend")
    assert child.GetPeerName() == client.GetSockName()
    assert client.GetPeerName() == child.GetSockName()


@played
def test_a_client_that_did_not_bind_is_told_the_same(reactor: Any) -> Script:
    listener, client = listening(reactor), Recorder(reactor)
    must(client.Socket())
    yield turns()
    assert client.told == []
    beginConnect(client, portOf(listener))
    yield lambda: len(client.told) >= 2
    assert client.told == told("OnConnect", "OnSend")


@played
def test_nothing_is_told_from_inside_a_member(reactor: Any) -> Script:
    listener, client, child = listening(reactor), Recorder(reactor), Recorder(reactor)
    must(client.Create())
    beginConnect(client, portOf(listener))
    must(listener.AsyncSelect())
    must(listener.Accept(child))
    must(child.Send(b"x"))
    must(child.AsyncSelect())
    must(client.AsyncSelect())
    assert client.Receive(bytearray(1)) == 1
    assert client.told == listener.told == child.told == []
    yield lambda: client.told != [] and child.told != []
    assert client.told[0] == ("OnConnect", 0)


@played
def test_a_second_client_is_told_of_when_the_first_was_accepted(reactor: Any) -> Script:
    listener = listening(reactor)
    first, second = Recorder(reactor), Recorder(reactor)
    with peerOf(listener), peerOf(listener):
        yield turns()
        assert listener.told == told("OnAccept")
        must(listener.Accept(first))
        yield lambda: len(listener.told) >= 2
        must(listener.Accept(second))
        yield turns()
        assert listener.told == told("OnAccept", "OnAccept")
        assert listener.Accept(Recorder(reactor)) is False
        assert GetLastError() == WSAError.WSAEWOULDBLOCK
        # That counts as an Accept too: the next client is told of.
        with peerOf(listener):
            yield lambda: len(listener.told) >= 3


@played
def test_an_accepted_socket_has_its_listeners_mask(reactor: Any) -> Script:
    listener = listening(reactor)
    must(listener.AsyncSelect(FD_ACCEPT | FD_READ))
    child, peer = accepted(reactor, listener)
    with peer:
        yield turns()
        assert child.told == []
        peer.sendall(b"x")
        yield lambda: child.told != []
        must(child.Receive(bytearray(1)))
    yield turns()
    assert child.told == told("OnReceive")


# -- a connect that is refused


@played
def test_a_refusal_is_told_once_and_nothing_else(reactor: Any) -> Script:
    port, holder = refusingPort()
    client = Recorder(reactor)
    must(client.Create())
    with holder:
        beginConnect(client, port)
        yield lambda: client.told != []
        yield turns()
    assert client.told == told("OnConnect", code=WSAError.WSAECONNREFUSED)
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAENOTCONN
    assert client.Send(b"x") == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAENOTCONN


@pytest.mark.parametrize("inside", [True, False], ids=["in-the-handler", "later"])
@played
def test_the_same_object_connects_after_a_refusal(reactor: Any, inside: bool) -> Script:
    port, holder = refusingPort()
    listener = listening(reactor)

    def again(client: Recorder) -> None:
        if client.told[-1] != ("OnConnect", 0):
            beginConnect(client, portOf(listener))

    client = Recorder(reactor)
    if inside:
        client.handlers["OnConnect"] = again
    must(client.Create())
    with holder:
        beginConnect(client, port)
        yield lambda: client.told != []
        if not inside:
            yield turns()
            beginConnect(client, portOf(listener))
        yield lambda: len(client.told) >= 3
        yield turns()
    assert client.told == [("OnConnect", WSAError.WSAECONNREFUSED), *told("OnConnect", "OnSend")]
    assert client.GetPeerName() == (LOCALHOST, portOf(listener))


@played
def test_every_refusal_of_several_is_told(reactor: Any) -> Script:
    port, holder = refusingPort()

    def again(client: Recorder) -> None:
        if len(client.told) < 3:
            beginConnect(client, port)

    client = Recorder(reactor, OnConnect=again)
    must(client.Socket())
    with holder:
        beginConnect(client, port)
        yield lambda: len(client.told) >= 3
        yield turns()
    assert client.told == 3 * told("OnConnect", code=WSAError.WSAECONNREFUSED)


@played
def test_a_socket_that_was_refused_can_listen(reactor: Any) -> Script:
    port, holder = refusingPort()
    listener = Recorder(reactor)
    must(listener.Create(lpszSocketAddress=LOCALHOST))
    with holder:
        beginConnect(listener, port)
        yield lambda: listener.told != []
    must(listener.Listen())
    with peerOf(listener):
        yield lambda: len(listener.told) >= 2
    assert listener.told == [("OnConnect", WSAError.WSAECONNREFUSED), ("OnAccept", 0)]


# -- being told of data


@played
def test_data_is_told_once_until_it_is_received(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_READ))
    with peer:
        peer.sendall(b"abc")
        yield lambda: child.told != []
        peer.sendall(b"def")
        yield turns()
        assert child.told == told("OnReceive")
        # A part is received: the rest is news.
        assert child.Receive(bytearray(4)) == 4
        yield lambda: len(child.told) >= 2
        assert child.Receive(bytearray(4)) == 2
        yield turns()
        assert child.told == told("OnReceive", "OnReceive")
        # Nothing was there: the next data is told as ever.
        assert child.Receive(bytearray(4)) == SOCKET_ERROR
        assert GetLastError() == WSAError.WSAEWOULDBLOCK
        yield turns()
        peer.sendall(b"g")
        yield lambda: len(child.told) >= 3
        assert child.told == 3 * told("OnReceive")


@played
def test_a_handler_that_receives_one_byte_is_told_of_every_byte(reactor: Any) -> Script:
    received = bytearray()

    def one(child: Recorder) -> None:
        byte = bytearray(1)
        must(child.Receive(byte))
        received.extend(byte)

    child, peer = accepted(reactor, OnReceive=one)
    with peer:
        peer.sendall(b"01234567")
        yield lambda: len(received) == 8
        yield turns()
        assert received == b"01234567"
        assert child.names().count("OnReceive") == 8


@played
def test_what_another_handler_has_received_is_not_told(reactor: Any) -> Script:
    """Two sockets are ready in the same turn, and whoever is told first receives for both."""
    pair: list[Recorder] = []

    def both(_: Recorder) -> None:
        assert [child.Receive(bytearray(9)) for child in pair] == [1, 1]

    one, peer = accepted(reactor, OnReceive=both)
    other, otherPeer = accepted(reactor, OnReceive=both)
    pair += one, other
    with peer, otherPeer:
        yield lambda: one.told != [] and other.told != []
        peer.sendall(b"x")
        otherPeer.sendall(b"y")
        yield turns()
        assert sorted([one.names().count("OnReceive"), other.names().count("OnReceive")]) == [0, 1]
        otherPeer.sendall(b"y")
        peer.sendall(b"x")
        yield lambda: one.names().count("OnReceive") + other.names().count("OnReceive") == 2


@played
def test_what_holds_when_it_is_selected_is_told_anew(reactor: Any) -> Script:
    """AsyncSelect posts what holds, each time; only OnConnect is never repeated."""
    listener, client, child = listening(reactor), Recorder(reactor), Recorder(reactor)
    must(client.Create())
    beginConnect(client, portOf(listener))
    yield lambda: "OnSend" in client.names() and "OnAccept" in listener.names()
    must(listener.AsyncSelect())
    yield lambda: listener.told == told("OnAccept", "OnAccept")
    must(listener.Accept(child))
    must(child.Send(b"unread"))
    yield lambda: "OnReceive" in client.names()
    for _ in range(2):
        client.told.clear()
        must(client.AsyncSelect())
        yield lambda: len(client.told) >= 2
        yield turns()
        assert client.told == told("OnReceive", "OnSend")


@pytest.mark.parametrize(
    ("mask", "expected"),
    [
        (0, []),
        (FD_READ, ["OnReceive"]),
        (FD_WRITE, ["OnSend"]),
        (FD_ACCEPT | FD_CONNECT | FD_CLOSE, []),
        (FD_ALL_EVENTS & ~FD_WRITE, ["OnReceive"]),
    ],
)
@played
def test_a_new_mask_replaces_the_old_one(reactor: Any, mask: int, expected: list[str]) -> Script:
    child, peer = accepted(reactor)
    with peer:
        peer.sendall(b"unread")
        must(child.AsyncSelect(FD_ALL_EVENTS))
        must(child.AsyncSelect(mask))
        yield lambda: len(child.told) >= len(expected)
        yield turns()
        assert child.names() == expected


@played
def test_a_mask_without_FD_CONNECT_connects_and_adding_it_later_tells_nothing(reactor: Any) -> Script:
    listener, client = listening(reactor), Recorder(reactor)
    must(client.Create(lEvent=FD_WRITE))
    beginConnect(client, portOf(listener))
    yield lambda: client.told != []
    must(client.AsyncSelect(FD_CONNECT))
    yield turns()
    assert client.told == told("OnSend")


@played
def test_what_arrives_under_a_mask_of_0_is_told_when_it_is_selected(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(0))
    with peer:
        peer.sendall(b"x")
        yield turns()
        assert child.told == []
        must(child.AsyncSelect(FD_READ | FD_CLOSE))
        yield lambda: child.told != []
        assert child.told == told("OnReceive")


# -- sending


@played
def test_a_send_that_would_block_brings_OnSend_once_there_is_room(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        yield lambda: child.told == told("OnSend")
        left = fill(child)
        yield turns()
        assert child.told == told("OnSend")
        while left:
            left -= len(peer.recv(left))
        yield lambda: len(child.told) >= 2
        # What succeeds brings none.
        assert child.Send(b"x") == 1
        yield turns()
        assert child.told == told("OnSend", "OnSend")


@played
def test_a_send_that_would_block_brings_OnSend_also_if_none_was_short(reactor: Any) -> Script:
    """Over a UNIX socket, which takes a small piece whole or not at all."""
    here, there = socketpair()
    child = Recorder(reactor)
    must(child.Attach(here))
    with there:
        yield lambda: child.told == told("OnSend")
        left = fill(child, 1000)
        assert left % 1000 == 0
        yield turns()
        assert child.told == told("OnSend")
        while left:
            left -= len(there.recv(left))
        yield lambda: len(child.told) >= 2
        yield turns()
        assert child.told == told("OnSend", "OnSend")


@played
def test_a_short_send_brings_OnSend_too(reactor: Any) -> Script:
    """On Windows a send is never short, so a program that was written there sends on from OnSend alone."""
    child, peer = accepted(reactor)
    must(child.SetSockOpt(SO_SNDBUF, 20_000))
    data = bytes(16 << 20)
    with peer:
        yield lambda: child.told == told("OnSend")
        left = child.Send(data)
        assert 0 < left < len(data)
        # Not sooner than there is room; on a busy machine there can be some before the peer receives.
        if not hasRoomAgain(child):
            yield turns()
            assert child.told == told("OnSend")
        while left:
            left -= len(peer.recv(left))
        yield lambda: len(child.told) >= 2
        yield turns()
        assert child.told == told("OnSend", "OnSend")


@played
def test_a_send_that_succeeds_does_not_take_a_due_OnSend_away(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        assert child.Send(b"early") == 5
        yield lambda: child.told != []
        assert child.told == told("OnSend")


# -- both at once


@played
def test_what_is_sent_comes_back_from_an_echo(reactor: Any) -> Script:
    def echo(child: Recorder) -> None:
        buffer = bytearray(100)
        assert child.Send(buffer, must(child.Receive(buffer))) > 0

    listener = listening(reactor, OnAccept=lambda self: must(self.Accept(Recorder(reactor, OnReceive=echo))))

    def more(client: Recorder) -> None:
        client.readAll()
        if len(client.received) < 100:
            must(client.Send(b"0123456789"))

    clients = [Recorder(reactor, OnSend=lambda self: must(self.Send(b"0123456789")), OnReceive=more) for _ in range(3)]
    for client in clients:
        must(client.Create())
        beginConnect(client, portOf(listener))
    yield lambda: all(len(client.received) >= 100 for client in clients)
    assert [client.received for client in clients] == 3 * [10 * b"0123456789"]


class Mover(Recorder):
    """Sends its data as fast as it can, and digests what it receives until the stream ends."""

    def __init__(self, reactor: Any, seed: int, size: int) -> None:
        super().__init__(reactor)
        self.left = memoryview(Random(seed).randbytes(size))
        self.sent = hashlib.sha256(self.left).hexdigest()
        self.arrived = hashlib.sha256()

    def OnSend(self, nErrorCode: int) -> None:
        while self.left:
            count = self.Send(self.left[: 1 << 20])
            if count == SOCKET_ERROR:
                assert GetLastError() == WSAError.WSAEWOULDBLOCK
                return
            self.left = self.left[count:]
        self.ShutDown()

    def OnReceive(self, nErrorCode: int) -> None:
        buffer = bytearray(50_000)
        self.arrived.update(buffer[: must(self.Receive(buffer))])


@played
def test_megabytes_go_both_ways_at_once_and_arrive_whole(reactor: Any) -> Script:
    here, there = Mover(reactor, 1, 4_000_000), Mover(reactor, 2, 3_000_001)
    listener = listening(reactor, OnAccept=lambda self: must(self.Accept(there)))
    must(listener.SetSockOpt(SO_RCVBUF, 20_000))
    must(here.Create())
    must(here.SetSockOpt(SO_SNDBUF, 20_000))
    beginConnect(here, portOf(listener))
    yield lambda: "OnClose" in here.names() and "OnClose" in there.names()
    assert here.arrived.hexdigest() == there.sent
    assert there.arrived.hexdigest() == here.sent
    assert here.told == told("OnConnect", "OnClose")
    assert there.told == told("OnClose")
