"""
Datagram sockets on every reactor and in memory; C{playedAtOnce} are those that count on a datagram being there when it
was sent, which in memory takes a step.
"""

from __future__ import annotations

from typing import Any

import pytest
from _media import playedInMemoryToo as played
from _play import Script, turns
from _play import played as playedAtOnce
from _reactors import Recorder, must

from twisted_casync import (
    AF_INET,
    AF_INET6,
    FD_ALL_EVENTS,
    FD_WRITE,
    FIONREAD,
    MSG_OOB,
    MSG_PEEK,
    SO_BROADCAST,
    SOCK_DGRAM,
    SOCKET_ERROR,
    CAsyncSocket,
    GetLastError,
    WSAError,
)

HOSTS = {AF_INET: "127.0.0.1", AF_INET6: "::1"}
NOBODY = {AF_INET: "0.0.0.0", AF_INET6: "::"}

families = pytest.mark.parametrize("family", HOSTS, ids=["IPv4", "IPv6"])


def bound(reactor: Any, family: int = AF_INET, **handlers: Any) -> Recorder:
    """
    @return: a socket with a local name.
    """
    one = Recorder(reactor, **handlers)
    must(one.CreateEx((family, SOCK_DGRAM, 0, "", (HOSTS[family], 0))))
    return one


def unbound(reactor: Any, family: int = AF_INET) -> Recorder:
    one = Recorder(reactor)
    must(one.CreateEx((family, SOCK_DGRAM, 0)))
    return one


def send(sender: Recorder, receiver: Recorder, data: bytes) -> None:
    """
    Send a datagram; over the loopback device, not in memory, it is there when this returns.
    """
    host, port = must(receiver.GetSockNameEx())
    assert sender.SendTo(data, None, port, host) == len(data)


def onlyDatagrams(*sockets: Recorder) -> None:
    """
    Nothing was told that is not told of datagram sockets, and nothing with an error.
    """
    for one in sockets:
        assert set(one.told) <= {("OnReceive", 0), ("OnSend", 0)}


def everything(self: Recorder) -> None:
    """
    A handler that receives until it would block.
    """
    self.readAll()
    assert GetLastError() == WSAError.WSAEWOULDBLOCK


# -- what is told


@families
@pytest.mark.parametrize("create", [bound, unbound])
@played
def test_a_new_socket_can_send_and_is_told_so_once(reactor: Any, create: Any, family: int) -> Script:
    one = create(reactor, family)
    assert one.told == []
    yield lambda: one.told != []
    yield turns()
    assert one.told == [("OnSend", 0)]


@families
@played
def test_a_datagram_is_told_of_and_comes_with_its_source(reactor: Any, family: int) -> Script:
    client = bound(reactor, family)
    server = bound(reactor, family)
    send(client, server, b"question")
    yield lambda: "OnReceive" in server.names()
    buffer = bytearray(100)
    count, source = server.ReceiveFrom(buffer)
    assert buffer[:count] == b"question"
    assert source is not None and source[:2] == client.GetSockNameEx()
    assert server.SendToEx(b"answer", None, source) == 6
    yield lambda: "OnReceive" in client.names()
    count, source = client.ReceiveFromEx(buffer)
    assert buffer[:count] == b"answer"
    assert source is not None and source[:2] == server.GetSockNameEx()
    onlyDatagrams(client, server)


@families
@played
def test_an_empty_datagram_is_told_of_like_any_other(reactor: Any, family: int) -> Script:
    client, server = bound(reactor, family), bound(reactor, family)
    send(client, server, b"")
    yield lambda: "OnReceive" in server.names()
    count, source = server.ReceiveFrom(bytearray(8))
    assert count == 0 and source is not None
    assert server.ReceiveFrom(bytearray(8)) == (SOCKET_ERROR, None)
    assert GetLastError() == WSAError.WSAEWOULDBLOCK
    send(client, server, b"more")
    yield lambda: server.names().count("OnReceive") == 2
    onlyDatagrams(client, server)


@played
def test_one_receive_in_each_notification_gets_all_datagrams(reactor: Any) -> Script:
    got: list[bytes] = []

    def one(self: Recorder) -> None:
        buffer = bytearray(8)
        got.append(bytes(buffer[: must(self.Receive(buffer))]))

    client, server = bound(reactor), bound(reactor, OnReceive=one)
    sent = [b"%d" % number for number in range(50)]
    for data in sent:
        send(client, server, data)
    yield lambda: len(got) >= len(sent)
    yield turns()
    assert got == sent
    assert server.names().count("OnReceive") == len(sent)


@played
def test_a_service_that_receives_until_it_would_block_gets_all_datagrams(reactor: Any) -> Script:
    client, server = bound(reactor), bound(reactor, OnReceive=everything)
    for _round in range(3):
        for number in range(50):
            send(client, server, b"%03d." % number)
        want = server.received + b"".join(b"%03d." % number for number in range(50))
        yield lambda want=want: len(server.received) >= len(want)  # type: ignore[misc]  # bound now
        assert server.received == want
    yield turns()
    assert server.names().count("OnReceive") <= 6


@played
def test_a_datagram_that_nobody_receives_is_told_of_once(reactor: Any) -> Script:
    client, server = bound(reactor), bound(reactor)
    send(client, server, b"1")
    send(client, server, b"2")
    yield lambda: "OnReceive" in server.names()
    send(client, server, b"3")
    yield turns()
    assert server.names().count("OnReceive") == 1
    must(server.AsyncSelect(FD_ALL_EVENTS))
    yield lambda: server.names().count("OnReceive") == 2


@playedAtOnce
def test_a_datagram_that_was_received_before_is_not_told_of(reactor: Any) -> Script:
    client, server = bound(reactor), bound(reactor)
    send(client, server, b"1")
    assert server.Receive(bytearray(8)) == 1
    yield turns()
    assert "OnReceive" not in server.names()


@played
def test_what_the_mask_leaves_out_is_not_told(reactor: Any) -> Script:
    client, server = bound(reactor), bound(reactor)
    must(server.AsyncSelect(FD_WRITE))
    send(client, server, b"1")
    yield lambda: server.told != []
    yield turns()
    assert server.told == [("OnSend", 0)]
    must(server.AsyncSelect(FD_ALL_EVENTS))
    yield lambda: "OnReceive" in server.names()


@families
@played
def test_a_closed_peer_is_nothing_to_be_told(reactor: Any, family: int) -> Script:
    client, server = bound(reactor, family), bound(reactor, family)
    send(client, server, b"last words")
    client.Close()
    yield lambda: "OnReceive" in server.names()
    assert server.Receive(bytearray(100)) == 10
    yield turns()
    onlyDatagrams(client, server)


# -- what is received


@families
@pytest.mark.parametrize("flags", [0, MSG_PEEK])
@played
def test_of_a_datagram_that_is_too_long_the_beginning_is_received(reactor: Any, family: int, flags: int) -> Script:
    client, server = bound(reactor, family), bound(reactor, family)
    send(client, server, b"abcdef")
    send(client, server, b"next")
    yield lambda: "OnReceive" in server.names()
    buffer = bytearray(8)
    count, source = server.ReceiveFrom(buffer, 4, flags)
    assert GetLastError() == WSAError.WSAEMSGSIZE
    assert count == SOCKET_ERROR
    assert buffer == b"abcd\0\0\0\0"
    assert source is not None and source[:2] == client.GetSockNameEx()
    if flags:
        # It was only looked at.
        assert server.Receive(buffer) == 6
    # The rest of it is gone.
    assert server.Receive(buffer) == 4
    assert buffer[:4] == b"next"


@played
def test_receive_fails_for_a_datagram_that_is_too_long_and_fills_the_buffer(reactor: Any) -> Script:
    client, server = bound(reactor), bound(reactor)
    send(client, server, b"abcdef")
    yield lambda: "OnReceive" in server.names()
    buffer = bytearray(2)
    assert server.Receive(buffer) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEMSGSIZE
    assert buffer == b"ab"
    assert server.Receive(buffer) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEWOULDBLOCK


@played
def test_peeking_leaves_the_datagram_and_tells_of_it_again(reactor: Any) -> Script:
    client, server = bound(reactor), bound(reactor)
    send(client, server, b"abc")
    send(client, server, b"de")
    yield lambda: "OnReceive" in server.names()
    buffer = bytearray(8)
    assert server.IOCtl(FIONREAD) == 3
    for _ in range(2):
        count, source = server.ReceiveFrom(buffer, None, MSG_PEEK)
        assert buffer[:count] == b"abc" and source == client.GetSockName()
    yield lambda: server.names().count("OnReceive") == 2
    assert server.Receive(buffer) == 3
    assert server.IOCtl(FIONREAD) == 2


@played
def test_a_socket_without_a_name_receives_nothing_until_it_sends(reactor: Any) -> Script:
    client, server = unbound(reactor), bound(reactor)
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEINVAL
    assert client.GetSockName() is None
    assert GetLastError() == WSAError.WSAEINVAL
    send(client, server, b"x")
    assert must(client.GetSockName())[1] != 0
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEWOULDBLOCK
    yield turns()
    assert server.SendTo(b"y", None, must(client.GetSockName())[1], "127.0.0.1") == 1
    yield lambda: "OnReceive" in client.names()


@played
def test_room_that_is_too_small_for_the_source_leaves_the_datagram(reactor: Any) -> Script:
    client, server = bound(reactor), bound(reactor)
    send(client, server, b"x")
    yield lambda: "OnReceive" in server.names()
    assert server.ReceiveFrom(bytearray(1), lpSockAddrLen=15) == (SOCKET_ERROR, None)
    assert GetLastError() == WSAError.WSAEFAULT
    yield lambda: server.names().count("OnReceive") == 2
    assert server.ReceiveFrom(bytearray(1), lpSockAddrLen=16) == (1, client.GetSockName())


# -- a peer


@families
@pytest.mark.parametrize("create", [bound, unbound])
@played
def test_connect_is_done_at_once_and_told_by_onsend_alone(reactor: Any, create: Any, family: int) -> Script:
    client, server = create(reactor, family), bound(reactor, family)
    yield lambda: client.told == [("OnSend", 0)]
    assert client.Connect(*must(server.GetSockNameEx())) is True
    assert client.GetPeerNameEx() == server.GetSockNameEx()
    yield lambda: len(client.told) == 2
    yield turns()
    assert client.told == [("OnSend", 0)] * 2
    assert client.Send(b"hello") == 5
    yield lambda: "OnReceive" in server.names()
    assert server.ReceiveFrom(bytearray(9))[0] == 5


@played
def test_a_connected_socket_hears_its_peer_alone(reactor: Any) -> Script:
    client, peer, stranger = bound(reactor), bound(reactor), bound(reactor)
    must(client.Connect(*must(peer.GetSockName())))
    send(stranger, client, b"psst")
    yield turns()
    assert "OnReceive" not in client.names()
    send(peer, client, b"hello")
    yield lambda: "OnReceive" in client.names()
    buffer = bytearray(9)
    assert client.Receive(buffer) == 5 and buffer[:5] == b"hello"
    # Another peer may take its place.
    must(client.Connect(*must(stranger.GetSockName())))
    assert client.GetPeerName() == stranger.GetSockName()
    send(stranger, client, b"now")
    yield lambda: client.names().count("OnReceive") == 2
    assert client.Receive(buffer) == 3


@families
@played
def test_an_address_of_zeros_takes_the_peer_away(reactor: Any, family: int) -> Script:
    client, peer, stranger = bound(reactor, family), bound(reactor, family), bound(reactor, family)
    must(client.Connect(*must(peer.GetSockNameEx())))
    assert client.Connect(NOBODY[family], 0) is True
    assert client.GetPeerNameEx() is None
    assert GetLastError() == WSAError.WSAENOTCONN
    assert client.Send(b"x") == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAENOTCONN
    send(client, stranger, b"who hears me?")
    buffer = bytearray(99)
    yield lambda: "OnReceive" in stranger.names()
    _, source = stranger.ReceiveFrom(buffer)
    assert stranger.SendTo(b"I do", None, source) == 4
    yield lambda: "OnReceive" in client.names()
    assert client.Receive(buffer) == 4


@families
@played
def test_a_refusal_is_told_as_a_receive_that_fails(reactor: Any, family: int) -> Script:
    client, gone = bound(reactor, family), bound(reactor, family)
    host, port = must(gone.GetSockNameEx())
    must(client.Connect(host, port))
    gone.Close()
    yield lambda: client.told == [("OnSend", 0)]
    assert client.Send(b"anybody?") == 8
    yield lambda: "OnReceive" in client.names()
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAECONNRESET
    # It was one answer to one datagram.
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEWOULDBLOCK
    yield turns()
    assert client.names().count("OnReceive") == 1
    # The socket is as good as before.
    back = Recorder(reactor)
    must(back.CreateEx((family, SOCK_DGRAM, 0, "", (host, port))))
    assert client.Send(b"hello") == 5
    yield lambda: "OnReceive" in back.names()
    send(back, client, b"hi")
    yield lambda: client.names().count("OnReceive") == 2
    assert client.Receive(bytearray(9)) == 2
    onlyDatagrams(client, back)


@families
@playedAtOnce
def test_a_refusal_that_a_send_meets_is_a_reset_too(reactor: Any, family: int) -> Script:
    client, gone = bound(reactor, family), bound(reactor, family)
    must(client.Connect(*must(gone.GetSockNameEx())))
    gone.Close()
    assert client.Send(b"1") == 1
    assert client.Send(b"2") == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAECONNRESET
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEWOULDBLOCK
    yield turns()
    onlyDatagrams(client)


@played
def test_who_has_no_peer_hears_of_no_refusal(reactor: Any) -> Script:
    client, gone = bound(reactor), bound(reactor)
    address = must(gone.GetSockName())
    gone.Close()
    for _ in range(2):
        assert client.SendTo(b"anybody?", None, address) == 8
        yield turns()
    assert "OnReceive" not in client.names()
    assert client.Receive(bytearray(1)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEWOULDBLOCK


# -- what is sent


@played
def test_a_broadcast_takes_permission(reactor: Any) -> Script:
    client, server = bound(reactor), Recorder(reactor)
    must(server.Create(0, SOCK_DGRAM))
    port = must(server.GetSockName())[1]
    for host in ("127.255.255.255", "255.255.255.255", None):
        assert client.SendTo(b"all", None, port, host) == SOCKET_ERROR
        assert GetLastError() == WSAError.WSAEACCES
    must(client.SetSockOpt(SO_BROADCAST, True))
    assert client.SendTo(b"all", None, port, "127.255.255.255") == 3
    yield lambda: "OnReceive" in server.names()
    buffer = bytearray(9)
    assert server.ReceiveFrom(buffer) == (3, client.GetSockName())


@played
def test_no_host_is_everybody(reactor: Any) -> Script:
    client, server = bound(reactor), Recorder(reactor)
    must(server.Create(0, SOCK_DGRAM))
    must(client.SetSockOpt(SO_BROADCAST, True))
    # From an address of the loopback device, so that it goes nowhere else.
    assert client.SendTo(b"all", None, must(server.GetSockName())[1]) == 3
    yield lambda: "OnReceive" in server.names()
    assert server.ReceiveFrom(bytearray(9)) == (3, client.GetSockName())


@played
def test_ipv6_knows_no_broadcast(reactor: Any) -> Script:
    client = bound(reactor, AF_INET6)
    assert client.SendTo(b"all", None, 7) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEINVAL
    yield turns()


@families
@played
def test_a_datagram_that_is_too_long_to_send_is_not_sent(reactor: Any, family: int) -> Script:
    client, server = bound(reactor, family), bound(reactor, family)
    host, port = must(server.GetSockNameEx())
    assert client.SendTo(bytes(70000), None, port, host) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEMSGSIZE
    yield turns()
    assert "OnReceive" not in server.names()
    assert client.names() == ["OnSend"]


@families
@played
def test_what_streams_do_datagrams_do_not(reactor: Any, family: int) -> Script:
    one = bound(reactor, family)
    assert one.Send(b"x") == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAENOTCONN
    assert one.Listen() is False
    assert GetLastError() == WSAError.WSAEOPNOTSUPP
    assert one.Accept(CAsyncSocket()) is False
    assert GetLastError() == WSAError.WSAEOPNOTSUPP
    assert one.Receive(bytearray(1), None, MSG_OOB) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEOPNOTSUPP
    must(one.Connect(*must(one.GetSockNameEx())))
    assert one.Send(b"x", None, MSG_OOB) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEOPNOTSUPP
    yield turns()
    onlyDatagrams(one)


# -- shutting down


@played
def test_after_shutdown_of_sends_nothing_is_sent_and_all_is_received(reactor: Any) -> Script:
    one, peer = bound(reactor), bound(reactor)
    assert one.ShutDown() is True
    must(one.Connect(*must(peer.GetSockName())))
    for sent in (one.Send(b"x"), one.SendTo(b"x", None, must(peer.GetSockName()))):
        assert sent == SOCKET_ERROR
        assert GetLastError() == WSAError.WSAESHUTDOWN
    yield turns()
    assert one.told == []
    send(peer, one, b"hello")
    yield lambda: one.told == [("OnReceive", 0)]
    assert one.Receive(bytearray(9)) == 5


@pytest.mark.parametrize("how", [CAsyncSocket.receives, CAsyncSocket.both])
@played
def test_after_shutdown_of_receives_nothing_is_received_nor_told(reactor: Any, how: int) -> Script:
    one, peer = bound(reactor), bound(reactor)
    send(peer, one, b"before")
    must(one.ShutDown(how))
    send(peer, one, b"after")
    yield turns()
    assert "OnReceive" not in one.names()
    assert one.Receive(bytearray(9)) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAESHUTDOWN
    sent = one.SendTo(b"x", None, must(peer.GetSockName()))
    if how == CAsyncSocket.both:
        assert (sent, GetLastError()) == (SOCKET_ERROR, WSAError.WSAESHUTDOWN)
    else:
        assert sent == 1
    onlyDatagrams(one)
