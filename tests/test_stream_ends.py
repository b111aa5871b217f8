"""
How a stream ends, on every reactor: half closed, closed, reset, or with the reactor; data that is unread comes first.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import WAYS, Recorder, must, reactorOf, run
from _streams import LOCALHOST, accepted, beginConnect, fill, listening, peerOf, portOf, refusingPort, reset, told

from twisted_casync import (
    FD_ALL_EVENTS,
    FD_CLOSE,
    FD_READ,
    SO_ERROR,
    SOCKET_ERROR,
    CAsyncSocket,
    GetLastError,
    WSAError,
)

RESET = WSAError.WSAECONNRESET
ABORTED = WSAError.WSAECONNABORTED


def failsWith(code: int, result: int) -> bool:
    return result == SOCKET_ERROR and GetLastError() == code


# -- the peer closes, or half closes


@pytest.mark.parametrize("how", ["close", "shutdown"])
@played
def test_an_end_with_nothing_unread_is_OnClose_alone_and_once(reactor: Any, how: str) -> Script:
    child, peer = accepted(reactor)
    with peer:
        yield lambda: child.told == told("OnSend")
        if how == "close":
            peer.close()
        else:
            peer.shutdown(socket.SHUT_WR)
        yield lambda: len(child.told) >= 2
        assert child.Receive(bytearray(1)) == 0
        assert child.Receive(bytearray(1)) == 0
        yield turns()
        assert child.told == told("OnSend", "OnClose")


@played
def test_after_the_peers_half_close_sending_goes_on(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        peer.shutdown(socket.SHUT_WR)
        yield lambda: "OnClose" in child.names()
        assert child.Send(b"still here") == 10
        assert peer.recv(100) == b"still here"
        # And so does OnSend.
        child.told.clear()
        left = fill(child)
        yield turns()
        assert child.told == []
        while left:
            left -= len(peer.recv(left))
        yield lambda: child.told != []
        assert child.told == told("OnSend")
        child.Close()
        assert peer.recv(100) == b""


@played
def test_a_half_close_behind_a_full_send_buffer_keeps_OnSend(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    with peer:
        yield lambda: child.told == told("OnSend")
        left = fill(child)
        peer.shutdown(socket.SHUT_WR)
        yield lambda: child.told == told("OnSend", "OnClose")
        while left:
            left -= len(peer.recv(left))
        yield lambda: child.told == told("OnSend", "OnClose", "OnSend")


@pytest.mark.parametrize("piece", [1, 3, 100])
@played
def test_what_stands_before_the_end_is_told_first(reactor: Any, piece: int) -> Script:
    received = bytearray()

    def some(child: Recorder) -> None:
        buffer = bytearray(piece)
        received.extend(buffer[: must(child.Receive(buffer))])

    child, peer = accepted(reactor, OnReceive=some)
    with peer:
        yield lambda: child.told == told("OnSend")
        peer.sendall(b"the end")
    yield lambda: "OnClose" in child.names()
    yield turns()
    assert received == b"the end"
    assert child.told == told("OnSend", *-(-7 // piece) * ["OnReceive"], "OnClose")


@played
def test_OnClose_waits_for_unread_data_however_late_it_is_received(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_READ | FD_CLOSE))
    with peer:
        peer.sendall(b"abcdef")
    yield lambda: child.told == told("OnReceive")
    yield turns()
    assert child.told == told("OnReceive")
    assert child.Receive(bytearray(4)) == 4
    yield lambda: child.told == told("OnReceive", "OnReceive")
    yield turns()
    assert child.told == told("OnReceive", "OnReceive")
    assert child.Receive(bytearray(4)) == 2
    yield lambda: len(child.told) >= 3
    yield turns()
    assert child.told == told("OnReceive", "OnReceive", "OnClose")


@played
def test_a_handler_that_receives_until_the_end_is_still_told_of_it(reactor: Any) -> Script:
    child, peer = accepted(reactor, OnReceive=Recorder.readAll)
    must(child.AsyncSelect(FD_READ | FD_CLOSE))
    with peer:
        peer.sendall(b"all of it")
    yield lambda: "OnClose" in child.names()
    yield turns()
    assert child.received == b"all of it"
    assert child.told == told("OnReceive", "OnClose")


@played
def test_an_end_that_was_there_before_the_connection_was_told(reactor: Any) -> Script:
    listener, client = listening(reactor), Recorder(reactor, OnReceive=Recorder.readAll)
    must(client.Create())
    beginConnect(client, portOf(listener))
    child = Recorder(reactor)
    must(listener.Accept(child))
    must(child.Send(b"hello"))
    child.Close()
    yield lambda: "OnClose" in client.names()
    yield turns()
    assert [name for name in client.names() if name != "OnSend"] == ["OnConnect", "OnReceive", "OnClose"]
    assert client.received == b"hello"


@pytest.mark.parametrize("before", ["nothing", "data", "half-close"])
@played
def test_a_reset_that_was_there_before_the_connection_was_told(reactor: Any, before: str) -> Script:
    """It was made all the same, and no refusal."""
    door = socket.create_server((LOCALHOST, 0))
    client = Recorder(reactor)
    must(client.Create())
    beginConnect(client, door.getsockname()[1])
    peer, _ = door.accept()
    if before == "data":
        peer.sendall(b"lost")
    elif before == "half-close":
        peer.shutdown(socket.SHUT_WR)
    reset(peer)
    door.close()
    yield lambda: "OnClose" in client.names()
    yield turns()
    assert client.told[0] == ("OnConnect", 0)
    # After a half close Linux knows it by another name.
    assert client.told[-1] == ("OnClose", ABORTED if before == "half-close" else RESET)
    assert client.names().count("OnClose") == 1
    client.readAll()
    assert failsWith(client.told[-1][1], client.Receive(bytearray(1)))
    assert client.GetPeerName() is not None


@played
def test_AsyncSelect_tells_the_end_again_each_time(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_CLOSE))
    peer.close()
    for count in range(1, 4):
        yield lambda count=count: len(child.told) >= count  # type: ignore[misc]  # the default is a binding
        yield turns()
        assert child.told == count * told("OnClose")
        must(child.AsyncSelect(FD_CLOSE))


@played
def test_an_end_that_is_not_selected_is_told_as_soon_as_it_is(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_READ))
    peer.close()
    yield turns()
    assert child.told == []
    must(child.AsyncSelect(FD_READ | FD_CLOSE))
    yield lambda: child.told != []
    yield turns()
    assert child.told == told("OnClose")


@played
def test_an_end_under_a_mask_of_OnReceive_only_tells_the_data_and_no_more(reactor: Any) -> Script:
    child, peer = accepted(reactor, OnReceive=Recorder.readAll)
    must(child.AsyncSelect(FD_READ))
    with peer:
        peer.sendall(b"x")
        yield lambda: child.told != []
    yield turns()
    assert child.told == told("OnReceive")
    assert child.Receive(bytearray(1)) == 0


# -- this side half closes


@played
def test_what_comes_after_ones_own_half_close_is_received(reactor: Any) -> Script:
    child, peer = accepted(reactor, OnReceive=Recorder.readAll)
    with peer:
        yield lambda: child.told == told("OnSend")
        must(child.Send(b"question"))
        must(child.ShutDown())
        must(child.ShutDown(CAsyncSocket.sends))
        assert failsWith(WSAError.WSAESHUTDOWN, child.Send(b"x"))
        assert peer.recv(100) + peer.recv(100) == b"question"
        yield turns()
        assert child.told == told("OnSend")
        peer.sendall(b"answer")
        yield lambda: child.received == b"answer"
    yield lambda: "OnClose" in child.names()
    yield turns()
    assert child.told == told("OnSend", "OnReceive", "OnClose")


@pytest.mark.parametrize("how", [CAsyncSocket.receives, CAsyncSocket.both])
@played
def test_who_receives_no_more_is_told_of_the_end_only(reactor: Any, how: int) -> Script:
    child, peer = accepted(reactor)
    with peer:
        yield lambda: child.told == told("OnSend")
        must(child.ShutDown(how))
        assert failsWith(WSAError.WSAESHUTDOWN, child.Receive(bytearray(1)))
        peer.sendall(b"unheard")
        yield turns()
        assert child.told == told("OnSend")
    yield lambda: len(child.told) >= 2
    yield turns()
    assert child.told == told("OnSend", "OnClose")


# -- a reset


@played
def test_a_reset_is_told_once_and_members_fail_with_it(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    yield lambda: child.told == told("OnSend")
    reset(peer)
    yield lambda: len(child.told) >= 2
    for _ in range(2):
        assert failsWith(RESET, child.Receive(bytearray(1)))
        assert failsWith(RESET, child.Send(b"x"))
    yield turns()
    assert child.told == [("OnSend", 0), ("OnClose", RESET)]
    # Known until Close.
    assert child.GetPeerName() is not None
    assert child.GetSockOpt(SO_ERROR) == 0


@played
def test_a_reset_does_not_wait_for_unread_data(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    yield lambda: child.told == told("OnSend")
    peer.sendall(b"unread")
    yield lambda: len(child.told) >= 2
    reset(peer)
    yield lambda: len(child.told) >= 3
    yield turns()
    assert child.told == [*told("OnSend", "OnReceive"), ("OnClose", RESET)]
    child.readAll()
    assert failsWith(RESET, child.Receive(bytearray(1)))
    assert failsWith(RESET, child.Send(b"x"))
    yield turns()
    assert len(child.told) == 3


@played
def test_a_reset_that_a_member_meets_first_is_told_all_the_same(reactor: Any) -> Script:
    meeting, peer = accepted(reactor)
    sending, otherPeer = accepted(reactor)
    yield lambda: meeting.told == sending.told == told("OnSend")
    reset(peer)
    reset(otherPeer)
    assert failsWith(RESET, meeting.Receive(bytearray(1)))
    assert failsWith(RESET, meeting.Receive(bytearray(1)))
    assert failsWith(RESET, sending.Send(b"x"))
    assert failsWith(RESET, sending.Send(b"x"))
    yield lambda: len(meeting.told) >= 2 and len(sending.told) >= 2
    yield turns()
    assert meeting.told == sending.told == [("OnSend", 0), ("OnClose", RESET)]


@played
def test_a_reset_of_a_blocked_sender_is_told(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    yield lambda: child.told == told("OnSend")
    fill(child)
    # What it has not read makes its close a reset.
    peer.close()
    yield lambda: len(child.told) >= 2
    yield turns()
    assert child.told == [("OnSend", 0), ("OnClose", RESET)]


@played
def test_sending_to_a_peer_that_has_closed_ends_in_a_reset(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    peer.close()
    yield lambda: child.told == told("OnSend", "OnClose")
    # The first is answered with a reset.
    assert child.Send(b"x") == 1
    yield turns()
    assert failsWith(RESET, child.Send(b"x"))
    yield turns()
    assert child.told == told("OnSend", "OnClose")


@played
def test_a_reset_is_told_again_by_AsyncSelect(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    reset(peer)
    yield lambda: ("OnClose", RESET) in child.told
    yield turns()
    child.told.clear()
    must(child.AsyncSelect(FD_ALL_EVENTS))
    yield lambda: child.told != []
    yield turns()
    assert child.told == told("OnClose", code=RESET)


@played
def test_a_reset_that_is_not_selected_is_told_as_soon_as_it_is(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_READ))
    reset(peer)
    yield turns()
    assert child.told == []
    must(child.AsyncSelect(FD_CLOSE))
    yield lambda: child.told != []
    assert child.told == told("OnClose", code=RESET)


@played
def test_a_client_that_is_gone_before_it_was_accepted(reactor: Any) -> Script:
    listener = listening(reactor)
    peer = peerOf(listener)
    reset(peer)
    child = Recorder(reactor)
    must(listener.Accept(child))
    yield lambda: ("OnClose", RESET) in child.told
    yield turns()
    assert child.names().count("OnClose") == 1


# -- the reactor stops


@pytest.mark.parametrize("way", WAYS)
def test_each_open_socket_is_told_once_that_the_reactor_stops(way: str) -> None:
    with reactorOf(way) as reactor:
        listener = listening(reactor)
        connected, peer = accepted(reactor)
        unread, unreadPeer = accepted(reactor)
        blocked, blockedPeer = accepted(reactor)
        unreadPeer.sendall(b"x")
        fill(blocked)
        sockets = [listener, connected, unread, blocked]
        run(reactor, lambda: connected.told != [] and len(unread.told) >= 2)
        for open in sockets:
            assert open.told.count(("OnClose", ABORTED)) == 1
            assert open.told[-1] == ("OnClose", ABORTED)
            assert open.m_hSocket == -1
        with pytest.raises(ConnectionResetError), peer:
            peer.recv(1)
        unreadPeer.close()
        blockedPeer.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_socket_with_data_before_its_end_is_told_that_the_reactor_stops(way: str) -> None:
    with reactorOf(way) as reactor:
        child, peer = accepted(reactor)
        with peer:
            peer.sendall(b"never read")
        run(reactor, lambda: "OnReceive" in child.names())
        assert child.names().count("OnClose") == 1
        assert child.told[-1] == ("OnClose", ABORTED)
        assert child.m_hSocket == -1


@pytest.mark.parametrize("way", WAYS)
def test_a_socket_that_was_told_of_its_end_is_closed_when_the_reactor_stops_and_not_told_twice(way: str) -> None:
    with reactorOf(way) as reactor:
        child, peer = accepted(reactor)
        with peer:
            peer.shutdown(socket.SHUT_WR)
            run(reactor, lambda: "OnClose" in child.names())
        assert child.told == told("OnSend", "OnClose")
        assert child.m_hSocket == -1


@pytest.mark.parametrize("way", WAYS)
def test_what_another_closes_when_the_reactor_stops_is_not_told(way: str) -> None:
    with reactorOf(way) as reactor:
        pair: list[Recorder] = []

        def both(_: Recorder) -> None:
            for child in pair:
                child.Close()

        one, peer = accepted(reactor, OnClose=both)
        other, otherPeer = accepted(reactor, OnClose=both)
        pair += one, other
        run(reactor, lambda: one.told != [] and other.told != [])
        assert sorted([one.told, other.told], key=len) == [told("OnSend"), [("OnSend", 0), ("OnClose", ABORTED)]]
        peer.close()
        otherPeer.close()


@pytest.mark.parametrize("way", WAYS)
def test_a_connect_under_way_is_told_that_the_reactor_stops(way: str) -> None:
    with reactorOf(way) as reactor:
        # Its queue is full, so that the next client waits.
        door = socket.socket()
        door.bind(("127.0.0.1", 0))
        door.listen(0)
        waiting = [socket.socket() for _ in range(3)]
        for one in waiting:
            one.setblocking(False)
            one.connect_ex(door.getsockname())
        client = Recorder(reactor)
        must(client.Create())
        beginConnect(client, door.getsockname()[1])
        turned = turns()
        run(reactor, lambda: turned())
        assert client.told == told("OnClose", code=ABORTED)
        for one in [door, *waiting]:
            one.close()


@pytest.mark.parametrize("way", WAYS)
def test_what_was_closed_before_is_not_told_that_the_reactor_stops(way: str) -> None:
    port, holder = refusingPort()
    with reactorOf(way) as reactor, holder:
        child, peer = accepted(reactor)
        other, otherPeer = accepted(reactor)
        turned = turns()
        child.Close()
        run(reactor, lambda: turned())
        assert child.told == []
        assert ("OnClose", ABORTED) in other.told
        peer.close()
        otherPeer.close()
