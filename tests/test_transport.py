"""
Transports over C{CAsyncSocket}s: what Twisted's own tests of transports (test_transport_suites.py) leave open.

Every test runs on every reactor, through the socket window and directly.
"""

from __future__ import annotations

import gc
import socket
import threading
import weakref
from typing import Any, cast

import pytest
from _bridged import LOCALHOST, HalfCloseable, Remembering, Serving, served, viewOf
from _reactors import LIMIT, WAYS, run
from _streams import reset
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IConsumer,
    ILoggingContext,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
)
from twisted.logger import ILogObserver, LogEvent, globalLogPublisher
from zope.interface.verify import verifyObject

from twisted_casync import IAsyncSocket
from twisted_casync.bridges.tcp import Connection

MUCH = bytes(range(256)) * 40_000
"""Ten megabytes: more than the buffers of two sockets hold."""


@pytest.fixture(params=WAYS)
def view(request: pytest.FixtureRequest) -> Any:
    with viewOf(request.param) as view:
        yield view


class Reader(threading.Thread):
    """
    Receives all that a plain socket gets, until its end.
    """

    def __init__(self, peer: socket.socket) -> None:
        super().__init__(daemon=True)
        self.peer = peer
        self.received = b""
        self.start()

    def run(self) -> None:
        pieces = []
        while piece := self.peer.recv(1 << 20):
            pieces.append(piece)
        self.received = b"".join(pieces)


class Counted:
    """
    Counts the Sends of all transports.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sizes: list[int] = []
        send = Connection.Send

        def counting(transport: Connection, lpBuf: Any, *args: Any) -> int:
            self.sizes.append(len(lpBuf))
            return send(transport, lpBuf, *args)

        monkeypatch.setattr(Connection, "Send", counting)


@pytest.fixture
def sends(monkeypatch: pytest.MonkeyPatch) -> Counted:
    return Counted(monkeypatch)


def test_a_transport_is_a_socket_and_all_that_a_transport_is(view: Any) -> None:
    protocol = Remembering()
    with served(view, protocol):
        for interface in (IAsyncSocket, ITCPTransport, ITLSTransport, ISystemHandle, IConsumer, IPushProducer):
            assert verifyObject(interface, protocol.transport, tentative=True)
        assert verifyObject(ILoggingContext, protocol.transport)


def test_the_socket_of_an_accepted_transport_is_one_of_the_socket_module(view: Any) -> None:
    handles: list[socket.socket] = []

    def answer(protocol: Remembering, data: bytes) -> None:
        handles.extend((protocol.transport.getHandle(), protocol.transport.socket))
        protocol.transport.write(data)

    port = view.listenTCP(0, Serving(Remembering(dataReceived=answer)), interface=LOCALHOST)
    with socket.create_connection((LOCALHOST, port.getHost().port), LIMIT) as peer:
        peer.sendall(b"data")
        run(view, lambda: bool(handles))
        assert peer.recv(100) == b"data"
    handle, same = handles
    assert isinstance(handle, socket.socket) and handle is same
    port.stopListening()


# -- writing


def test_what_is_written_while_data_is_received_goes_out_in_one_piece(view: Any, sends: Counted) -> None:
    def answer(protocol: Remembering, data: bytes) -> None:
        protocol.transport.write(b"one ")
        protocol.transport.writeSequence([b"two ", b"", b"three"])

    with served(view, Remembering(dataReceived=answer)) as peer:
        peer.sendall(b"?")
        peer.setblocking(False)
        run(view, lambda: bool(sends.sizes))
        peer.setblocking(True)
        assert peer.recv(100) == b"one two three"
    assert sends.sizes == [13]


def test_what_is_written_at_another_time_goes_out_in_one_piece(view: Any, sends: Counted) -> None:
    protocol = Remembering()
    with served(view, protocol) as peer:
        protocol.transport.write(b"one ")
        protocol.transport.write(b"two")
        assert sends.sizes == []
        run(view, lambda: bool(sends.sizes))
        assert peer.recv(100) == b"one two"
    assert sends.sizes == [7]


def test_what_is_written_to_another_transport_goes_out_when_the_handler_returns(view: Any, sends: Counted) -> None:
    order = []
    behind = Remembering()

    def forward(protocol: Remembering, data: bytes) -> None:
        behind.transport.write(data)
        order.append(len(sends.sizes))
        # The next turn begins after the Send.
        view.callLater(0, lambda: order.append(len(sends.sizes)))

    with served(view, Remembering(dataReceived=forward)) as peer, served(view, behind) as other:
        peer.sendall(b"hello")
        run(view, lambda: len(order) == 2)
        assert other.recv(100) == b"hello"
    assert order == [0, 1]


def test_much_data_arrives_whole(view: Any) -> None:
    protocol = Remembering()
    reader = Reader(served(view, protocol))
    protocol.transport.write(MUCH[:1000])
    protocol.transport.writeSequence([MUCH[1000:70_000], MUCH[70_000:]])
    protocol.transport.loseConnection()
    run(view, lambda: "connectionLost" in protocol.told)
    reader.join(LIMIT)
    assert reader.received == MUCH
    assert protocol.reason is not None and protocol.reason.check(ConnectionDone)
    reader.peer.close()


def test_many_small_pieces_are_joined_while_the_peer_is_slow(view: Any, sends: Counted) -> None:
    protocol = Remembering()
    peer = served(view, protocol)
    for start in range(0, len(MUCH), 1000):
        protocol.transport.write(MUCH[start : start + 1000])
    protocol.transport.loseConnection()
    reader = Reader(peer)
    run(view, lambda: "connectionLost" in protocol.told)
    reader.join(LIMIT)
    assert reader.received == MUCH
    assert len(sends.sizes) < 500
    peer.close()


@pytest.mark.parametrize("wrong", ["text", bytearray(b"b"), None])
def test_what_is_not_bytes_is_refused(wrong: Any) -> None:
    with viewOf(WAYS[0]) as view:
        protocol = Remembering()
        with served(view, protocol):
            with pytest.raises(TypeError, match="Data must be bytes"):
                protocol.transport.write(wrong)
            with pytest.raises(TypeError, match="Data must be bytes"):
                protocol.transport.writeSequence([b"right", wrong])
            assert not protocol.transport.isWriting()


# -- producers


class Push:
    """
    A push producer of pieces, until it has written all.
    """

    def __init__(self, transport: Any) -> None:
        self.transport = transport
        self.left = [MUCH[start : start + 50_000] for start in range(0, len(MUCH), 50_000)]
        self.pauses = 0
        self.paused = False
        self.stopped = False

    def resumeProducing(self) -> None:
        self.paused = False
        while self.left and not self.paused:
            self.transport.write(self.left.pop(0))
        if not self.left:
            self.transport.unregisterProducer()

    def pauseProducing(self) -> None:
        self.paused = True
        self.pauses += 1

    def stopProducing(self) -> None:
        self.stopped = True


class Pull(Push):
    """
    A pull producer of the same.
    """

    def resumeProducing(self) -> None:
        self.transport.write(self.left.pop(0))
        if not self.left:
            self.transport.unregisterProducer()


@pytest.mark.parametrize("kind", [Push, Pull])
def test_a_producer_writes_as_fast_as_the_peer_receives(view: Any, kind: type[Push]) -> None:
    protocol = Remembering()
    reader = Reader(served(view, protocol))
    producer = kind(protocol.transport)
    protocol.transport.registerProducer(producer, kind is Push)
    if kind is Push:
        producer.resumeProducing()
    protocol.transport.loseConnection()
    # It goes on until the producer has written all.
    run(view, lambda: "connectionLost" in protocol.told)
    reader.join(LIMIT)
    assert reader.received == MUCH
    assert (producer.pauses > 1) == (kind is Push)
    assert not producer.stopped
    reader.peer.close()


def test_a_producer_is_stopped_when_the_connection_is_lost(view: Any) -> None:
    protocol = Remembering()
    peer = served(view, protocol)
    producer = Push(protocol.transport)
    protocol.transport.registerProducer(producer, True)
    with pytest.raises(RuntimeError, match="never unregistered"):
        protocol.transport.registerProducer(producer, True)
    reset(peer)
    run(view, lambda: "connectionLost" in protocol.told)
    assert producer.stopped
    later = Push(protocol.transport)
    protocol.transport.registerProducer(later, True)
    assert later.stopped


# -- reading


def test_a_paused_transport_is_told_nothing_until_it_is_resumed(view: Any) -> None:
    protocol = Remembering()
    peer = served(view, protocol)
    protocol.transport.pauseProducing()
    peer.sendall(b"data")
    peer.close()
    turns = []

    def turn() -> None:
        turns.append(list(protocol.told))
        if len(turns) == 5:
            protocol.transport.resumeProducing()
        else:
            view.callLater(0.002, turn)

    view.callLater(0, turn)
    run(view, lambda: "connectionLost" in protocol.told)
    assert turns[-1] == ["connectionMade"]
    assert protocol.told == ["connectionMade", "dataReceived", "connectionLost"]
    assert protocol.received == b"data"


def test_a_paused_transport_still_writes(view: Any) -> None:
    protocol = Remembering()
    reader = Reader(served(view, protocol))
    protocol.transport.pauseProducing()
    protocol.transport.write(MUCH)
    protocol.transport.loseConnection()
    run(view, lambda: "connectionLost" in protocol.told)
    reader.join(LIMIT)
    assert reader.received == MUCH
    reader.peer.close()


def test_the_view_shows_who_reads_and_who_writes(view: Any) -> None:
    protocol = Remembering()
    with served(view, protocol):
        transport: Any = protocol.transport
        assert view.getReaders().count(transport) == 1 and transport not in view.getWriters()
        transport.write(b"data")
        assert view.getWriters().count(transport) == 1
        view.removeReader(transport)
        view.removeWriter(transport)
        assert transport not in [*view.getReaders(), *view.getWriters()]
        view.addReader(transport)
        view.addWriter(transport)
        assert transport in view.getReaders() and transport in view.getWriters()
        assert transport in view.removeAll()
        assert transport not in [*view.getReaders(), *view.getWriters()]


@pytest.mark.parametrize("size", [10, 150_000])
def test_no_more_is_received_at_a_time_than_the_buffer_holds(view: Any, size: int) -> None:
    sizes: list[int] = []
    protocol = Remembering(dataReceived=lambda protocol, data: sizes.append(len(data)))
    with served(view, protocol) as peer:
        protocol.transport.bufferSize = size
        peer.sendall(MUCH[:25])
        run(view, lambda: len(protocol.received) == 25)
    assert protocol.received == MUCH[:25]
    assert sizes == ([10, 10, 5] if size == 10 else [25])


# -- half close


def test_a_protocol_that_wants_to_know_answers_after_the_peer_s_end(view: Any) -> None:
    def ended(protocol: HalfCloseable) -> None:
        protocol.transport.write(b"answer to " + protocol.received)
        protocol.transport.loseWriteConnection()

    def finished(protocol: HalfCloseable) -> None:
        protocol.transport.loseConnection()

    protocol = HalfCloseable(readConnectionLost=ended, writeConnectionLost=finished)
    with served(view, protocol) as peer:
        peer.sendall(b"all")
        peer.shutdown(socket.SHUT_WR)
        run(view, lambda: "connectionLost" in protocol.told)
        assert peer.makefile("rb").read() == b"answer to all"
    assert protocol.told == [
        "connectionMade",
        "dataReceived",
        "readConnectionLost",
        "writeConnectionLost",
        "connectionLost",
    ]


def test_another_protocol_loses_the_connection_at_the_peer_s_end(view: Any) -> None:
    protocol = Remembering()
    with served(view, protocol) as peer:
        peer.shutdown(socket.SHUT_WR)
        run(view, lambda: "connectionLost" in protocol.told)
    assert protocol.reason is not None and protocol.reason.check(ConnectionDone)


def test_after_its_own_end_a_transport_still_reads(view: Any) -> None:
    protocol = HalfCloseable()
    with served(view, protocol) as peer:
        protocol.transport.write(b"last")
        protocol.transport.loseWriteConnection()

        def answer() -> None:
            peer.sendall(b"reply")
            # Nothing goes out any more.
            protocol.transport.write(b"too late")

        protocol.does["writeConnectionLost"] = lambda protocol: answer()
        run(view, lambda: protocol.received == b"reply")
        assert peer.makefile("rb").read() == b"last"


# -- the end


def test_a_reset_says_so(view: Any) -> None:
    protocol = Remembering()
    reset(served(view, protocol))
    run(view, lambda: "connectionLost" in protocol.told)
    assert protocol.reason is not None and protocol.reason.check(ConnectionLost)
    assert "reset" in protocol.reason.getErrorMessage()


def test_an_abort_resets_the_connection_and_tells_in_the_next_turn(view: Any) -> None:
    protocol = Remembering()
    with served(view, protocol) as peer:
        protocol.transport.write(b"never sent")
        protocol.transport.abortConnection()
        assert "connectionLost" not in protocol.told
        run(view, lambda: "connectionLost" in protocol.told)
        with pytest.raises(ConnectionResetError):
            peer.recv(1)


def test_what_was_sent_arrives_also_when_the_reactor_stops(view: Any) -> None:
    protocol = Remembering()
    with served(view, protocol) as peer:
        protocol.transport.write(MUCH[:100_000])
        run(view, lambda: not protocol.transport.isWriting())
        # An end, no reset.
        assert peer.makefile("rb").read() == MUCH[:100_000]
    assert protocol.reason is not None and protocol.reason.check(ConnectionLost)


@pytest.mark.parametrize("where", ["dataReceived", "readConnectionLost", "connectionLost"])
def test_an_exception_ends_the_connection_and_is_logged(view: Any, where: str) -> None:
    def fail(*args: Any) -> None:
        raise ZeroDivisionError("of the application")

    logged: list[LogEvent] = []
    observer = cast(ILogObserver, logged.append)
    globalLogPublisher.addObserver(observer)
    protocol = HalfCloseable(**{where: fail})
    try:
        with served(view, protocol) as peer:
            peer.sendall(b"data")
            peer.shutdown(socket.SHUT_WR)
            if where == "connectionLost":
                protocol.transport.loseConnection()
            run(view, lambda: "connectionLost" in protocol.told)
    finally:
        globalLogPublisher.removeObserver(observer)
    failures = [event["log_failure"] for event in logged if event.get("log_failure") is not None]
    assert [failure.type for failure in failures] == [ZeroDivisionError]
    assert protocol.reason is not None
    assert protocol.reason.check(ConnectionDone if where == "connectionLost" else ZeroDivisionError)
    assert protocol.told.count("connectionLost") == 1


def test_a_lost_transport_does_nothing_more(view: Any) -> None:
    protocol = Remembering()
    peer = served(view, protocol)
    transport: Any = protocol.transport
    host = transport.getPeer()
    peer.close()
    run(view, lambda: "connectionLost" in protocol.told)
    assert transport.disconnected and not transport.connected
    transport.write(b"data")
    transport.writeSequence([b"data"])
    transport.loseConnection()
    transport.abortConnection()
    transport.loseWriteConnection()
    transport.resumeProducing()
    transport.stopProducing()
    assert not transport.isReading() and not transport.isWriting()
    assert transport.getPeer() == host and transport.socket is None
    with pytest.raises(ConnectionLost):
        transport.getHost()
    assert protocol.told.count("connectionLost") == 1


def test_nothing_is_left_of_a_lost_connection(view: Any) -> None:
    def lost() -> weakref.ref[Connection]:
        protocol = Remembering(dataReceived=lambda protocol, data: protocol.transport.write(data))
        with served(view, protocol) as peer:
            peer.sendall(b"data")
            peer.shutdown(socket.SHUT_WR)
            run(view, lambda: "connectionLost" in protocol.told)
        return weakref.ref(protocol.transport)

    left = lost()
    gc.collect()
    assert left() is None


# -- names and options


def test_options_are_those_of_the_socket(view: Any) -> None:
    protocol = Remembering()
    with served(view, protocol) as peer:
        transport: Any = protocol.transport
        for enabled in (True, False):
            transport.setTcpNoDelay(enabled)
            transport.setTcpKeepAlive(enabled)
            assert (transport.getTcpNoDelay(), transport.getTcpKeepAlive()) == (enabled, enabled)
            handle = transport.getHandle()
            assert bool(handle.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)) is enabled
            assert bool(handle.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)) is enabled
        assert (transport.getHost().host, transport.getHost().port) == peer.getpeername()
        assert (transport.getPeer().host, transport.getPeer().port) == peer.getsockname()
        assert transport.getPeer().host == LOCALHOST
