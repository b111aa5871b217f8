"""
What Winsock keeps in a socket stays when C{Detach} hands it out and C{Attach} takes it.
"""

from __future__ import annotations

import copy
import os
import socket
import threading
from collections.abc import Callable
from typing import Any

import pytest
from _contract import failed, holds, quiet
from _play import Script, played, turns
from _reactors import LIMIT, Recorder, must, reactorOf
from _resolvers import Book
from _streams import LOCALHOST, accepted, refusingPort, reset, told

from twisted_casync import (
    FD_ALL_EVENTS,
    FD_OOB,
    LINGER,
    MSG_OOB,
    SO_DEBUG,
    SO_DONTLINGER,
    SO_ERROR,
    SO_EXCLUSIVEADDRUSE,
    SO_KEEPALIVE,
    SO_LINGER,
    SO_OOBINLINE,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_SNDBUF,
    SOCK_DGRAM,
    CAsyncSocket,
    CSocket,
    WSAError,
)
from twisted_casync._kept import _left

NOTHING = bytearray(1)
SHUT = WSAError.WSAESHUTDOWN


def passed(one: CAsyncSocket, lEvent: int = FD_ALL_EVENTS) -> Recorder:
    """
    @return: another object, which has its socket now.
    """
    heir = Recorder(one._as_asked)
    must(heir.Attach(one.Detach(), lEvent))
    return heir


# -- what was shut down


@pytest.mark.parametrize("how", [CAsyncSocket.receives, CAsyncSocket.sends, CAsyncSocket.both])
@holds("half close")
def test_a_stream_that_was_shut_down_stays_so(reactor: Any, near: Recorder, far: Recorder, how: int) -> Script:
    must(near.ShutDown(how))
    must(far.Send(b"unheard"))
    yield quiet()
    heir = near
    for _ in range(2):
        heir = passed(heir)
        yield quiet()
        receives, sends = how == CAsyncSocket.sends, how == CAsyncSocket.receives
        assert sorted(heir.names()) == sorted(["OnReceive"] * receives + ["OnSend"] * sends)
        assert (failed(SHUT, heir.Receive(NOTHING)), failed(SHUT, heir.Send(b"x"))) == (not receives, not sends)
        assert heir.ShutDown(how) is True
    far.Close()
    heir.readAll()
    yield lambda: "OnClose" in heir.names()
    heir.Close()


@pytest.mark.parametrize("how", [CAsyncSocket.receives, CAsyncSocket.sends, CAsyncSocket.both])
@played
def test_a_datagram_socket_that_was_shut_down_stays_so(reactor: Any, how: int) -> Script:
    one, other = Recorder(reactor), Recorder(reactor)
    must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    must(other.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    must(one.ShutDown(how))
    must(other.SendTo(b"x", None, one.GetSockName()))
    yield turns()
    heir = passed(one)
    yield turns()
    receives, sends = how == CAsyncSocket.sends, how == CAsyncSocket.receives
    assert heir.names() == ["OnReceive"] * receives + ["OnSend"] * sends
    assert failed(SHUT, heir.Receive(NOTHING)) is not receives
    assert failed(SHUT, heir.SendTo(b"x", None, other.GetSockName())) is not sends


# -- options

OPTIONS: list[tuple[int, Any]] = [
    (SO_SNDBUF, 10_000),
    (SO_RCVBUF, 10_000),
    (SO_EXCLUSIVEADDRUSE, True),
    (SO_REUSEADDR, True),
    (SO_DEBUG, True),
    (SO_LINGER, LINGER(1, 0)),
    (SO_LINGER, LINGER(1, 7)),
    (SO_DONTLINGER, False),
    (SO_OOBINLINE, True),
    (SO_KEEPALIVE, True),
]


@pytest.mark.parametrize(("option", "value"), OPTIONS)
def test_an_option_reads_as_it_was_set(idle: Any, option: int, value: Any) -> None:
    one = Recorder(idle)
    must(one.Socket())
    must(one.SetSockOpt(option, value))
    for _ in range(2):
        one = passed(one)
        assert one.GetSockOpt(option) == value


@holds()
def test_options_of_a_connection_stay(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(near.SetSockOpt(SO_SNDBUF, 10_000))
    must(near.SetSockOpt(SO_DEBUG, True))
    heir = passed(near)
    assert (heir.GetSockOpt(SO_SNDBUF), heir.GetSockOpt(SO_DEBUG)) == (10_000, True)
    yield quiet()
    heir.Close()


@pytest.mark.parametrize("first", [SO_EXCLUSIVEADDRUSE, SO_REUSEADDR])
def test_a_name_is_shared_as_before(idle: Any, first: int) -> None:
    one = Recorder(idle)
    must(one.Socket())
    must(one.SetSockOpt(first, True))
    must(one.Bind(0, LOCALHOST))
    one = passed(one)
    other = Recorder(idle)
    must(other.Socket())
    must(other.SetSockOpt(SO_REUSEADDR, True))
    shared = other.Bind(*reversed(must(one.GetSockName())))
    assert shared is (first == SO_REUSEADDR)


def test_what_somebody_else_has_set_meanwhile_is_what_counts(idle: Any) -> None:
    one, heir = Recorder(idle), Recorder(idle)
    must(one.Socket())
    must(one.SetSockOpt(SO_SNDBUF, 10_000))
    must(one.SetSockOpt(SO_RCVBUF, 10_000))
    must(one.SetSockOpt(SO_LINGER, (1, 0)))
    with socket.socket(fileno=one.Detach()) as plain:
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 20_000)
        plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\3\0\0\0")
        kernels = plain.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        must(heir.Attach(plain))
    assert heir.GetSockOpt(SO_SNDBUF) == kernels
    assert heir.GetSockOpt(SO_RCVBUF) == 10_000
    assert heir.GetSockOpt(SO_LINGER) == (1, 3)


@played
def test_lingering_of_a_foreign_socket_is_known_and_does_not_block(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    child.Close()
    peer.close()
    plain = socket.socket()
    plain.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\5\0\0\0")
    one = Recorder(reactor)
    must(one.Attach(plain))
    yield turns()
    assert one.GetSockOpt(SO_LINGER) == (1, 5)
    assert one.GetSockOpt(SO_DONTLINGER) is False
    with socket.socket(fileno=one.Detach()) as plain:
        # Close would wait in close(2), which blocks whatever the mode of the socket.
        assert plain.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER) == 0


# -- what was received, and what is still to be said


@played
def test_an_urgent_byte_that_was_taken_before_its_time_stays(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        peer.send(b"!", socket.MSG_OOB)
        yield lambda: "OnOutOfBandData" in child.names()
        peer.send(b"behind")
        yield lambda: "OnReceive" in child.names()
        # A Receive that begins at the urgent mark.
        assert child.Receive(bytearray(9)) == 6
        heir = passed(child)
        yield lambda: "OnOutOfBandData" in heir.names()
        room = bytearray(1)
        assert heir.Receive(room, 1, MSG_OOB) == 1 and room == b"!"
        yield turns()
        assert sorted(heir.names()) == ["OnOutOfBandData", "OnSend"]
        # Its place is not unread data, for which a close would reset the connection.
        heir = passed(heir)
        heir.Close()
        assert peer.recv(1) == b""


@played
def test_an_urgent_byte_that_waits_is_told_again(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        peer.send(b"!", socket.MSG_OOB)
        yield lambda: "OnOutOfBandData" in child.names()
        heir = passed(child, FD_OOB)
        yield lambda: heir.told == told("OnOutOfBandData")
        room = bytearray(1)
        assert heir.Receive(room, 1, MSG_OOB) == 1 and room == b"!"


@played
def test_an_error_that_was_taken_from_the_kernel_stays(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    yield lambda: child.told == told("OnSend")
    reset(peer)
    assert failed(WSAError.WSAECONNRESET, child.Receive(NOTHING))
    heir = passed(child)
    yield lambda: heir.told == told("OnClose", code=WSAError.WSAECONNRESET)
    assert failed(WSAError.WSAECONNRESET, heir.Send(b"x"))


@played
def test_the_error_of_a_datagram_socket_stays(reactor: Any) -> Script:
    port, holder = refusingPort()
    one = Recorder(reactor)
    with holder:
        must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
        must(one.Connect(LOCALHOST, port))
        must(one.Send(b"anybody?"))
        yield lambda: "OnReceive" in one.names()
        heir = passed(one)
        yield lambda: "OnReceive" in heir.names()
        assert heir.GetSockOpt(SO_ERROR) == WSAError.WSAECONNRESET
        assert failed(WSAError.WSAECONNRESET, heir.Receive(NOTHING))
        assert failed(WSAError.WSAEWOULDBLOCK, heir.Receive(NOTHING))


@played
def test_a_failed_attempt_that_was_not_told_is_told_to_the_next_object(reactor: Any) -> Script:
    port, holder = refusingPort()
    with holder:
        one = Recorder(reactor)
        must(one.Create())
        assert failed(WSAError.WSAEWOULDBLOCK, one.Connect(LOCALHOST, port))
        # Taken from the kernel by the question.
        assert one.GetSockOpt(SO_ERROR) in (0, WSAError.WSAECONNREFUSED)
        heir = passed(one)
        yield lambda: heir.told != []
        yield turns()
        assert heir.told == told("OnConnect", code=WSAError.WSAECONNREFUSED)
        # Once it was told it is no more news.
        heir = passed(heir)
        yield turns()
        assert heir.told == []
        assert failed(WSAError.WSAENOTCONN, heir.Receive(NOTHING))


@played
def test_an_attempt_goes_on_with_the_addresses_that_are_left(reactor: Any) -> Script:
    with socket.create_server((LOCALHOST, 0)) as server:
        Book(reactor, "127.0.0.2", LOCALHOST, late=False)
        one = Recorder(reactor)
        must(one.Create())
        assert failed(WSAError.WSAEWOULDBLOCK, one.Connect("server.example", server.getsockname()[1]))
        tried = one.GetPeerName()
        other = copy.copy(one)
        assert other.GetPeerName() == tried == ("127.0.0.2", server.getsockname()[1])
        other.Close()
        heir = passed(one)
        assert heir.GetPeerName() in (tried, server.getsockname())
        yield lambda: heir.told == told("OnConnect", "OnSend")
        assert heir.GetPeerName() == server.getsockname()


# -- who the memory belongs to


def test_it_is_the_socket_that_is_remembered_and_not_its_number(idle: Any) -> None:
    one, other = Recorder(idle), Recorder(idle)
    must(one.Create(0, SOCK_DGRAM))
    must(one.ShutDown(CAsyncSocket.both))
    handle = one.Detach()
    os.close(handle)
    with socket.socket(type=SOCK_DGRAM) as plain:
        if plain.fileno() != handle:
            os.dup2(plain.fileno(), handle)
            plain.close()
        else:
            plain.detach()
        must(other.Attach(handle))
    must(other.Bind(0, LOCALHOST))
    assert failed(WSAError.WSAEWOULDBLOCK, other.Receive(NOTHING))
    assert other.SendTo(b"x", None, other.GetSockName()) == 1


def test_it_is_the_same_socket_under_another_number(idle: Any) -> None:
    one, other = Recorder(idle), Recorder(idle)
    must(one.Create(0, SOCK_DGRAM))
    must(one.ShutDown(CAsyncSocket.both))
    handle = one.Detach()
    duplicate = os.dup(handle)
    os.close(handle)
    must(other.Attach(duplicate))
    assert failed(SHUT, other.Receive(NOTHING))


@pytest.mark.parametrize("duplicate", [copy.copy, lambda one: assigned(one)], ids=["copy", "assign"])
def test_duplicates_are_remembered_each_for_itself(idle: Any, duplicate: Callable[[Recorder], Recorder]) -> None:
    one = Recorder(idle)
    must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    must(one.SetSockOpt(SO_SNDBUF, 10_000))
    must(one.ShutDown(CAsyncSocket.receives))
    other = duplicate(one)
    must(other.ShutDown(CAsyncSocket.both))
    handles = one.Detach(), other.Detach()
    for each, handle in zip((one, other), handles, strict=True):
        must(each.Attach(handle))
        assert each.GetSockOpt(SO_SNDBUF) == 10_000
        assert failed(SHUT, each.Receive(NOTHING))
    assert one.SendTo(b"x", None, one.GetSockName()) == 1
    assert failed(SHUT, other.SendTo(b"x", None, one.GetSockName()))


def assigned(one: Recorder) -> Recorder:
    other = Recorder(one._as_asked)
    must(other.Assign(one))
    return other


def test_nothing_is_remembered_of_what_an_object_has(idle: Any) -> None:
    before = len(_left)
    one = Recorder(idle)
    must(one.Create())
    for _ in range(3):
        one = passed(one)
    one.Close()
    assert len(_left) == before


def test_what_was_closed_elsewhere_is_not_remembered_for_ever(idle: Any) -> None:
    one = Recorder(idle)
    for _ in range(1000):
        must(one.Create(0, SOCK_DGRAM, 0))
        os.close(one.Detach())
    assert len(_left) <= 200
    # But all that is open.
    handles = []
    for _ in range(300):
        must(one.Create(0, SOCK_DGRAM, 0))
        must(one.ShutDown(CAsyncSocket.both))
        handles.append(one.Detach())
    for handle in handles:
        must(one.Attach(handle, 0))
        assert failed(SHUT, one.Receive(NOTHING))
        one.Close()


def test_a_handle_goes_to_another_thread(idle: Any) -> None:
    one = Recorder(idle)
    must(one.Create(0, SOCK_DGRAM, 0))
    must(one.ShutDown(CAsyncSocket.receives))
    handle = one.Detach()
    answers: list[object] = []

    def other() -> None:
        with reactorOf("select-window") as reactor:
            heir = Recorder(reactor)
            answers.append(heir.Attach(handle, 0) and failed(SHUT, heir.Receive(NOTHING)))
            must(heir.SetSockOpt(SO_SNDBUF, 10_000))
            answers.append(heir.Detach())

    thread = threading.Thread(target=other)
    thread.start()
    thread.join(LIMIT)
    assert answers == [True, handle]
    must(one.Attach(handle, 0))
    assert failed(SHUT, one.Receive(NOTHING))
    assert one.GetSockOpt(SO_SNDBUF) == 10_000


@pytest.mark.programs(always=True)
def test_a_handle_goes_to_a_child_process(idle: Any) -> None:
    one = Recorder(idle)
    must(one.Create(0, SOCK_DGRAM, 0))
    must(one.ShutDown(CAsyncSocket.receives))
    handle = one.Detach()
    child = os.fork()
    if not child:
        # Nothing of the test's process is to be ended, or told, by this one.
        heir = Recorder(idle)
        os._exit(0 if heir.Attach(handle, 0) and failed(SHUT, heir.Receive(NOTHING)) else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    must(one.Attach(handle, 0))
    assert failed(SHUT, one.Receive(NOTHING))


@played
def test_a_CSocket_keeps_it_too(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        must(child.ShutDown(CAsyncSocket.receives))
        must(child.SetSockOpt(SO_RCVBUF, 10_000))
        one = CSocket(reactor)
        must(one.Attach(child.Detach()))
        assert one.GetSockOpt(SO_RCVBUF) == 10_000
        failures: list[Any] = []
        one.Receive(1).addErrback(failures.append)
        assert [failure.value.code for failure in failures] == [SHUT]
        last = passed(one)
        yield turns()
        assert failed(SHUT, last.Receive(NOTHING))
