"""
What holds of a connected stream whatever it is made of: how data is told of and moved.
"""

from __future__ import annotations

import hashlib
from random import Random
from typing import Any

import pytest
from _contract import failed, holds, quiet
from _media import CAPABILITIES, MEDIA
from _play import Script
from _reactors import Recorder, must
from _streams import fill, told

from twisted_casync import (
    FD_ACCEPT,
    FD_ALL_EVENTS,
    FD_CLOSE,
    FD_CONNECT,
    FD_READ,
    FD_WRITE,
    FIONREAD,
    IPPROTO_TCP,
    MSG_PEEK,
    SO_ERROR,
    SO_KEEPALIVE,
    SO_LINGER,
    SO_SNDBUF,
    SO_TYPE,
    SOCK_STREAM,
    SOCKET_ERROR,
    CAsyncSocket,
    GetLastError,
    WSAError,
)


def test_what_a_medium_lacks_is_something_that_there_is_and_has_a_reason() -> None:
    for medium in MEDIA.values():
        assert {*medium.lacks, *medium.varies} <= set(CAPABILITIES)
        assert all(medium.lacks.values()) and all(medium.varies.values())


# -- being told of data


@holds()
def test_data_is_told_once_until_it_is_received(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(far.Send(b"abc"))
    yield lambda: near.told != []
    must(far.Send(b"def"))
    yield lambda: near.IOCtl(FIONREAD) == 6
    yield quiet()
    assert near.told == told("OnReceive")
    assert near.Receive(bytearray(4)) == 4
    yield lambda: len(near.told) >= 2
    assert near.Receive(bytearray(4)) == 2
    yield quiet()
    assert near.told == told("OnReceive", "OnReceive")
    assert failed(WSAError.WSAEWOULDBLOCK, near.Receive(bytearray(4)))
    must(far.Send(b"g"))
    yield lambda: len(near.told) >= 3
    assert near.told == 3 * told("OnReceive")


@holds()
def test_a_handler_that_receives_one_byte_is_told_of_every_byte(reactor: Any, near: Recorder, far: Recorder) -> Script:
    received = bytearray()

    def one(sock: Recorder) -> None:
        byte = bytearray(1)
        must(sock.Receive(byte))
        received.extend(byte)

    near.handlers["OnReceive"] = one
    must(far.Send(b"01234567"))
    yield lambda: len(received) == 8
    yield quiet()
    assert received == b"01234567"
    assert near.told == 8 * told("OnReceive")


@holds()
def test_a_peek_leaves_the_data_and_is_told_of_it_again(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(far.Send(b"abc"))
    yield lambda: near.told == told("OnReceive")
    buffer = bytearray(2)
    assert near.Receive(buffer, 2, MSG_PEEK) == 2 and buffer == b"ab"
    yield lambda: near.told == told("OnReceive", "OnReceive")
    assert near.readAll() == SOCKET_ERROR
    assert near.received == b"abc"
    yield quiet()
    assert near.told == told("OnReceive", "OnReceive")


@holds()
def test_what_another_handler_has_received_is_not_told(reactor: Any, near: Recorder, far: Recorder) -> Script:
    far.handlers["OnReceive"] = lambda sock: [sock.readAll(), near.readAll()]
    near.handlers["OnReceive"] = lambda sock: [sock.readAll(), far.readAll()]
    must(near.AsyncSelect(0))
    must(far.AsyncSelect(0))
    must(far.Send(b"x"))
    must(near.Send(b"y"))
    yield quiet()
    assert (near.IOCtl(FIONREAD), far.IOCtl(FIONREAD)) == (1, 1)
    must(near.AsyncSelect(FD_READ))
    must(far.AsyncSelect(FD_READ))
    yield quiet()
    assert (near.received, far.received) == (b"x", b"y")
    assert len(near.told) + len(far.told) == 1


@holds()
def test_nothing_is_told_from_inside_a_member(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(far.Send(b"abc"))
    must(near.AsyncSelect())
    must(far.AsyncSelect())
    near.Receive(bytearray(1))
    must(near.Send(b"x"))
    assert near.told == far.told == []
    yield lambda: "OnSend" in near.names() and {"OnReceive", "OnSend"} <= set(far.names())


@holds()
def test_nothing_is_received_where_there_is_no_room(reactor: Any, near: Recorder, far: Recorder) -> Script:
    assert failed(WSAError.WSAEWOULDBLOCK, near.Receive(bytearray()))
    must(far.Send(b"x"))
    yield lambda: near.told == told("OnReceive")
    assert near.Receive(bytearray()) == 0
    assert near.Receive(bytearray(2)) == 1


@holds()
def test_a_send_of_nothing_sends_nothing(reactor: Any, near: Recorder, far: Recorder) -> Script:
    assert far.Send(b"") == 0
    yield quiet()
    assert near.told == far.told == []


# -- masks


@holds()
def test_AsyncSelect_tells_what_holds_anew_each_time(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(far.Send(b"unread"))
    yield lambda: near.told == told("OnReceive")
    for _ in range(2):
        near.told.clear()
        must(near.AsyncSelect())
        yield lambda: len(near.told) >= 2
        yield quiet()
        assert near.told == told("OnReceive", "OnSend")


MASKS = [
    (0, []),
    (FD_READ, ["OnReceive"]),
    (FD_WRITE, ["OnSend"]),
    (FD_ACCEPT | FD_CONNECT | FD_CLOSE, []),
    (FD_ALL_EVENTS & ~FD_WRITE, ["OnReceive"]),
]


@pytest.mark.parametrize(("mask", "expected"), MASKS)
@holds()
def test_a_new_mask_replaces_the_old_one(
    reactor: Any, near: Recorder, far: Recorder, mask: int, expected: list[str]
) -> Script:
    must(near.AsyncSelect(0))
    must(far.Send(b"unread"))
    yield quiet()
    assert near.told == []
    must(near.AsyncSelect(FD_ALL_EVENTS))
    must(near.AsyncSelect(mask))
    yield lambda: len(near.told) >= len(expected)
    yield quiet()
    assert near.names() == expected


# -- sending


@holds()
def test_a_send_that_would_block_brings_OnSend_once_there_is_room(
    reactor: Any, near: Recorder, far: Recorder
) -> Script:
    must(far.AsyncSelect(0))
    sent = fill(near)
    # Some media take more when a part of it has gone.
    while True:
        yield quiet()
        if not near.told:
            break
        near.told.clear()
        sent += fill(near)
    # Linux takes a little more than it announces.
    while (count := near.Send(b"x")) == 1:
        sent += 1
    assert failed(WSAError.WSAEWOULDBLOCK, count)
    far.handlers["OnReceive"] = Recorder.readAll
    must(far.AsyncSelect(FD_READ))
    yield lambda: near.told != [] and len(far.received) == sent
    yield quiet()
    assert near.told == told("OnSend")
    assert near.Send(b"x") == 1
    yield quiet()
    assert near.told == told("OnSend")


@holds("buffer sizes")
def test_a_short_send_brings_OnSend_too(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(near.SetSockOpt(SO_SNDBUF, 5000))
    data = bytes(16 << 20)
    count = near.Send(data)
    assert 0 < count < len(data)
    far.handlers["OnReceive"] = Recorder.readAll
    must(far.AsyncSelect(FD_READ))
    yield lambda: len(far.received) == count
    yield quiet()
    assert near.told == told("OnSend")


class Mover(Recorder):
    """Sends its data as fast as it can, and digests what it receives until the stream ends."""

    def __init__(self) -> None:
        super().__init__()
        self.left = memoryview(b"")
        self.digest = ""
        self.count = 0
        self.arrived = hashlib.sha256()

    def start(self, seed: int, size: int) -> None:
        self.left = memoryview(Random(seed).randbytes(size))
        self.digest = hashlib.sha256(self.left).hexdigest()
        must(self.AsyncSelect())

    def OnSend(self, nErrorCode: int) -> None:
        while self.left:
            count = self.Send(self.left[:100_000])
            if count == SOCKET_ERROR:
                assert GetLastError() == WSAError.WSAEWOULDBLOCK
                return
            self.left = self.left[count:]

    def OnReceive(self, nErrorCode: int) -> None:
        buffer = bytearray(50_000)
        count = must(self.Receive(buffer))
        self.arrived.update(buffer[:count])
        self.count += count


@holds(near=Mover, far=Mover)
def test_what_is_sent_both_ways_at_once_arrives_whole(reactor: Any, near: Mover, far: Mover) -> Script:
    near.start(1, 700_000)
    far.start(2, 500_001)
    yield lambda: near.count >= 500_001 and far.count >= 700_000
    assert near.arrived.hexdigest() == far.digest
    assert far.arrived.hexdigest() == near.digest


# -- handles, names, options


@holds()
def test_what_was_unread_is_there_after_Detach_and_Attach(reactor: Any, near: Recorder, far: Recorder) -> Script:
    must(far.Send(b"unread"))
    yield lambda: near.told == told("OnReceive")
    handle = near.m_hSocket
    assert CAsyncSocket.FromHandle(handle) is near
    assert near.Detach() == handle
    assert CAsyncSocket.FromHandle(handle) is None
    assert failed(WSAError.WSAENOTSOCK, near.Receive(bytearray(1)))
    must(far.Send(b" and more"))
    yield quiet()
    assert near.told == told("OnReceive")
    other = Recorder(OnReceive=Recorder.readAll)
    must(other.Attach(handle))
    yield lambda: other.received == b"unread and more"
    must(other.Send(b"answer"))
    yield lambda: far.told[-1:] == told("OnReceive")
    assert far.readAll() == SOCKET_ERROR and far.received == b"answer"
    other.Close()


@holds("names")
def test_each_end_has_the_name_that_the_other_knows(reactor: Any, near: Recorder, far: Recorder) -> Script:
    yield quiet()
    names = near.GetSockName(), far.GetSockName()
    assert all(name is not None and name[0] == "127.0.0.1" and name[1] for name in names)
    assert (far.GetPeerName(), near.GetPeerName()) == names
    assert (far.GetPeerNameEx(), near.GetPeerNameEx()) == names
    far.Close()
    yield lambda: near.told == told("OnClose")
    assert near.GetPeerName() == names[1]


@holds()
def test_options_are_those_of_a_stream(reactor: Any, near: Recorder, far: Recorder) -> Script:
    yield quiet()
    assert near.GetSockOpt(SO_TYPE) == SOCK_STREAM
    assert near.GetSockOpt(SO_ERROR) == 0
    assert near.GetSockOpt(SO_KEEPALIVE) is False
    must(near.SetSockOpt(SO_KEEPALIVE, True))
    assert near.GetSockOpt(SO_KEEPALIVE) is True
    must(near.SetSockOpt(SO_LINGER, (1, 7)))
    assert near.GetSockOpt(SO_LINGER) == (1, 7)
    assert failed(WSAError.WSAENOPROTOOPT, near.GetSockOpt(SO_TYPE, nLevel=IPPROTO_TCP))


@holds()
def test_FIONREAD_counts_what_is_unread(reactor: Any, near: Recorder, far: Recorder) -> Script:
    assert near.IOCtl(FIONREAD) == 0
    must(far.Send(b"12345"))
    yield lambda: near.told == told("OnReceive")
    assert near.IOCtl(FIONREAD) == 5
    must(near.Receive(bytearray(2)))
    assert near.IOCtl(FIONREAD) == 3


@holds("duplicates")
def test_a_duplicate_has_the_same_connection(reactor: Any, near: Recorder, far: Recorder) -> Script:
    twin = Recorder()
    must(twin.Assign(near))
    near.Close()
    must(far.Send(b"x"))
    yield lambda: "OnReceive" in twin.names()
    assert twin.Receive(bytearray(2)) == 1
    twin.Close()


@holds("duplicates", lacking=True)
def test_where_nothing_can_be_duplicated_Assign_says_so(reactor: Any, near: Recorder, far: Recorder) -> Script:
    yield quiet()
    assert failed(WSAError.WSAEOPNOTSUPP, Recorder().Assign(near))
    assert near.Send(b"x") == 1


@holds()
def test_a_connected_socket_refuses_what_is_for_others(reactor: Any, near: Recorder, far: Recorder) -> Script:
    yield quiet()
    assert failed(WSAError.WSAEISCONN, near.Connect("127.0.0.1", 9) if near.GetPeerName() else near.Connect("/x", 9))
    assert failed(WSAError.WSAEINVAL, near.Listen())
    assert failed(WSAError.WSAEINVAL, near.Accept(Recorder()))
    assert failed(WSAError.WSAEINVAL, near.Create())
    assert failed(WSAError.WSAEINVAL, near.Attach(7))
    assert near.Send(b"x") == 1


@holds()
def test_a_closed_socket_fails_with_WSAENOTSOCK(reactor: Any, near: Recorder, far: Recorder) -> Script:
    near.Close()
    near.Close()
    assert failed(WSAError.WSAENOTSOCK, near.Send(b"x"))
    assert failed(WSAError.WSAENOTSOCK, near.Receive(bytearray(1)))
    assert failed(WSAError.WSAENOTSOCK, near.ShutDown())
    assert failed(WSAError.WSAENOTSOCK, near.AsyncSelect())
    assert failed(WSAError.WSAENOTSOCK, near.GetPeerNameEx())
    yield lambda: far.told == told("OnClose")
    assert near.told == []
