"""
What options do: to accepted sockets, to the peer, to Close.
"""

from __future__ import annotations

import copy
import socket
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import Recorder, must
from _streams import LOCALHOST, accepted, beginConnect, listening, peerOf, refusingPort

from twisted_casync import (
    AF_INET6,
    IPPROTO_IPV6,
    IPPROTO_TCP,
    IPV6_V6ONLY,
    LINGER,
    PF_INET6,
    SO_ACCEPTCONN,
    SO_DEBUG,
    SO_DONTLINGER,
    SO_DONTROUTE,
    SO_ERROR,
    SO_KEEPALIVE,
    SO_LINGER,
    SO_OOBINLINE,
    SO_RCVBUF,
    SO_REUSEADDR,
    SO_SNDBUF,
    SO_TYPE,
    SOCK_DGRAM,
    SOCK_STREAM,
    SOCKET_ERROR,
    SOL_SOCKET,
    TCP_NODELAY,
    CAsyncSocket,
    GetLastError,
    WSAError,
)

SET = [
    (SO_DEBUG, SOL_SOCKET, True),
    (SO_DONTROUTE, SOL_SOCKET, True),
    (SO_KEEPALIVE, SOL_SOCKET, True),
    (SO_LINGER, SOL_SOCKET, LINGER(1, 7)),
    (SO_OOBINLINE, SOL_SOCKET, True),
    (SO_RCVBUF, SOL_SOCKET, 23456),
    (SO_REUSEADDR, SOL_SOCKET, True),
    (SO_SNDBUF, SOL_SOCKET, 34567),
    (TCP_NODELAY, IPPROTO_TCP, True),
]


def values(one: CAsyncSocket) -> list[Any]:
    return [one.GetSockOpt(number, None, None, level) for number, level, _ in SET]


def ends(peer: socket.socket) -> str:
    """
    @return: how the stream of a plain socket ends.
    """
    peer.settimeout(20)
    try:
        while peer.recv(65536):
            pass
    except ConnectionResetError:
        return "reset"
    return "end"


# -- whose options they are


def test_an_accepted_socket_has_its_listeners_options(idle: Any) -> None:
    listener = listening(idle)
    for number, level, value in SET:
        must(listener.SetSockOpt(number, value, None, level))
    wanted = [value for _, _, value in SET]
    assert values(listener) == wanted
    assert listener.GetSockOpt(SO_ACCEPTCONN) is True
    child, peer = accepted(idle, listener)
    with peer:
        assert values(child) == wanted
        assert child.GetSockOpt(SO_ACCEPTCONN) is False
        assert child.GetSockOpt(SO_DONTLINGER) is False
        assert child.GetSockOpt(SO_TYPE) == SOCK_STREAM
        # From now on each has its own.
        must(child.SetSockOpt(SO_LINGER, (0, 0)))
        must(child.SetSockOpt(SO_RCVBUF, 45678))
        must(listener.SetSockOpt(SO_DEBUG, False))
        assert listener.GetSockOpt(SO_LINGER) == (1, 7)
        assert listener.GetSockOpt(SO_RCVBUF) == 23456
        assert child.GetSockOpt(SO_DEBUG) is True


def test_a_duplicate_begins_with_the_options_of_the_other(idle: Any) -> None:
    one = CAsyncSocket(idle)
    must(one.Socket())
    for number, level, value in SET:
        must(one.SetSockOpt(number, value, None, level))
    two = copy.copy(one)
    assert values(two) == values(one)
    must(two.SetSockOpt(SO_DEBUG, False))
    assert one.GetSockOpt(SO_DEBUG) is True


def test_a_new_socket_of_the_same_object_begins_with_the_defaults(idle: Any) -> None:
    one = CAsyncSocket(idle)
    must(one.Socket())
    fresh = values(one)
    for number, level, value in SET:
        must(one.SetSockOpt(number, value, None, level))
    one.Close()
    must(one.Socket())
    assert values(one) == fresh


def test_an_option_can_be_set_in_any_state(idle: Any) -> None:
    child, peer = accepted(idle)
    with peer:
        assert child.SetSockOpt(TCP_NODELAY, True, None, IPPROTO_TCP) is True
        assert child.GetSockOpt(TCP_NODELAY, None, None, IPPROTO_TCP) is True
        must(child.ShutDown(CAsyncSocket.both))
        assert child.SetSockOpt(SO_KEEPALIVE, True) is True
        assert child.GetSockOpt(SO_KEEPALIVE) is True


# -- lingering


def test_so_linger_and_so_dontlinger_are_two_sides_of_one_thing(idle: Any) -> None:
    one = CAsyncSocket(idle)
    must(one.Socket())
    for number, value, linger in [
        (SO_LINGER, (1, 5), (1, 5)),
        (SO_DONTLINGER, True, (0, 5)),
        (SO_DONTLINGER, False, (1, 0)),
        # Without lingering the time is of no interest.
        (SO_LINGER, (0, 9), (0, 0)),
        (SO_LINGER, (1, 65535), (1, 65535)),
        (SO_LINGER, (65536 + 1, 65536 + 2), (1, 2)),
        (SO_LINGER, LINGER(2, 3), (2, 3)),
    ]:
        must(one.SetSockOpt(number, value))
        assert one.GetSockOpt(SO_LINGER) == linger
        assert one.GetSockOpt(SO_DONTLINGER) is (not linger[0])


@pytest.mark.parametrize(
    "settings, end",
    [
        ([], "end"),
        ([(SO_LINGER, (1, 0))], "reset"),
        ([(SO_DONTLINGER, False)], "reset"),
        ([(SO_LINGER, (1, 0)), (SO_DONTLINGER, True)], "end"),
        ([(SO_LINGER, (1, 0)), (SO_LINGER, (0, 0))], "end"),
        # Close never waits: what was sent is delivered meanwhile.
        ([(SO_LINGER, (1, 30))], "end"),
    ],
)
def test_to_linger_for_no_time_is_to_reset(idle: Any, settings: list[Any], end: str) -> None:
    child, peer = accepted(idle)
    with peer:
        for number, value in settings:
            must(child.SetSockOpt(number, value))
        child.Close()
        assert ends(peer) == end


def test_close_does_not_wait_for_a_peer_that_does_not_read(idle: Any) -> None:
    """
    The test would hang in Close if the kernel were told to linger.
    """
    child, peer = accepted(idle)
    with peer:
        must(child.SetSockOpt(SO_LINGER, (1, 3600)))
        sent = 0
        while (count := child.Send(bytes(65536))) > 0:
            sent += count
        child.Close()
        peer.settimeout(20)
        while data := peer.recv(1 << 20):
            sent -= len(data)
        assert sent == 0


def test_an_accepted_socket_lingers_as_its_listener_does(idle: Any) -> None:
    listener = listening(idle)
    must(listener.SetSockOpt(SO_LINGER, (1, 0)))
    child, peer = accepted(idle, listener)
    with peer:
        child.Close()
        assert ends(peer) == "reset"


# -- the error of the socket


@played
def test_so_error_is_read_once(reactor: Any) -> Script:
    port, holder = refusingPort()
    client = Recorder(reactor)
    must(client.Create())
    with holder:
        beginConnect(client, port)
        yield lambda: client.told != []
    # Neither the notification nor the calls that fail take it away, or are taken away by it.
    assert client.told == [("OnConnect", WSAError.WSAECONNREFUSED)]
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert client.GetSockOpt(SO_ERROR) is WSAError.WSAECONNREFUSED
    assert client.GetSockOpt(SO_ERROR) == 0


@played
def test_so_error_that_is_read_before_the_notification_does_not_take_it_away(reactor: Any) -> Script:
    port, holder = refusingPort()
    client = Recorder(reactor)
    must(client.Create())
    with holder:
        beginConnect(client, port)
        buffer = bytearray(4)
        must(client.GetSockOpt(SO_ERROR, buffer))
        assert int.from_bytes(buffer, "little") == WSAError.WSAECONNREFUSED
        yield lambda: client.told != []
    assert client.told == [("OnConnect", WSAError.WSAECONNREFUSED)]


@played
def test_a_buffer_that_is_too_small_for_so_error_leaves_it(reactor: Any) -> Script:
    port, holder = refusingPort()
    client = Recorder(reactor)
    must(client.Create())
    with holder:
        beginConnect(client, port)
        yield lambda: client.told != []
    assert client.GetSockOpt(SO_ERROR, bytearray(2)) is None
    assert GetLastError() == WSAError.WSAEFAULT
    assert client.GetSockOpt(SO_ERROR) is WSAError.WSAECONNREFUSED


@played
def test_so_error_does_not_hide_the_refusal_of_a_datagram(reactor: Any) -> Script:
    client, gone = Recorder(reactor), Recorder(reactor)
    for one in (client, gone):
        must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    must(client.Connect(*must(gone.GetSockName())))
    gone.Close()
    must(client.Send(b"x"))
    assert client.GetSockOpt(SO_ERROR) is WSAError.WSAECONNRESET
    assert client.GetSockOpt(SO_ERROR) == 0
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAECONNRESET
    yield turns()


# -- the newest byte of urgent data, and the other family


@played
def test_what_comes_in_line_is_announced_as_data(reactor: Any) -> Script:
    listener = listening(reactor)
    must(listener.SetSockOpt(SO_OOBINLINE, True))
    child = Recorder(reactor)
    with peerOf(listener) as peer:
        must(listener.Accept(child))
        peer.send(b"!", socket.MSG_OOB)
        yield lambda: "OnReceive" in child.names()
        assert child.Receive(bytearray(9)) == 1
        yield turns()
    assert "OnOutOfBandData" not in child.names()


def test_an_ipv6_socket_is_for_ipv6_only_until_it_says_otherwise(idle: Any) -> None:
    one = CAsyncSocket(idle)
    must(one.Socket(nAddressFormat=PF_INET6))
    assert one.GetSockOpt(IPV6_V6ONLY, None, None, IPPROTO_IPV6) is True
    assert one.SetSockOpt(IPV6_V6ONLY, False, None, IPPROTO_IPV6) is True
    must(one.Bind(("::", 0)))
    must(one.Listen())
    with socket.create_connection((LOCALHOST, must(one.GetSockNameEx())[1])):
        child = CAsyncSocket(idle)
        must(one.Accept(child))
        assert must(child.GetPeerNameEx())[0] == "::ffff:127.0.0.1"
    # It is too late now.
    assert one.SetSockOpt(IPV6_V6ONLY, True, None, IPPROTO_IPV6) is False
    assert GetLastError() == WSAError.WSAEINVAL


def test_an_ipv4_socket_has_no_option_of_ipv6(idle: Any) -> None:
    one = CAsyncSocket(idle)
    must(one.Socket())
    for answer in (
        one.GetSockOpt(IPV6_V6ONLY, None, None, IPPROTO_IPV6),
        one.SetSockOpt(IPV6_V6ONLY, False, None, IPPROTO_IPV6),
    ):
        assert not answer
        assert GetLastError() in (WSAError.WSAENOPROTOOPT, WSAError.WSAEOPNOTSUPP)
    assert AF_INET6 == socket.AF_INET6
