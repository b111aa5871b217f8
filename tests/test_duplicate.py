"""
C{operator =}: a second object on the same socket.
"""

from __future__ import annotations

import copy
import gc
import socket
from collections.abc import Callable
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import LIMIT, Recorder, must
from _resolvers import Never
from _streams import LOCALHOST, accepted, beginConnect, listening, portOf, refusingPort, told

from twisted_casync import (
    FD_OOB,
    FD_READ,
    FIONBIO,
    INVALID_SOCKET,
    MSG_OOB,
    SO_OOBINLINE,
    SO_RCVBUF,
    SOCK_DGRAM,
    CAsyncSocket,
    GetLastError,
    WSAError,
)


def assigned(one: Recorder) -> Recorder:
    other = Recorder(one._as_asked)
    must(other.Create())
    must(other.Assign(one))
    return other


duplicates = pytest.mark.parametrize("duplicate", [copy.copy, assigned])
Duplicate = Callable[[Recorder], Recorder]


def silent(one: Recorder) -> Recorder:
    """
    A copy has the attributes of the other object; a record of its own is wanted here.
    """
    one.told = []
    return one


@duplicates
@played
def test_a_duplicate_shares_the_socket_and_has_the_mask(reactor: Any, duplicate: Duplicate) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_READ))
    other = silent(duplicate(child))
    assert type(other) is Recorder
    assert int(other) != int(child)
    assert other.GetPeerName() == child.GetPeerName()
    assert CAsyncSocket.FromHandle(int(other)) is other
    with peer:
        yield turns()
        assert child.told == other.told == []
        peer.sendall(b"x")
        yield lambda: child.told == other.told == told("OnReceive")
        # What the one closes the other still has.
        child.Close()
        assert other.Receive(bytearray(9)) == 1
        must(other.Send(b"y"))
        assert peer.recv(9) == b"y"
        other.Close()
        assert peer.recv(9) == b""


@duplicates
@played
def test_a_duplicate_begins_where_the_other_is(reactor: Any, duplicate: Duplicate) -> Script:
    child, peer = accepted(reactor)
    must(child.SetSockOpt(SO_OOBINLINE, True))
    must(child.SetSockOpt(SO_RCVBUF, 12345))
    must(child.ShutDown(CAsyncSocket.sends))
    other = silent(duplicate(child))
    with peer:
        assert other.GetSockOpt(SO_OOBINLINE) is True
        assert other.GetSockOpt(SO_RCVBUF) == 12345
        assert other.Send(b"x") == -1
        assert GetLastError() == WSAError.WSAESHUTDOWN
        assert other.Receive(bytearray(1), None, MSG_OOB) == -1
        assert GetLastError() == WSAError.WSAEINVAL
    yield lambda: other.told == told("OnClose")


@duplicates
@played
def test_a_duplicate_of_a_listener_accepts(reactor: Any, duplicate: Duplicate) -> Script:
    listener = listening(reactor)
    other = silent(duplicate(listener))
    port = portOf(listener)
    listener.Close()
    with socket.create_connection((LOCALHOST, port)) as peer:
        yield lambda: other.told == told("OnAccept")
        assert other.Accept(Recorder(reactor), True) == peer.getsockname()


@duplicates
@played
def test_a_duplicate_of_a_connecting_socket_is_told_too(reactor: Any, duplicate: Duplicate) -> Script:
    listener, one = listening(reactor), Recorder(reactor)
    must(one.Create())
    beginConnect(one, portOf(listener))
    other = silent(duplicate(one))
    yield lambda: len(one.told) == len(other.told) == 2
    assert one.told == other.told == told("OnConnect", "OnSend")
    assert one.GetPeerName() == other.GetPeerName() == listener.GetSockName()


@duplicates
@played
def test_a_duplicate_of_a_connecting_socket_is_told_of_a_failure_too(reactor: Any, duplicate: Duplicate) -> Script:
    """The kernel says only once what has failed, to whichever asks first."""
    port, holder = refusingPort()
    one = Recorder(reactor)
    must(one.Create())
    beginConnect(one, port)
    other = silent(duplicate(one))
    yield lambda: bool(one.told and other.told)
    assert one.told == other.told == told("OnConnect", code=WSAError.WSAECONNREFUSED)
    holder.close()
    one.Close()
    other.Close()


@duplicates
@played
def test_a_duplicate_of_a_socket_that_looks_up_a_name_is_not_connecting(reactor: Any, duplicate: Duplicate) -> Script:
    """
    Who asked gets the answer.  The other one must not wait for a connection that was not begun.
    """
    reactor.installNameResolver(Never())
    listener, one = listening(reactor), Recorder(reactor)
    must(one.Create())
    beginConnect(one, 7, "name.example")
    other = silent(duplicate(one))
    yield turns()
    assert other.told == []
    beginConnect(other, portOf(listener))
    yield lambda: other.told == told("OnConnect", "OnSend")


@duplicates
def test_the_mode_of_the_handle_is_duplicated(idle: Any, duplicate: Duplicate) -> None:
    one = Recorder(idle)
    must(one.Create(0, SOCK_DGRAM, 0))
    must(one.IOCtl(FIONBIO, 0))
    other = duplicate(one)
    with socket.socket(fileno=must(other.Detach())) as plain:
        assert plain.getblocking()


def test_assigning_closes_what_the_object_had(idle: Any) -> None:
    one, other = Recorder(idle), Recorder(idle)
    must(one.Create())
    must(other.Create(0, SOCK_DGRAM))
    name, had = one.GetSockName(), int(other)
    must(other.Assign(one))
    assert other.GetSockName() == name
    assert had == int(other) or CAsyncSocket.FromHandle(had) is None


def test_an_object_assigned_to_itself_is_as_it_was(idle: Any) -> None:
    one = Recorder(idle)
    must(one.Create())
    handle = int(one)
    assert one.Assign(one) is True
    assert int(one) == handle


def test_only_a_socket_is_assigned(idle: Any) -> None:
    one: Any = Recorder(idle)
    must(one.Create())
    handle = int(one)
    for wrong in (None, 3, socket.SocketType, object()):
        with pytest.raises(TypeError, match="^rSrc "):
            one.Assign(wrong)
    # What a closed socket gives is nothing to exchange one's own for.
    assert one.Assign(Recorder(idle)) is False
    assert GetLastError() == WSAError.WSAENOTSOCK
    assert int(one) == handle


@duplicates
@played
def test_a_duplicate_resets_nothing_for_an_urgent_byte_that_the_other_received(
    reactor: Any, duplicate: Duplicate
) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_OOB))
    with peer:
        peer.settimeout(LIMIT)
        peer.sendall(b"before")
        peer.send(b"!", MSG_OOB)
        yield lambda: "OnOutOfBandData" in child.names()
        assert child.Receive(bytearray(1), 1, MSG_OOB) == 1
        other = duplicate(child)
        must(other.AsyncSelect(0))
        child.Close()
        assert other.Receive(bytearray(9)) == 6
        other.Close()
        assert peer.recv(1) == b""


def test_a_copy_has_the_attributes_also_where_there_is_no_socket(idle: Any) -> None:
    one = Recorder(idle)
    one.received = b"attribute"
    other = copy.copy(one)
    assert int(other) == INVALID_SOCKET
    assert other.received == b"attribute"
    must(other.Create())
    del one
    gc.collect()
    assert must(other.GetSockName())
