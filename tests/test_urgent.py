"""
Urgent data on every reactor: it arrives, it is told of once, and no way of receiving loses or mixes it.
"""

from __future__ import annotations

import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import LIMIT, Recorder, must
from _streams import accepted, listening, peerOf, reset, told
from _urgents import QUIET, normal, urgent

from twisted_casync import (
    FD_CLOSE,
    FD_OOB,
    FD_READ,
    FIONREAD,
    MSG_OOB,
    MSG_PEEK,
    SIOCATMARK,
    WSAError,
)


@played
def test_an_urgent_byte_is_told_once_and_alone(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    with peer:
        for count in (1, 2):
            peer.send(b"!", MSG_OOB)
            yield lambda count=count: len(child.told) >= count  # type: ignore[misc]  # the default is a binding
            yield turns()
            assert child.told == count * told("OnOutOfBandData")
            assert urgent(child) == b"!"
            yield turns()
            assert child.told == count * told("OnOutOfBandData")
            assert urgent(child) == b""
            assert normal(child) == b""


@played
def test_an_urgent_byte_that_is_sent_arrives_as_one(reactor: Any) -> Script:
    """Of several bytes the last is the urgent one."""
    child, peer = accepted(reactor)
    with peer:
        yield lambda: child.told == told("OnSend")
        assert child.Send(b"abc", 3, MSG_OOB) == 3
        assert peer.recv(1, MSG_OOB) == b"c"
        assert peer.recv(10) == b"ab"


@played
def test_an_urgent_byte_among_data_leaves_the_data_whole(reactor: Any) -> Script:
    urgents: list[bytes] = []
    child, peer = accepted(
        reactor, OnReceive=Recorder.readAll, OnOutOfBandData=lambda self: urgents.append(urgent(self))
    )
    must(child.AsyncSelect(QUIET))
    with peer:
        peer.sendall(b"before")
        peer.send(b"!", MSG_OOB)
        peer.sendall(b"behind")
        yield lambda: child.received == b"beforebehind" and urgents == [b"!"]
        yield turns()
        assert urgents == [b"!"]
        # What stands before the urgent byte is told before it.
        assert child.names()[:2] == ["OnReceive", "OnOutOfBandData"]


@pytest.mark.parametrize("behind", [b"", b"behind"])
@pytest.mark.parametrize("mask", [QUIET, FD_READ | FD_CLOSE], ids=["selected", "not-selected"])
@played
def test_receiving_until_it_would_block_does_not_lose_the_urgent_byte(reactor: Any, mask: int, behind: bytes) -> Script:
    """It arrives while OnReceive runs, whose first Receive gets what was there, and whose second starts at the mark."""

    def all(child: Recorder) -> None:
        if not child.received:
            peer.send(b"!", MSG_OOB)
            peer.sendall(behind)
        child.readAll()

    child, peer = accepted(reactor, OnReceive=all)
    must(child.AsyncSelect(mask))
    with peer:
        peer.sendall(b"before")
        yield lambda: child.received == b"before" + behind
        yield turns()
        assert child.names().count("OnOutOfBandData") == (mask == QUIET)
        assert urgent(child) == b"!"
        assert urgent(child) == b""


@pytest.mark.parametrize("mask", [QUIET, FD_READ | FD_CLOSE], ids=["selected", "not-selected"])
@played
def test_receiving_outside_a_handler_does_not_lose_the_urgent_byte(reactor: Any, mask: int) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(mask))
    with peer:
        peer.sendall(b"before")
        peer.send(b"!", MSG_OOB)
        peer.sendall(b"behind")
        yield lambda: child.told != []
        assert [normal(child) for _ in range(3)] == [b"before", b"behind", b""]
        assert child.IOCtl(SIOCATMARK) is False
        yield turns()
        assert ("OnOutOfBandData" in child.names()) == (mask == QUIET)
        assert urgent(child) == b"!"
        assert child.IOCtl(SIOCATMARK) is True


@played
def test_an_urgent_byte_that_stays_unread_is_told_again_after_every_receive(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    with peer:
        peer.send(b"!", MSG_OOB)
        yield lambda: len(child.told) == 1
        assert urgent(child, MSG_PEEK) == b"!"
        yield lambda: len(child.told) == 2
        assert normal(child) == b""
        yield lambda: len(child.told) == 3
        peer.sendall(b"behind")
        yield lambda: len(child.told) == 4
        assert normal(child) == b"behind"
        yield lambda: len(child.told) == 5
        yield turns()
        assert child.names() == 3 * ["OnOutOfBandData"] + ["OnReceive", "OnOutOfBandData"]
        assert urgent(child) == b"!"
        yield turns()
        assert len(child.told) == 5


@played
def test_an_urgent_byte_is_told_anew_when_it_is_selected(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(FD_READ))
    with peer:
        peer.send(b"!", MSG_OOB)
        yield turns()
        assert child.told == []
        for count in (1, 2):
            must(child.AsyncSelect(FD_READ | FD_OOB))
            yield lambda count=count: len(child.told) >= count  # type: ignore[misc]  # the default is a binding
            yield turns()
            assert child.told == count * told("OnOutOfBandData")
        assert urgent(child) == b"!"
        must(child.AsyncSelect(FD_READ | FD_OOB))
        yield turns()
        assert len(child.told) == 2


@played
def test_the_newest_urgent_byte_is_the_one(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    with peer:
        peer.send(b"1", MSG_OOB)
        yield lambda: child.told == told("OnOutOfBandData")
        peer.send(b"2", MSG_OOB)
        yield turns()
        assert urgent(child) == b"2"
        assert urgent(child) == b""


@played
def test_a_newer_urgent_byte_replaces_one_that_was_kept_from_the_kernel(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    with peer:
        peer.send(b"1", MSG_OOB)
        yield lambda: child.told == told("OnOutOfBandData")
        peer.sendall(b"behind")
        yield turns()
        # From here on the kernel has no urgent byte.
        assert normal(child) == b"behind"
        peer.send(b"2", MSG_OOB)
        yield turns()
        assert urgent(child) == b"2"
        yield turns()
        assert urgent(child) == b""


@played
def test_an_urgent_byte_that_was_there_before_Accept_is_told(reactor: Any) -> Script:
    listener = listening(reactor)
    with peerOf(listener) as peer:
        peer.send(b"!", MSG_OOB)
        yield turns()
        child = Recorder(reactor)
        must(listener.Accept(child))
        yield lambda: len(child.told) >= 2
        yield turns()
        assert sorted(child.told) == told("OnOutOfBandData", "OnSend")
        assert urgent(child) == b"!"


# -- the end of the stream


@played
def test_an_urgent_byte_before_the_end_is_told_and_received(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    with peer:
        peer.send(b"!", MSG_OOB)
    yield lambda: len(child.told) >= 2
    yield turns()
    assert child.told == told("OnOutOfBandData", "OnClose")
    assert urgent(child) == b"!"
    assert child.Receive(bytearray(1)) == 0
    yield turns()
    assert len(child.told) == 2


@played
def test_data_and_an_urgent_byte_and_the_end_at_once(reactor: Any) -> Script:
    urgents: list[bytes] = []
    child, peer = accepted(
        reactor, OnReceive=Recorder.readAll, OnOutOfBandData=lambda self: urgents.append(urgent(self))
    )
    must(child.AsyncSelect(QUIET))
    with peer:
        peer.sendall(b"before")
        peer.send(b"!", MSG_OOB)
        peer.sendall(b"behind")
    yield lambda: "OnClose" in child.names()
    yield turns()
    assert child.received == b"beforebehind"
    assert urgents == [b"!"]
    assert child.told.count(("OnClose", 0)) == 1
    assert child.told[-1] == ("OnClose", 0)


def ending(peer: socket.socket) -> bytes:
    """
    @return: how the connection ends for C{peer}: with no more data, or by an exception.
    """
    peer.settimeout(LIMIT)
    return peer.recv(1)


@pytest.mark.parametrize("before", [b"", b"before"])
@pytest.mark.parametrize("half", [True, False], ids=["the-peer-has-ended", "the-peer-goes-on"])
@played
def test_Close_after_a_last_urgent_byte_resets_nothing(reactor: Any, half: bool, before: bytes) -> Script:
    child, peer = accepted(reactor, OnReceive=Recorder.readAll, OnOutOfBandData=urgent)
    must(child.AsyncSelect(QUIET))
    with peer:
        if before:
            peer.sendall(before)
        peer.send(b"!", MSG_OOB)
        if half:
            peer.shutdown(socket.SHUT_WR)
        yield lambda: "OnOutOfBandData" in child.names() and child.received == before
        yield turns()
        child.Close()
        assert ending(peer) == b""


@contextmanager
def noWaiting() -> Iterator[None]:
    """
    A system call that blocks fails the test, and does not hold it up for ever.
    """

    def late(*args: object) -> None:
        raise AssertionError("it has blocked")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, LIMIT)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@played
def test_Close_after_an_urgent_byte_does_not_block_where_others_have_the_socket_block(reactor: Any) -> Script:
    child, peer = accepted(reactor, OnOutOfBandData=urgent)
    must(child.AsyncSelect(FD_OOB))
    with peer, socket.fromfd(int(child), socket.AF_INET, socket.SOCK_STREAM) as other:
        peer.send(b"!", MSG_OOB)
        yield lambda: "OnOutOfBandData" in child.names()
        # The mode is the connection's, and not the descriptor's (F_SETFL of fcntl(2)).
        other.setblocking(True)
        with noWaiting():
            child.Close()


@played
def test_Close_before_what_stands_behind_an_urgent_byte_resets(reactor: Any) -> Script:
    child, peer = accepted(reactor, OnOutOfBandData=urgent)
    must(child.AsyncSelect(FD_OOB))
    with peer:
        peer.send(b"!", MSG_OOB)
        peer.sendall(b"b")
        yield lambda: "OnOutOfBandData" in child.names()
        child.Close()
        with pytest.raises(ConnectionResetError):
            ending(peer)


@played
def test_an_urgent_byte_does_not_delay_a_reset(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    peer.send(b"!", MSG_OOB)
    yield lambda: child.told != []
    reset(peer)
    yield lambda: len(child.told) >= 2
    yield turns()
    assert child.told == [("OnOutOfBandData", 0), ("OnClose", WSAError.WSAECONNRESET)]


# -- where the urgent byte stands


@played
def test_SIOCATMARK_is_true_where_no_urgent_byte_waits(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    assert child.IOCtl(SIOCATMARK) is True
    with peer:
        peer.sendall(b"data")
        yield lambda: child.told == told("OnReceive")
        assert child.IOCtl(SIOCATMARK) is True
        peer.send(b"!", MSG_OOB)
        yield lambda: "OnOutOfBandData" in child.names()
        assert child.IOCtl(SIOCATMARK) is False
        assert child.IOCtl(FIONREAD) == 4
        assert normal(child) == b"data"
        assert child.IOCtl(SIOCATMARK) is False
        assert urgent(child, MSG_PEEK) == b"!"
        assert child.IOCtl(SIOCATMARK) is False
        assert urgent(child) == b"!"
        assert child.IOCtl(SIOCATMARK) is True
