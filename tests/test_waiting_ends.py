"""
A socket that waits is told of the end of its connection: no event that it waits for can be the last one to miss.
"""

from __future__ import annotations

import copy
import select
import socket
from typing import Any

import pytest
from _awaited import played as playedProgram
from _awaited import turned
from _bridged import HalfCloseable, served, viewOf
from _contract import failed, holds, quiet
from _media import connected, playedInMemoryToo
from _play import Script, play, played, turns
from _reactors import LIMIT, WAYS, Recorder, must, reactorOf, run
from _streams import LOCALHOST, accepted, fill, listening, portOf, refusingPort, reset, told
from twisted.internet.error import ConnectionLost

from twisted_casync import (
    AF_INET,
    AF_INET6,
    FD_ACCEPT,
    FD_ALL_EVENTS,
    FD_CLOSE,
    FD_OOB,
    FD_READ,
    FD_WRITE,
    MSG_OOB,
    SO_ERROR,
    SO_LINGER,
    SOCK_DGRAM,
    CAsyncSocket,
    CSocket,
    WSAError,
)
from twisted_casync.errors import WinsockError

RESET = WSAError.WSAECONNRESET
ABORTED = WSAError.WSAECONNABORTED


def ends(sock: Recorder) -> list[int]:
    """
    @return: the codes of all C{OnClose}s.
    """
    return [code for name, code in sock.told if name == "OnClose"]


# -- a Send waits, and the connection is lost after the end of the stream


@holds("half close")
def test_a_Send_that_waits_after_the_end_of_the_stream_is_told_of_the_loss(
    reactor: Any, near: Recorder, far: Recorder
) -> Script:
    # Over a transport there is some more room a little later.
    near.handlers["OnSend"] = fill
    must(far.AsyncSelect(0))
    must(far.ShutDown())
    yield lambda: near.told == told("OnClose")
    fill(near)
    yield quiet()
    must(far.SetSockOpt(SO_LINGER, (1, 0)))
    far.Close()
    yield lambda: len(ends(near)) >= 2
    yield quiet()
    assert ends(near) == [0, RESET]
    assert near.names()[-1] == "OnClose"
    assert failed(RESET, near.Send(b"x"))
    # Told again by AsyncSelect, and with the same code.
    must(near.AsyncSelect())
    yield lambda: len(ends(near)) >= 3
    yield quiet()
    assert ends(near) == [0, RESET, RESET]


@pytest.mark.parametrize("first", ["blocked", "ended"])
@played
def test_it_does_not_matter_which_of_both_was_first(reactor: Any, first: str) -> Script:
    child, peer = accepted(reactor)
    yield lambda: child.told == told("OnSend")
    if first == "blocked":
        fill(child)
    peer.shutdown(socket.SHUT_WR)
    yield lambda: child.told == told("OnSend", "OnClose")
    if first == "ended":
        fill(child)
    reset(peer)
    yield lambda: len(child.told) >= 3
    yield turns()
    assert child.told == [*told("OnSend", "OnClose"), ("OnClose", RESET)]
    for _ in range(2):
        assert failed(RESET, child.Send(b"x"))
        assert failed(RESET, child.Receive(bytearray(1)))
    yield turns()
    assert len(child.told) == 3


@played
def test_a_loss_that_a_member_meets_first_is_told_too(reactor: Any) -> Script:
    sending, peer = accepted(reactor)
    asking, otherPeer = accepted(reactor)
    pairs = ((sending, peer), (asking, otherPeer))
    for child, plain in pairs:
        fill(child)
        plain.shutdown(socket.SHUT_WR)
    yield lambda: all(("OnClose", 0) in child.told for child, _ in pairs)
    for _, plain in pairs:
        reset(plain)
    assert failed(RESET, sending.Send(b"x"))
    assert asking.GetSockOpt(SO_ERROR) == 0
    yield lambda: all(child.told[-1] == ("OnClose", RESET) for child, _ in pairs)
    yield turns()
    assert [child.names().count("OnClose") for child, _ in pairs] == [2, 2]


@played
def test_who_does_not_wait_to_send_is_told_of_the_end_once(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    peer.shutdown(socket.SHUT_WR)
    yield lambda: child.told == told("OnSend", "OnClose")
    reset(peer)
    yield turns()
    assert child.told == told("OnSend", "OnClose")
    assert failed(RESET, child.Send(b"x"))
    yield turns()
    assert child.told == told("OnSend", "OnClose")


@pytest.mark.parametrize("how", [CAsyncSocket.sends, CAsyncSocket.both])
@played
def test_who_has_given_up_sending_is_told_of_the_end_once(reactor: Any, how: int) -> Script:
    child, peer = accepted(reactor)
    fill(child)
    peer.shutdown(socket.SHUT_WR)
    yield lambda: "OnClose" in child.names()
    must(child.ShutDown(how))
    reset(peer)
    yield turns()
    assert child.names().count("OnClose") == 1


@played
def test_a_peer_that_does_not_answer_is_told_as_an_abort(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        yield lambda: child.told == told("OnSend")
        fill(child)
        with socket.socket(fileno=socket.dup(child.fileno())) as same:
            # How long the peer may leave its window closed, in milliseconds.
            same.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, 1)
        peer.shutdown(socket.SHUT_WR)
        yield lambda: child.told[:2] == told("OnSend", "OnClose")
        yield lambda: len(child.told) >= 3
        assert child.told == [*told("OnSend", "OnClose"), ("OnClose", ABORTED)]


@played
def test_the_peer_of_a_UNIX_socket_that_leaves_is_told_to_a_Send_that_waits(reactor: Any) -> Script:
    child = Recorder(reactor)
    end, peer = socket.socketpair()
    must(child.Attach(end))
    yield lambda: child.told == told("OnSend")
    peer.shutdown(socket.SHUT_WR)
    yield lambda: child.told == told("OnSend", "OnClose")
    left = fill(child)
    while left:
        left -= len(peer.recv(left))
    # It has received all: no reset.
    peer.close()
    yield lambda: len(child.told) >= 3
    yield turns()
    assert child.told == [*told("OnSend", "OnClose"), ("OnClose", RESET)]
    assert failed(RESET, child.Send(b"x"))


@pytest.mark.parametrize("way", WAYS)
def test_a_Send_that_waits_hears_that_the_reactor_stops(way: str) -> None:
    with reactorOf(way) as reactor:
        child, peer = accepted(reactor, OnSend=fill)
        with peer:
            peer.shutdown(socket.SHUT_WR)
            run(reactor, lambda: ("OnClose", 0) in child.told)
            assert child.told[-2:] == [("OnClose", 0), ("OnClose", ABORTED)]


@pytest.mark.parametrize("selected", [FD_ALL_EVENTS, 0])
@pytest.mark.parametrize("way", WAYS)
def test_an_awaited_Send_fails_when_the_connection_is_lost_after_the_end(way: str, selected: int) -> None:
    async def program(reactor: Any) -> None:
        with socket.create_server((LOCALHOST, 0)) as server:
            peer = socket.create_connection(server.getsockname())
            plain, _ = server.accept()
        one = CSocket(reactor)
        must(one.Attach(plain))
        must(one.AsyncSelect(selected))
        sending = one.Send(bytes(50_000_000))
        peer.shutdown(socket.SHUT_WR)
        assert await one.Receive() == b""
        assert not sending.called
        reset(peer)
        with pytest.raises(WinsockError) as raised:
            await sending
        assert raised.value.code is RESET
        one.Close()

    playedProgram(way, program)


@pytest.mark.parametrize("way", WAYS)
def test_a_protocol_with_something_to_write_is_told_of_the_loss(way: str) -> None:
    def lose(protocol: HalfCloseable) -> None:
        protocol.transport.write(bytes(20_000_000))
        protocol.transport.loseConnection()

    def script() -> Script:
        protocol = HalfCloseable(connectionMade=lose)
        peer = served(view, protocol)
        peer.shutdown(socket.SHUT_WR)
        yield turns()
        assert peer.recv(1) == b"\0"
        reset(peer)
        yield lambda: protocol.reason is not None
        assert protocol.reason is not None and protocol.reason.check(ConnectionLost)

    with viewOf(way) as view:
        play(view, script())


# -- FD_CLOSE and unread data


@holds()
def test_OnClose_does_not_wait_for_data_that_OnReceive_is_not_to_tell(
    reactor: Any, near: Recorder, far: Recorder
) -> Script:
    must(near.AsyncSelect(FD_WRITE | FD_CLOSE))
    yield lambda: near.told == told("OnSend")
    must(far.Send(b"unread"))
    far.Close()
    yield lambda: len(near.told) >= 2
    yield quiet()
    assert near.told == told("OnSend", "OnClose")
    # It is still there, and told as soon as that is selected; then OnClose waits for it.
    must(near.AsyncSelect(FD_READ | FD_CLOSE))
    yield lambda: len(near.told) >= 3
    yield quiet()
    assert near.told == told("OnSend", "OnClose", "OnReceive")
    near.readAll()
    assert near.received == b"unread"
    yield lambda: near.told == told("OnSend", "OnClose", "OnReceive", "OnClose")


@holds()
def test_OnClose_that_waits_for_data_is_told_when_that_is_not_selected_any_more(
    reactor: Any, near: Recorder, far: Recorder
) -> Script:
    must(far.Send(b"unread"))
    far.Close()
    yield lambda: near.told == told("OnReceive")
    yield quiet()
    assert near.told == told("OnReceive")
    must(near.AsyncSelect(FD_CLOSE))
    yield lambda: near.told == told("OnReceive", "OnClose")


@pytest.mark.parametrize("way", WAYS)
def test_OnClose_of_a_CSocket_does_not_wait_for_a_Receive_that_has_ended(way: str) -> None:
    """FD_READ is selected for as long as a call waits for it."""

    class Told(CSocket):
        def OnClose(self, nErrorCode: int) -> None:
            codes.append(nErrorCode)

    codes: list[int] = []

    async def program(reactor: Any) -> None:
        with socket.create_server((LOCALHOST, 0)) as server:
            peer = socket.create_connection(server.getsockname())
            plain, _ = server.accept()
        one = Told(reactor)
        must(one.Attach(plain))
        must(one.AsyncSelect(FD_CLOSE))
        receiving = one.Receive(3)
        peer.sendall(b"some and more")
        peer.close()
        assert await receiving == b"som"
        while not codes:
            await one.Receive(0)
            await turned(reactor)
        assert codes == [0]
        assert await one.Receive() == b"e and more"
        one.Close()

    playedProgram(way, program)


# -- masks without FD_CLOSE


@played
def test_a_Send_that_waits_is_told_of_a_loss_by_OnSend_where_OnClose_is_not_selected(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_WRITE))
    yield lambda: child.told == told("OnSend")
    fill(child)
    reset(peer)
    yield lambda: len(child.told) >= 2
    yield turns()
    assert child.told == told("OnSend", "OnSend")
    assert failed(RESET, child.Send(b"x"))
    yield turns()
    assert child.told == told("OnSend", "OnSend")
    must(child.AsyncSelect(FD_WRITE | FD_CLOSE))
    yield lambda: len(child.told) >= 3
    yield turns()
    assert child.told == [*told("OnSend", "OnSend"), ("OnClose", RESET)]


# -- listeners and datagram sockets


@pytest.mark.parametrize("selected", [FD_ALL_EVENTS, FD_ACCEPT, FD_CLOSE])
@played
def test_a_listener_that_is_shut_down_elsewhere_is_told(reactor: Any, selected: int) -> Script:
    listener = listening(reactor)
    must(listener.AsyncSelect(selected))
    yield turns()
    with socket.socket(fileno=socket.dup(listener.fileno())) as same:
        same.shutdown(socket.SHUT_RDWR)
    yield turns()
    assert listener.told == ([("OnAccept", WSAError.WSAEINVAL)] if selected & FD_ACCEPT else [])
    assert failed(WSAError.WSAEINVAL, listener.Accept(Recorder(reactor)))
    yield turns()
    assert len(listener.told) <= 1
    # It can begin again.
    must(listener.Listen())
    must(listener.AsyncSelect())
    listener.told.clear()
    with socket.create_connection((LOCALHOST, portOf(listener)), LIMIT):
        yield lambda: listener.told == told("OnAccept")


@playedInMemoryToo
def test_an_Accept_with_a_wrong_argument_leaves_the_client_to_be_told_again(reactor: Any) -> Script:
    def wrong(listener: Recorder) -> None:
        if len(listener.told) == 1:
            assert failed(WSAError.WSAEFAULT, listener.Accept(Recorder(reactor), True, 4))

    listener, client = listening(reactor, OnAccept=wrong), Recorder(reactor)
    must(client.Create())
    client.Connect(LOCALHOST, portOf(listener))
    yield lambda: len(listener.told) >= 2
    yield turns()
    assert listener.told == told("OnAccept", "OnAccept")
    child = Recorder(reactor)
    must(listener.Accept(child))
    yield connected(client, child)


@played
def test_an_error_that_SO_ERROR_has_taken_is_still_told_to_a_datagram_socket(reactor: Any) -> Script:
    port, holder = refusingPort()
    one = Recorder(reactor)
    must(one.Create(0, SOCK_DGRAM, lpszSocketAddress=LOCALHOST))
    must(one.Connect(LOCALHOST, port))
    yield lambda: one.told != []
    yield turns()
    one.told.clear()
    with holder:
        must(one.Send(b"anybody?"))
        poller = select.poll()
        poller.register(one, 0)
        assert poller.poll(LIMIT * 1000)
        assert one.GetSockOpt(SO_ERROR) == RESET
        assert one.GetSockOpt(SO_ERROR) == 0
        yield lambda: one.told == told("OnReceive")
        assert failed(RESET, one.Receive(bytearray(1)))
        assert failed(WSAError.WSAEWOULDBLOCK, one.Receive(bytearray(1)))
        yield turns()
        assert one.told == told("OnReceive")


@pytest.mark.parametrize("family", ["v4", "v6"])
@playedInMemoryToo
def test_a_datagram_socket_whose_peer_was_taken_away_still_receives(reactor: Any, family: str) -> Script:
    zeros, host, kind = ("::", "::1", AF_INET6) if family == "v6" else ("0.0.0.0", LOCALHOST, AF_INET)
    one, other = Recorder(reactor), Recorder(reactor)
    for each in (one, other):
        must(each.CreateEx((kind, SOCK_DGRAM, 0)))
        # A port that the system chooses.
        must(each.Bind(0, host))
    name = one.GetSockNameEx()
    must(one.Connect(*must(other.GetSockNameEx())))
    must(one.Connect(zeros, 0))
    assert one.GetSockNameEx() == name
    must(other.SendTo(b"x", None, name))
    yield lambda: "OnReceive" in one.names()
    assert one.Receive(bytearray(9)) == 1


@pytest.mark.parametrize("selected", [FD_ALL_EVENTS, 0])
@pytest.mark.parametrize("way", WAYS)
def test_a_call_that_waits_for_urgent_data_ends_with_the_stream(way: str, selected: int) -> None:
    async def program(reactor: Any) -> None:
        with socket.create_server((LOCALHOST, 0)) as server:
            peer = socket.create_connection(server.getsockname())
            plain, _ = server.accept()
        one = CSocket(reactor)
        must(one.Attach(plain))
        must(one.AsyncSelect(selected))
        receiving = one.Receive(1, MSG_OOB)
        peer.close()
        assert await receiving == b""
        one.Close()

    playedProgram(way, program)


# -- what was found before a Send that would have blocked


@played
def test_OnSend_is_not_told_of_room_that_a_Send_has_filled(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        # What it was ready for when it was accepted is still to be told.
        left = fill(child)
        yield turns()
        assert child.told == []
        while left:
            left -= len(peer.recv(left))
        yield lambda: child.told == told("OnSend")


# -- urgent data


@pytest.mark.parametrize("selected", [FD_READ | FD_OOB, FD_ALL_EVENTS])
@played
def test_what_stands_behind_an_urgent_byte_is_told_also_when_the_stream_has_ended(
    reactor: Any, selected: int
) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(0))
    with peer:
        peer.send(b"!", socket.MSG_OOB)
        peer.send(b"behind")
    yield turns()
    must(child.AsyncSelect(selected))
    yield lambda: "OnReceive" in child.names()
    yield turns()
    assert [name for name in child.names() if name != "OnSend"] == ["OnOutOfBandData", "OnReceive"]


@played
def test_a_newer_urgent_byte_is_not_lost_with_a_duplicate_that_is_closed(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    room = bytearray(1)
    with peer:
        peer.send(b"1", socket.MSG_OOB)
        yield lambda: "OnOutOfBandData" in child.names()
        assert child.Receive(room, 1, MSG_OOB) == 1
        peer.send(b"2", socket.MSG_OOB)
        yield lambda: child.names().count("OnOutOfBandData") == 2
        copy.copy(child).Close()
        assert child.Receive(room, 1, MSG_OOB) == 1 and room == b"2"


@played
def test_a_close_with_a_newer_urgent_byte_unread_is_a_reset(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        peer.send(b"1", socket.MSG_OOB)
        yield lambda: "OnOutOfBandData" in child.names()
        assert child.Receive(bytearray(1), 1, MSG_OOB) == 1
        peer.send(b"2", socket.MSG_OOB)
        yield lambda: child.names().count("OnOutOfBandData") == 2
        child.Close()
        with pytest.raises(ConnectionResetError):
            peer.recv(1)
