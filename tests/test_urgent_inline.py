"""
Urgent data that is received in line (C{SO_OOBINLINE}), and what becomes of a byte when that is switched.
"""

from __future__ import annotations

from typing import Any

import pytest
from _play import Script, played, turns
from _reactors import Recorder, must
from _streams import accepted, listening, told
from _urgents import QUIET, normal, urgent

from twisted_casync import (
    FD_READ,
    MSG_OOB,
    MSG_PEEK,
    SO_OOBINLINE,
    SOCKET_ERROR,
    GetLastError,
    WSAError,
)


@played
def test_in_line_it_is_data_that_no_Receive_mixes_with_other_data(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    must(child.SetSockOpt(SO_OOBINLINE, True))
    with peer:
        peer.sendall(b"before")
        peer.send(b"!", MSG_OOB)
        peer.sendall(b"behind")
        pieces = []
        for count in range(1, 4):
            yield lambda count=count: len(child.told) >= count  # type: ignore[misc]  # the default is a binding
            pieces.append(normal(child))
        yield turns()
        assert pieces == [b"before", b"!", b"behind"]
        assert child.told == 3 * told("OnReceive")


@played
def test_in_line_a_handler_that_receives_all_does_not_mix_either(reactor: Any) -> Script:
    pieces: list[bytes] = []

    def all(child: Recorder) -> None:
        pieces.extend(iter(lambda: normal(child), b""))

    child, peer = accepted(reactor, OnReceive=all)
    must(child.SetSockOpt(SO_OOBINLINE, True))
    with peer:
        peer.sendall(b"before")
        peer.send(b"!", MSG_OOB)
        peer.sendall(b"behind")
        yield lambda: b"".join(pieces) == b"before!behind"
        assert pieces == [b"before", b"!", b"behind"]
        assert "OnOutOfBandData" not in child.names()


@played
def test_a_byte_that_waits_is_data_when_it_is_to_be_received_in_line(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    with peer:
        peer.send(b"!", MSG_OOB)
        yield lambda: child.told == told("OnOutOfBandData")
        must(child.SetSockOpt(SO_OOBINLINE, True))
        yield lambda: len(child.told) > 1
        assert normal(child) == b"!"
        yield turns()
        assert child.told == told("OnOutOfBandData", "OnReceive")


@pytest.mark.parametrize("behind", [b"", b"behind"])
@played
def test_a_byte_that_was_received_is_not_received_in_line_again(reactor: Any, behind: bytes) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET & ~FD_READ))
    with peer:
        peer.send(b"!", MSG_OOB)
        peer.sendall(behind)
        yield lambda: child.told == told("OnOutOfBandData")
        yield turns()
        assert urgent(child) == b"!"
        must(child.SetSockOpt(SO_OOBINLINE, True))
        must(child.AsyncSelect(QUIET))
        yield turns()
        assert normal(child) == behind
        assert child.told == told("OnOutOfBandData", *["OnReceive"] * bool(behind))


@played
def test_a_byte_that_was_looked_at_is_received_in_line(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET & ~FD_READ))
    with peer:
        peer.send(b"!", MSG_OOB)
        yield lambda: child.told == told("OnOutOfBandData")
        assert child.Receive(bytearray(1), 1, MSG_OOB | MSG_PEEK) == 1
        must(child.SetSockOpt(SO_OOBINLINE, True))
        must(child.AsyncSelect(QUIET))
        yield lambda: "OnReceive" in child.names()
        assert normal(child) == b"!"


@played
def test_in_line_it_can_not_be_received_as_urgent(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.SetSockOpt(SO_OOBINLINE, True))
    with peer:
        peer.send(b"!", MSG_OOB)
        yield lambda: "OnReceive" in child.names()
        assert child.Receive(bytearray(1), 1, MSG_OOB) == SOCKET_ERROR
        assert GetLastError() == WSAError.WSAEINVAL
        assert normal(child) == b"!"


@played
def test_out_of_line_again_it_is_told_again(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    must(child.SetSockOpt(SO_OOBINLINE, True))
    must(child.SetSockOpt(SO_OOBINLINE, False))
    with peer:
        peer.send(b"!", MSG_OOB)
        yield lambda: child.told != []
        assert child.told == told("OnOutOfBandData")
        assert urgent(child) == b"!"


@played
def test_to_say_out_of_line_again_where_it_is_tells_nothing_again(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    with peer:
        peer.send(b"!", MSG_OOB)
        yield lambda: child.told != []
        must(child.SetSockOpt(SO_OOBINLINE, False))
        yield turns()
        assert child.told == told("OnOutOfBandData")
        assert urgent(child) == b"!"


@played
def test_who_receives_no_more_is_told_of_no_urgent_byte_wherever_it_would_stand(reactor: Any) -> Script:
    child, peer = accepted(reactor)
    must(child.AsyncSelect(QUIET))
    must(child.SetSockOpt(SO_OOBINLINE, True))
    must(child.ShutDown(child.receives))
    must(child.SetSockOpt(SO_OOBINLINE, False))
    with peer:
        peer.send(b"!", MSG_OOB)
        yield turns()
        assert child.told == []


@played
def test_an_accepted_socket_receives_in_line_as_its_listener_says(reactor: Any) -> Script:
    listener = listening(reactor)
    must(listener.SetSockOpt(SO_OOBINLINE, True))
    child, peer = accepted(reactor, listener)
    with peer:
        peer.send(b"!", MSG_OOB)
        yield lambda: len(child.told) >= 2
        assert child.told == told("OnSend", "OnReceive")
        assert normal(child) == b"!"
