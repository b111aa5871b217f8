"""
The handle: how an object gets a socket, and gives it up.
"""

from __future__ import annotations

import fcntl
import gc
import os
import socket
from typing import Any
from weakref import ref

import pytest
from _members import MEMBERS, fails
from _play import Script, play, played, turns
from _reactors import WAYS, Recorder, must, reactorOf
from _streams import LOCALHOST, accepted, listening, peerOf, portOf, told

from twisted_casync import (
    AF_INET,
    FD_ALL_EVENTS,
    FD_READ,
    FD_WRITE,
    FIONBIO,
    INVALID_SOCKET,
    SOCK_DGRAM,
    SOCK_STREAM,
    CAsyncSocket,
    GetLastError,
    SetLastError,
    WSAError,
)


def isOpen(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


def isBlocking(fd: int) -> bool:
    return not fcntl.fcntl(fd, fcntl.F_GETFL) & os.O_NONBLOCK


# -- the number


def test_an_object_begins_without_a_socket(idle: Any) -> None:
    one = CAsyncSocket(idle)
    assert one.m_hSocket == int(one) == one.fileno() == INVALID_SOCKET
    must(one.Create())
    assert one.m_hSocket == int(one) == one.fileno() >= 0
    assert isOpen(int(one))
    with pytest.raises(AttributeError):
        one.m_hSocket = 3  # type: ignore[misc]  # that is the point


def test_an_object_is_found_by_its_handle_as_long_as_it_has_it(idle: Any) -> None:
    one, two = Recorder(idle), Recorder(idle)
    must(one.Create())
    must(two.Create(0, SOCK_DGRAM))
    assert CAsyncSocket.FromHandle(int(one)) is one
    assert CAsyncSocket.FromHandle(int(two)) is two
    handle = int(one)
    one.Close()
    SetLastError(0)
    for nobodys in (handle, INVALID_SOCKET, 0, 2**40):
        assert CAsyncSocket.FromHandle(nobodys) is None
    assert GetLastError() == 0


def test_create_on_an_open_object_touches_nothing(idle: Any) -> None:
    one = Recorder(idle)
    must(one.Create())
    handle, name = int(one), one.GetSockName()
    with socket.socket() as plain:
        assert fails(WSAError.WSAEINVAL, one.Create)
        assert fails(WSAError.WSAEINVAL, one.CreateEx, (AF_INET, SOCK_STREAM, 0))
        assert fails(WSAError.WSAEINVAL, one.Socket)
        assert fails(WSAError.WSAEINVAL, one.Attach, plain)
        assert fails(WSAError.WSAEINVAL, one.Attach, plain.fileno())
        assert plain.fileno() >= 0
    assert (int(one), one.GetSockName()) == (handle, name)


def test_accepting_into_an_open_object_touches_nothing(idle: Any) -> None:
    listener, other = listening(idle), Recorder(idle)
    must(other.Create())
    name = other.GetSockName()
    with peerOf(listener):
        assert fails(WSAError.WSAEINVAL, listener.Accept, other)
        assert fails(WSAError.WSAEINVAL, listener.Accept, listener)
        assert other.GetSockName() == name
        must(listener.Accept(Recorder(idle)))


# -- closing


def test_close_twice_is_harmless(idle: Any) -> None:
    one = Recorder(idle)
    one.Close()
    must(one.Create())
    handle = int(one)
    one.Close()
    assert not isOpen(handle)
    assert int(one) == INVALID_SOCKET
    other = socket.socket()
    with other:
        # The number is another's now.
        assert other.fileno() == handle
        one.Close()
        assert isOpen(handle)


@pytest.mark.parametrize("name", MEMBERS)
def test_every_member_of_a_closed_socket_says_that_it_is_none(idle: Any, name: str) -> None:
    never, closed = CAsyncSocket(idle), CAsyncSocket(idle)
    must(closed.Create())
    closed.Close()
    for one in (never, closed):
        assert fails(WSAError.WSAENOTSOCK, getattr(one, name), *MEMBERS[name])


@played
def test_after_close_nothing_is_told(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        peer.sendall(b"x")
        child.Close()
    yield turns()
    assert child.told == []


def test_with_closes_and_keeps_the_type(idle: Any) -> None:
    with Recorder(idle) as one:
        must(one.Create())
        handle = int(one)
        assert one.told == []
    assert not isOpen(handle)
    with pytest.raises(KeyError), Recorder(idle) as two:
        must(two.Create())
        raise KeyError
    assert int(two) == INVALID_SOCKET


# -- a descriptor that is closed beneath its object


# Twisted's epoll reactor itself does not bear it, of any descriptor that is registered with it directly.
@pytest.mark.parametrize("way", [way for way in WAYS if way not in ("epoll-direct", "casync-direct")])
def test_close_bears_a_descriptor_that_was_closed_beneath(way: str) -> None:
    with reactorOf(way) as reactor:
        waiting, listener, fresh = Recorder(reactor), listening(reactor), Recorder(reactor)
        must(waiting.Create(0, SOCK_DGRAM))
        must(fresh.Create())
        for one in (fresh, listener, waiting):
            os.close(int(one))
            one.Close()
            assert int(one) == INVALID_SOCKET
            must(one.Create())


@played
def test_a_descriptor_that_was_closed_beneath_harms_no_other_socket(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    victim = Recorder(reactor)
    must(victim.Create())
    with peer:
        yield turns()
        os.close(int(victim))
        assert fails(WSAError.WSAENOTSOCK, victim.GetSockName)
        assert fails(WSAError.WSAENOTSOCK, victim.Listen)
        peer.sendall(b"x")
        yield lambda: "OnReceive" in child.names()
        victim.Close()
        must(child.Receive(bytearray(1)))
        peer.sendall(b"x")
        yield lambda: child.names().count("OnReceive") == 2


# -- what keeps a socket alive


@played
def test_a_socket_that_waits_is_kept_alive_by_its_reactor(reactor: Any) -> Script:
    heard: list[str] = []
    one = Recorder(reactor, OnReceive=lambda self: heard.append("OnReceive"))
    must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    port = portOf(one)
    alive = ref(one)
    del one
    gc.collect()
    yield turns()
    with socket.socket(AF_INET, SOCK_DGRAM) as plain:
        plain.sendto(b"x", (LOCALHOST, port))
        yield lambda: heard != []
    found = alive()
    assert found is not None and CAsyncSocket.FromHandle(int(found)) is found
    found.Close()
    del found
    # The turn that told it ends.
    yield turns()
    gc.collect()
    assert alive() is None


@pytest.mark.parametrize("make", ["unconnected", "without a mask"])
def test_a_socket_that_nobody_holds_closes_itself_with_a_warning(idle: Any, make: str) -> None:
    one = Recorder(idle)
    if make == "unconnected":
        must(one.Create())
    else:
        must(one.Create(0, SOCK_DGRAM, 0))
    handle = int(one)
    with pytest.warns(ResourceWarning, match=f"unclosed socket <Recorder .* {handle}"):
        del one
        gc.collect()
    assert not isOpen(handle)
    assert CAsyncSocket.FromHandle(handle) is None


# -- attaching and detaching


@pytest.mark.parametrize("asNumber", [True, False])
@played
def test_an_attached_stream_is_told_what_holds(reactor: Any, asNumber: bool) -> Script:
    with socket.create_server((LOCALHOST, 0)) as server:
        peer = socket.create_connection(server.getsockname())
        plain, _ = server.accept()
    one = Recorder(reactor)
    with peer:
        peer.sendall(b"data")
        assert one.Attach(plain.detach() if asNumber else plain) is True
        assert plain.fileno() == -1
        assert one.GetPeerName() == peer.getsockname()
        yield lambda: len(one.told) == 2
        assert one.told == told("OnReceive", "OnSend")
        one.readAll()
        assert one.received == b"data"
    yield lambda: one.told[-1] == ("OnClose", 0)


@played
def test_an_attached_socket_has_the_mask_that_it_was_given(reactor: Any) -> Script:
    one, two = Recorder(reactor), Recorder(reactor)
    for each, mask in ((one, FD_WRITE), (two, 0)):
        plain = socket.socket(AF_INET, SOCK_DGRAM)
        plain.bind((LOCALHOST, 0))
        plain.sendto(b"x", plain.getsockname())
        must(each.Attach(plain, mask))
    yield lambda: one.told != []
    yield turns()
    assert (one.told, two.told) == (told("OnSend"), [])
    must(two.AsyncSelect(FD_READ))
    yield lambda: two.told == told("OnReceive")


@played
def test_an_attached_listener_accepts(reactor: Any) -> Script:
    plain = socket.create_server((LOCALHOST, 0))
    with socket.create_connection(plain.getsockname()) as peer:
        listener, child = Recorder(reactor), Recorder(reactor)
        must(listener.Attach(plain))
        yield lambda: listener.told == told("OnAccept")
        assert listener.Accept(child, True) == peer.getsockname()


def waiting(reactor: Any) -> tuple[Recorder, socket.socket, socket.socket]:
    """
    @return: a socket that was attached while it was connecting, which a full backlog keeps under way until Linux tries
        again, a second later; the listener; and the one that fills it.
    """
    server = socket.create_server((LOCALHOST, 0), backlog=0)
    first = socket.create_connection(server.getsockname())
    plain = socket.socket()
    plain.setblocking(False)
    plain.connect_ex(server.getsockname())
    one = Recorder(reactor)
    must(one.Attach(plain))
    return one, server, first


# That second is not spent on every reactor: that a refusal arrives on each of them is tested with streams.
@pytest.mark.parametrize("way", ["epoll-window", "uvloop-direct"])
def test_an_attached_socket_that_is_connecting_is_told_how_that_ends(way: str) -> None:
    def script() -> Script:
        lucky, server, first = waiting(reactor)
        unlucky, gone, second = waiting(reactor)
        with server, gone, first, second:
            for one in (lucky, unlucky):
                assert fails(WSAError.WSAENOTCONN, one.Receive, bytearray(1))
                assert fails(WSAError.WSAEALREADY, one.Connect, LOCALHOST, 7)
            yield turns()
            assert lucky.told == unlucky.told == []
            server.accept()[0].close()
            gone.close()
            yield lambda: len(lucky.told) >= 2 and unlucky.told != []
            yield turns()
            assert lucky.told == told("OnConnect", "OnSend")
            assert lucky.GetPeerName() == server.getsockname()
            assert unlucky.told == [("OnConnect", WSAError.WSAECONNREFUSED)]

    with reactorOf(way) as reactor:
        play(reactor, script())


@pytest.mark.parametrize("state", ["new", "bound", "datagram", "bound datagram"])
@played
def test_an_attached_socket_is_in_the_state_that_it_was_in(reactor: Any, state: str) -> Script:
    plain = socket.socket(AF_INET, SOCK_DGRAM if "datagram" in state else SOCK_STREAM)
    if "bound" in state:
        plain.bind((LOCALHOST, 0))
    one = Recorder(reactor)
    must(one.Attach(plain))
    assert (one.GetSockName() is not None) is ("bound" in state)
    yield turns()
    assert one.told == (told("OnSend") if "datagram" in state else [])
    if "bound" not in state:
        must(one.Bind(0, LOCALHOST))
    assert one.Listen() is ("datagram" not in state)


def test_what_is_no_socket_is_not_attached(idle: Any, tmp_path: Any) -> None:
    one = Recorder(idle)
    file = os.open(tmp_path / "file", os.O_CREAT)
    gone = socket.socket()
    gone.close()
    for handle in (file, -1, 2**31, 2**80, gone, 1_000_000):
        assert fails(WSAError.WSAENOTSOCK, one.Attach, handle)
    # It is as open as it was.
    os.close(file)
    for wrong in ("3", None, 3.0, object()):
        with pytest.raises(TypeError, match="^hSocket "):
            one.Attach(wrong)
    with pytest.raises(TypeError, match="^lEvent "):
        one.Attach(3, "all")  # type: ignore[arg-type]  # that is the point


def test_a_handle_belongs_to_one_object(idle: Any) -> None:
    one, two = Recorder(idle), Recorder(idle)
    must(one.Create())
    assert fails(WSAError.WSAEINVAL, two.Attach, int(one))
    assert two.Attach(one.Detach()) is True
    assert fails(WSAError.WSAENOTSOCK, one.GetSockName)
    assert must(two.GetSockName())


@played
def test_detaching_loses_nothing_that_was_received(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    other = Recorder(reactor)
    with peer:
        peer.sendall(b"first ")
        yield lambda: "OnReceive" in child.names()
        before = list(child.told)
        handle = child.Detach()
        assert handle >= 0 and int(child) == INVALID_SOCKET
        assert CAsyncSocket.FromHandle(handle) is None
        peer.sendall(b"second")
        yield turns()
        assert child.told == before
        must(other.Attach(handle))
        yield lambda: len(other.told) == 2
        other.readAll()
        assert other.received == b"first second"
    yield lambda: other.told[-1] == ("OnClose", 0)
    assert child.told == before


@played
def test_a_detached_object_can_be_used_again(reactor: Any) -> Script:
    one = Recorder(reactor)
    must(one.Create(0, SOCK_DGRAM))
    with socket.socket(fileno=must(one.Detach())):
        must(one.Create(0, SOCK_DGRAM))
        yield lambda: one.told != []
    assert one.told == told("OnSend")


def test_the_mode_of_a_detached_handle_is_what_fionbio_said(idle: Any) -> None:
    one = Recorder(idle)
    must(one.Create())
    # While events are selected it stays as it is.
    assert fails(WSAError.WSAEINVAL, one.IOCtl, FIONBIO, 0)
    assert one.IOCtl(FIONBIO, 1) is True
    handle = must(one.Detach())
    assert not isBlocking(handle)
    must(one.Attach(handle, 0))
    assert one.IOCtl(FIONBIO, 0) is True
    # Its calls do not block before it is handed out.
    assert fails(WSAError.WSAENOTCONN, one.Receive, bytearray(1))
    handle = must(one.Detach())
    assert isBlocking(handle)
    must(one.Attach(handle, 0))
    must(one.IOCtl(FIONBIO, 0))
    must(one.AsyncSelect(FD_ALL_EVENTS))
    must(one.AsyncSelect(0))
    with socket.socket(fileno=must(one.Detach())) as plain:
        # AsyncSelect makes it non-blocking, whatever it selects.
        assert not isBlocking(plain.fileno())


def test_a_mask_of_unknown_events_selects_none(idle: Any) -> None:
    one = Recorder(idle)
    must(one.Create(0, SOCK_DGRAM, 64))
    assert one.IOCtl(FIONBIO, 0) is True
