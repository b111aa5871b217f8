"""
Streams without descriptors by themselves, and the turns of the window that sockets over them share.
"""

from __future__ import annotations

from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
from _reactors import Recorder, must
from twisted.internet import error
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from twisted_casync import FD_CLOSE, FD_READ, MSG_OOB, MSG_PEEK
from twisted_casync._stream import Stream
from twisted_casync.bridges import SocketProtocol

DONE = Failure(error.ConnectionDone())


class Two:
    """
    Two sockets over transports on one clock; each receives what comes, and what it does then besides is the test's.
    """

    def __init__(self) -> None:
        self.clock = Clock()
        self.order: list[str] = []
        self.then: Any = lambda: None
        self.first, self.early = self._made("first")
        self.second, self.late = self._made("second")
        self.clock.advance(0)

    def _made(self, name: str) -> tuple[Recorder, Any]:
        sock = Recorder(OnReceive=lambda sock: self._received(sock, name))
        protocol: Any = SocketProtocol(sock, reactor=self.clock)
        protocol.makeConnection(StringTransport())
        return sock, protocol

    def _received(self, sock: Recorder, name: str) -> None:
        sock.readAll()
        then, self.then = self.then, lambda: None
        then()
        self.order.append(name)


@pytest.fixture
def two() -> Iterator[Two]:
    made = Two()
    yield made
    # Nothing of it was left for a later turn.
    assert made.clock.getDelayedCalls() == []
    made.first.Close()
    made.second.Close()


def test_what_waits_for_a_turn_is_told_also_when_another_socket_closes_before(two: Two) -> None:
    two.early.dataReceived(b"x")
    two.first.handlers.clear()
    two.early.dataReceived(b"y")
    must(two.first.AsyncSelect(FD_READ))
    two.second.Close()
    assert two.first.names() == ["OnSend", "OnReceive", "OnReceive"]
    two.clock.advance(0)
    assert two.first.names() == ["OnSend", "OnReceive", "OnReceive", "OnReceive"]


def test_data_comes_behind_what_waits_to_be_told(two: Two) -> None:
    two.late.stream.feed(b"x")
    two.early.dataReceived(b"y")
    assert two.order == ["second", "first"]
    assert (two.first.received, two.second.received) == (b"y", b"x")


@pytest.mark.parametrize("now", [True, False])
def test_what_a_handler_has_arrive_elsewhere_is_told_behind_it_in_the_same_turn(two: Two, now: bool) -> None:
    two.then = lambda: two.late.stream.feed(b"x", now)
    two.early.dataReceived(b"y")
    assert two.order == ["first", "second"]


def test_what_a_handler_selects_anew_on_another_socket_is_told_in_the_same_turn(two: Two) -> None:
    two.late.connectionLost(DONE)
    assert two.second.names() == ["OnSend", "OnClose"]
    two.then = lambda: must(two.second.AsyncSelect(FD_CLOSE))
    two.early.dataReceived(b"y")
    assert two.second.names() == ["OnSend", "OnClose", "OnClose"]


def test_a_reactor_that_runs_in_another_thread_than_before_is_followed(two: Two) -> None:
    thread = Thread(target=two.early.dataReceived, args=(b"x",))
    thread.start()
    thread.join()
    assert two.first.received == b"x"
    two.early.dataReceived(b"y")
    assert two.first.received == b"xy"


@pytest.fixture
def stream() -> Stream:
    """
    One that is connected, and that nobody watches.
    """
    protocol: Any = SocketProtocol(Recorder(), reactor=Clock())
    made: Stream = protocol.stream
    made.connected(("127.0.0.1", 1), ("127.0.0.1", 2))
    return made


def test_a_piece_is_received_as_far_as_it_is_wanted(stream: Stream) -> None:
    stream.feed(b"hello")
    buffer = bytearray(100)
    assert stream.recv_into(buffer, 0, MSG_PEEK) == 5
    assert stream.recv_into(buffer, 2) == 2
    assert stream.recv_into(memoryview(buffer)[2:]) == 3
    assert buffer[:6] == b"hello\0"
    with pytest.raises(ValueError, match="into a buffer"):
        stream.recv_into(buffer, 101)


def test_a_receive_stops_before_an_urgent_byte(stream: Stream) -> None:
    """Transports have none, but what carries a stream may."""
    stream.feed(b"hello")
    stream.feedUrgent(b"!")
    assert not stream.atMark()
    assert stream.recv_into(bytearray(100)) == 5
    assert stream.atMark()
    stream.feed(b", world")
    assert stream.recv(1, MSG_OOB) == b"!"
    assert stream.recv_into(bytearray(100)) == 7
    assert not stream.atMark()
