"""
C{Attach} of what comes from elsewhere: a connection stays one when it is over, and what holds is told.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable
from typing import Any

import pytest
from _contract import failed, holds, quiet
from _play import Script, played, turns
from _reactors import LIMIT, Recorder, must
from _streams import LOCALHOST, accepted, refusingPort, reset, told

from twisted_casync import (
    AF_INET,
    FD_CLOSE,
    FD_READ,
    SO_ERROR,
    SO_LINGER,
    SOCK_DGRAM,
    CAsyncSocket,
    WSAError,
)

RESET = WSAError.WSAECONNRESET
ABORTED = WSAError.WSAECONNABORTED
NOTHING = bytearray(1)


def pair(family: str) -> tuple[socket.socket, socket.socket]:
    """
    @return: two plain sockets that are connected.
    """
    if family == "unix":
        return socket.socketpair()
    with socket.create_server((LOCALHOST, 0)) as server:
        near = socket.create_connection(server.getsockname(), LIMIT)
        far, _ = server.accept()
    return near, far


def arrived(plain: socket.socket, bits: int) -> None:
    """
    Wait until a plain socket has what its peer did: at most a moment, over the loopback device.
    """
    poller = select.poll()
    poller.register(plain, bits)
    assert poller.poll(LIMIT * 1000)


families = pytest.mark.parametrize("family", ["tcp", "unix"])
handles = pytest.mark.parametrize("asNumber", [True, False], ids=["number", "object"])


def attached(reactor: Any, plain: socket.socket, asNumber: bool = True, **handlers: Callable[..., Any]) -> Recorder:
    one = Recorder(reactor, **handlers)
    must(one.Attach(plain.detach() if asNumber else plain))
    return one


# -- a connection that is over


@handles
@families
@pytest.mark.parametrize("data", [b"", b"bye"])
@played
def test_one_that_both_ends_have_ended(reactor: Any, data: bytes, family: str, asNumber: bool) -> Script:
    plain, peer = pair(family)
    plain.shutdown(socket.SHUT_WR)
    if data:
        peer.sendall(data)
    peer.close()
    arrived(plain, select.POLLHUP)
    one = attached(reactor, plain, asNumber)
    yield lambda: one.told != []
    yield turns()
    if data:
        assert one.told == told("OnReceive")
        assert one.Receive(bytearray(9)) == len(data)
    yield lambda: one.told[-1:] == told("OnClose")
    assert one.Receive(NOTHING) == 0
    assert failed(WSAError.WSAESHUTDOWN if family == "tcp" else RESET, one.Send(b"x"))
    assert one.ShutDown() is True
    assert failed(WSAError.WSAEISCONN, one.Connect(LOCALHOST, 7)) or family == "unix"
    yield turns()
    assert one.told == told(*["OnReceive"] * bool(data), "OnClose")


@handles
@pytest.mark.parametrize("data", [b"", b"bye"])
@played
def test_one_that_was_reset(reactor: Any, data: bytes, asNumber: bool) -> Script:
    plain, peer = pair("tcp")
    if data:
        peer.sendall(data)
        arrived(plain, select.POLLIN)
    reset(peer)
    arrived(plain, 0)
    one = attached(reactor, plain, asNumber, OnReceive=Recorder.readAll)
    yield lambda: "OnClose" in one.names()
    yield turns()
    assert one.told == [*told(*["OnReceive"] * bool(data)), ("OnClose", RESET)]
    assert one.received == data
    assert failed(RESET, one.Receive(NOTHING))
    assert failed(RESET, one.Send(b"x"))
    assert one.GetSockOpt(SO_ERROR) == 0


@played
def test_one_that_was_reset_after_its_peer_had_ended_its_stream(reactor: Any) -> Script:
    plain, peer = pair("tcp")
    peer.sendall(b"bye")
    peer.shutdown(socket.SHUT_WR)
    reset(peer)
    arrived(plain, 0)
    one = attached(reactor, plain, OnReceive=Recorder.readAll)
    yield lambda: "OnClose" in one.names()
    yield turns()
    assert (one.received, one.told) == (b"bye", [("OnReceive", 0), ("OnClose", ABORTED)])


@played
def test_one_whose_reset_somebody_has_seen(reactor: Any) -> Script:
    plain, peer = pair("tcp")
    reset(peer)
    arrived(plain, 0)
    with pytest.raises(ConnectionResetError):
        plain.recv(1)
    one = attached(reactor, plain)
    yield lambda: one.told != []
    yield turns()
    # Linux says it once: now it is an end.
    assert one.told == told("OnClose")


@families
@played
def test_one_whose_peer_has_left_unread_data_behind(reactor: Any, family: str) -> Script:
    plain, peer = pair(family)
    plain.sendall(b"never read")
    arrived(peer, select.POLLIN)
    peer.close()
    arrived(plain, 0)
    one = attached(reactor, plain)
    yield lambda: one.told != []
    yield turns()
    assert one.told == told("OnClose", code=RESET)


# -- a connection that is half over


@handles
@families
@played
def test_one_whose_peer_has_ended_its_stream(reactor: Any, family: str, asNumber: bool) -> Script:
    plain, peer = pair(family)
    with peer:
        peer.sendall(b"question")
        peer.shutdown(socket.SHUT_WR)
        one = attached(reactor, plain, asNumber, OnReceive=Recorder.readAll)
        yield lambda: "OnClose" in one.names()
        yield turns()
        assert sorted(one.told) == sorted(told("OnReceive", "OnSend", "OnClose"))
        assert one.received == b"question"
        assert one.Send(b"answer") == 6
        assert peer.recv(9) == b"answer"


@handles
@families
@played
def test_one_that_has_ended_its_own_stream(reactor: Any, family: str, asNumber: bool) -> Script:
    plain, peer = pair(family)
    plain.shutdown(socket.SHUT_WR)
    one = attached(reactor, plain, asNumber, OnReceive=Recorder.readAll)
    with peer:
        yield turns()
        assert one.told == []
        assert failed(WSAError.WSAESHUTDOWN, one.Send(b"x"))
        assert one.ShutDown() is True
        peer.sendall(b"answer")
        yield lambda: one.received == b"answer"
    yield lambda: one.told == told("OnReceive", "OnClose")


@played
def test_one_that_was_told_to_receive_no_more(reactor: Any) -> Script:
    plain, peer = pair("tcp")
    with peer:
        plain.shutdown(socket.SHUT_RD)
        one = attached(reactor, plain)
        peer.sendall(b"unheard")
        yield lambda: "OnSend" in one.names()
        assert failed(WSAError.WSAESHUTDOWN, one.Receive(NOTHING))
        assert one.Send(b"x") == 1
        yield turns()
        assert "OnReceive" not in one.names()


@pytest.mark.parametrize("how", [socket.SHUT_RD, socket.SHUT_RDWR])
@played
def test_a_datagram_socket_that_was_shut_down(reactor: Any, how: int) -> Script:
    plain, other = socket.socket(AF_INET, SOCK_DGRAM), socket.socket(AF_INET, SOCK_DGRAM)
    with other:
        for each in (plain, other):
            each.bind((LOCALHOST, 0))
        plain.connect(other.getsockname())
        plain.shutdown(how)
        one = attached(reactor, plain)
        yield turns()
        assert one.told == (told("OnSend") if how == socket.SHUT_RD else [])
        assert failed(WSAError.WSAESHUTDOWN, one.Receive(NOTHING))
        if how == socket.SHUT_RD:
            assert one.Send(b"x") == 1
        else:
            assert failed(WSAError.WSAESHUTDOWN, one.Send(b"x"))


# -- an attempt to connect


@pytest.mark.parametrize("bound", [False, True])
@played
def test_an_attempt_that_has_failed_is_told(reactor: Any, bound: bool) -> Script:
    port, holder = refusingPort()
    with holder:
        plain = socket.socket()
        plain.setblocking(False)
        if bound:
            plain.bind((LOCALHOST, 0))
        plain.connect_ex((LOCALHOST, port))
        arrived(plain, 0)
        one = attached(reactor, plain)
        yield lambda: one.told != []
        yield turns()
        assert one.told == told("OnConnect", code=WSAError.WSAECONNREFUSED)
        assert failed(WSAError.WSAENOTCONN, one.Receive(NOTHING))
        # And can be made again.
        with socket.create_server((LOCALHOST, 0)) as server:
            one.Connect(*server.getsockname())
            yield lambda: one.told[1:] == told("OnConnect", "OnSend")


@played
def test_one_whose_failure_somebody_has_seen_is_not_connected(reactor: Any) -> Script:
    port, holder = refusingPort()
    with holder:
        plain = socket.socket()
        with pytest.raises(ConnectionRefusedError):
            plain.connect((LOCALHOST, port))
    one = attached(reactor, plain)
    yield turns()
    assert one.told == []
    assert failed(WSAError.WSAENOTCONN, one.Receive(NOTHING))
    assert failed(WSAError.WSAENOTCONN, one.ShutDown())


# -- through an object


@holds("half close")
def test_a_detached_connection_that_ends_meanwhile_is_told(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(near.ShutDown())
    yield lambda: far.told == told("OnClose")
    handle = near.Detach()
    must(far.Send(b"bye"))
    far.Close()
    yield quiet()
    heir = Recorder(reactor, OnReceive=Recorder.readAll)
    must(heir.Attach(handle))
    yield lambda: "OnClose" in heir.names()
    yield quiet()
    assert (heir.received, heir.told) == (b"bye", told("OnReceive", "OnClose"))
    assert failed(WSAError.WSAESHUTDOWN, heir.Send(b"x"))
    assert heir.ShutDown() is True
    assert heir.ShutDown(CAsyncSocket.both) is True
    assert failed(WSAError.WSAESHUTDOWN, heir.Receive(NOTHING))
    heir.Close()


@holds("reset")
def test_a_detached_connection_that_is_reset_meanwhile_is_told(reactor: Any, near: Recorder, far: Recorder) -> Script:
    peer = near.GetPeerNameEx()
    handle = near.Detach()
    must(far.Send(b"unread"))
    yield quiet()
    must(far.SetSockOpt(SO_LINGER, (1, 0)))
    far.Close()
    yield quiet()
    heir = Recorder(reactor, OnReceive=Recorder.readAll)
    must(heir.Attach(handle, FD_READ | FD_CLOSE))
    yield lambda: "OnClose" in heir.names()
    yield quiet()
    assert (heir.received, heir.told) == (b"unread", [("OnReceive", 0), ("OnClose", RESET)])
    assert failed(RESET, heir.Receive(NOTHING))
    assert heir.GetPeerNameEx() == peer
    # From one object to the next, as often as one likes.
    for _ in range(2):
        last = Recorder(reactor)
        must(last.Attach(heir.Detach()))
        yield lambda last=last: last.told != []  # type: ignore[misc]  # the default is a binding
        yield quiet()
        assert last.told == told("OnClose", code=RESET)
        assert failed(RESET, last.Send(b"x")) and last.GetPeerNameEx() == peer
        heir = last
    heir.Close()


@played
def test_a_datagram_socket_knows_the_peer_that_it_has_now(reactor: Any) -> Script:
    first, second = (socket.socket(AF_INET, SOCK_DGRAM) for _ in range(2))
    with first, second:
        for each in (first, second):
            each.bind((LOCALHOST, 0))
        plain = socket.socket(AF_INET, SOCK_DGRAM)
        plain.connect(first.getsockname())
        one = attached(reactor, plain)
        yield turns()
        assert one.GetPeerName() == first.getsockname()
        must(one.Connect(*second.getsockname()))
        assert one.GetPeerName() == second.getsockname()
        must(one.Connect("0.0.0.0", 0))
        assert failed(WSAError.WSAENOTCONN, one.GetPeerName())


@played
def test_a_child_of_a_listener_that_was_lost_before_it_was_handed_on(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    reset(peer)
    yield lambda: "OnClose" in child.names()
    heir = Recorder(reactor)
    must(heir.Attach(child.Detach()))
    yield lambda: heir.told == told("OnClose", code=RESET)
