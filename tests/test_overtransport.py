"""
A CAsyncSocket over a Twisted transport, looked into step by step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from _reactors import Recorder, must
from _streams import LOCALHOST, told
from twisted.internet import error
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from twisted_casync import (
    FD_CLOSE,
    FD_READ,
    FIONREAD,
    INVALID_SOCKET,
    MSG_OOB,
    MSG_PEEK,
    SO_KEEPALIVE,
    SO_LINGER,
    SOCKET_ERROR,
    CAsyncSocket,
    GetLastError,
    WSAError,
)
from twisted_casync._stream import Backlog
from twisted_casync.bridges import SocketProtocol, connectOver, reasonOf, transportOf

DONE = Failure(error.ConnectionDone())
LOST = Failure(error.ConnectionLost())


class Bench:
    """
    A socket over a transport that does nothing by itself, on a clock.
    """

    def __init__(self, **handlers: Any) -> None:
        self.clock = Clock()
        self.sock = Recorder(**handlers)
        self.protocol: Any = SocketProtocol(self.sock, reactor=self.clock)
        self.transport: Any = StringTransport()
        self.protocol.makeConnection(self.transport)  # type: ignore[no-untyped-call]
        self.clock.advance(0)

    def turns(self, count: int = 3) -> None:
        for _ in range(count):
            self.clock.advance(0)


@pytest.fixture
def bench() -> Iterator[Bench]:
    made = Bench(OnReceive=lambda sock: sock.readAll())
    yield made
    made.sock.Close()
    assert made.clock.getDelayedCalls() == []


def test_a_socket_is_connected_when_its_transport_is(bench: Bench) -> None:
    assert bench.sock.told == told("OnSend")
    assert bench.sock.GetPeerNameEx() == ("192.168.1.1", 54321)
    assert bench.sock.GetSockNameEx() == ("10.0.0.1", 12345)
    assert bench.sock.m_hSocket != INVALID_SOCKET
    assert CAsyncSocket.FromHandle(bench.sock.m_hSocket) is bench.sock
    assert transportOf(bench.sock) is bench.transport


def test_what_arrives_is_told_inside_the_call_of_the_transport(bench: Bench) -> None:
    bench.protocol.dataReceived(b"hello")
    assert bench.sock.told == told("OnSend", "OnReceive")
    assert bench.sock.received == b"hello"


def test_a_message_leaves_nothing_for_a_later_turn() -> None:
    """Not even where its handler selects something else, which is looked at in the same turn."""
    bench = Bench(OnReceive=lambda sock: (sock.readAll(), must(sock.AsyncSelect(FD_CLOSE))))
    bench.protocol.dataReceived(b"hello")
    assert bench.sock.received == b"hello"
    assert bench.sock.names() == ["OnSend", "OnReceive"]
    assert bench.clock.getDelayedCalls() == []
    bench.sock.Close()


def test_a_buffer_with_gaps_is_not_sent(bench: Bench) -> None:
    with pytest.raises(TypeError, match="contiguous"):
        bench.sock.Send(memoryview(b"hello")[::2])
    assert bench.transport.value() == b""


def test_a_stream_that_was_closed_is_no_socket_any_more(bench: Bench) -> None:
    stream = SocketProtocol(Recorder(), reactor=bench.clock).stream
    handle = stream.fileno()
    stream.close()
    late = Recorder()
    for closed in (stream, handle):
        assert not late.Attach(closed) and GetLastError() == WSAError.WSAENOTSOCK


def test_who_comes_to_a_listener_that_has_closed_finds_no_room() -> None:
    clock, late = Clock(), SocketProtocol(Recorder(), reactor=Clock())
    backlog = Backlog(clock, "", lambda: None)
    assert backlog.offer(late.stream)
    backlog.close()
    assert not backlog.offer(late.stream)


def test_what_is_sent_goes_to_the_transport_at_once(bench: Bench) -> None:
    assert bench.sock.Send(b"hello") == 5
    assert bench.transport.value() == b"hello"


def test_nothing_is_told_inside_a_member() -> None:
    """A transport may answer inside write(), as one in memory does."""
    bench = Bench(OnReceive=lambda sock: sock.readAll())
    bench.transport.write = lambda data: bench.protocol.dataReceived(b"answer")
    bench.sock.Send(b"question")
    assert bench.sock.names() == ["OnSend"]
    bench.turns()
    assert bench.sock.received == b"answer"
    bench.sock.Close()


def test_data_that_nobody_receives_is_told_once() -> None:
    bench = Bench()
    bench.protocol.dataReceived(b"one")
    bench.protocol.dataReceived(b"two")
    bench.turns()
    assert bench.sock.names() == ["OnSend", "OnReceive"]
    assert bench.sock.IOCtl(FIONREAD) == 6
    buffer = bytearray(4)
    assert bench.sock.Receive(buffer, nFlags=MSG_PEEK) == 4
    assert bench.sock.Receive(buffer) == 4
    assert buffer == b"onet"
    bench.turns()
    assert bench.sock.names() == ["OnSend", "OnReceive", "OnReceive"]
    bench.sock.Close()


def test_who_does_not_receive_pauses_the_transport_and_who_receives_resumes_it() -> None:
    bench = Bench()
    bench.protocol.dataReceived(bytes(65535))
    assert bench.transport.producerState == "producing"
    bench.protocol.dataReceived(b"x")
    assert bench.transport.producerState == "paused"
    buffer = bytearray(65536)
    assert bench.sock.Receive(buffer, 40000) == 40000
    assert bench.transport.producerState == "paused"
    assert bench.sock.Receive(buffer, 20000) == 20000
    assert bench.transport.producerState == "producing"
    bench.sock.Close()


def test_a_transport_that_has_enough_makes_a_send_block(bench: Bench) -> None:
    assert bench.transport.producer is bench.protocol and bench.transport.streaming
    bench.protocol.pauseProducing()
    assert bench.sock.Send(b"x") == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEWOULDBLOCK
    bench.turns()
    assert bench.sock.names() == ["OnSend"]
    bench.protocol.resumeProducing()
    assert bench.sock.names() == ["OnSend", "OnSend"]
    assert bench.sock.Send(b"x") == 1


def test_a_send_is_never_short(bench: Bench) -> None:
    """As on Windows."""
    assert bench.sock.Send(bytes(1000000)) == 1000000
    bench.turns()
    assert bench.sock.names() == ["OnSend"]


class Plain:
    """
    A transport that has only what each must have (ITransport).
    """

    def __init__(self) -> None:
        self.written = b""
        self.ended = False

    def write(self, data: bytes) -> None:
        self.written += data

    def loseConnection(self) -> None:
        self.ended = True

    def getPeer(self) -> object:
        return object()

    getHost = getPeer


def test_a_transport_that_knows_no_producers_takes_one_send_a_turn() -> None:
    clock, transport, sock = Clock(), Plain(), Recorder()
    protocol: Any = SocketProtocol(sock, reactor=clock)
    protocol.makeConnection(transport)
    for turn in range(1, 5):
        clock.advance(0)
        assert sock.told == told("OnSend") * turn
        assert sock.Send(bytes(10)) == 10
        assert sock.Send(bytes(10)) == SOCKET_ERROR and GetLastError() == WSAError.WSAEWOULDBLOCK
        assert len(transport.written) == turn * 10
    protocol.dataReceived(bytes(100000))
    assert sock.IOCtl(FIONREAD) == 100000
    sock.Close()
    assert transport.ended
    assert clock.getDelayedCalls() == []


def test_there_is_no_urgent_data(bench: Bench) -> None:
    assert bench.sock.Send(b"!", 1, MSG_OOB) == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAEOPNOTSUPP
    assert bench.transport.value() == b""


def test_data_before_the_end_is_received_before_onclose() -> None:
    bench = Bench()
    bench.protocol.dataReceived(b"last words")
    bench.protocol.connectionLost(DONE)
    bench.turns()
    assert bench.sock.names() == ["OnSend", "OnReceive"]
    bench.sock.readAll()
    bench.turns()
    assert bench.sock.received == b"last words"
    assert bench.sock.told == told("OnSend", "OnReceive", "OnClose")
    assert bench.sock.Send(b"x") == SOCKET_ERROR
    bench.sock.Close()


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (error.ConnectionDone(), WSAError.NO_ERROR),
        (error.ConnectionLost(), WSAError.WSAECONNRESET),
        (error.ConnectionAborted(), WSAError.WSAECONNABORTED),
        (error.ProcessDone(0), WSAError.NO_ERROR),
        (error.ProcessTerminated(1), WSAError.WSAECONNRESET),
        (RuntimeError("certificate"), WSAError.WSAECONNABORTED),
    ],
)
def test_onclose_says_how_the_connection_has_ended(bench: Bench, reason: Exception, code: WSAError) -> None:
    failure = Failure(reason)
    with capturedLogs():
        bench.protocol.connectionLost(failure)
    assert bench.sock.told[-1] == ("OnClose", code)
    assert reasonOf(bench.sock) is failure


def test_a_reason_that_is_none_of_a_connection_s_is_logged(bench: Bench) -> None:
    with capturedLogs() as logged:
        bench.protocol.connectionLost(Failure(RuntimeError("a certificate that nobody knows")))
    assert ["a certificate that nobody knows" in str(event.get("reason")) for event in logged] == [True]


def test_the_end_of_the_peer_s_stream_leaves_ours(bench: Bench) -> None:
    bench.protocol.readConnectionLost()
    assert bench.sock.told == told("OnSend", "OnClose")
    assert bench.sock.Send(b"answer") == 6
    assert bench.transport.value() == b"answer"


def test_a_transport_that_can_not_end_one_direction_ends_both(bench: Bench) -> None:
    bench.sock.Send(b"x")
    assert bench.sock.ShutDown()
    assert bench.transport.disconnecting
    assert bench.transport.producer is None
    assert bench.sock.Send(b"x") == SOCKET_ERROR
    assert GetLastError() == WSAError.WSAESHUTDOWN


def test_close_ends_the_connection_and_tells_nothing_more(bench: Bench) -> None:
    bench.sock.Close()
    assert bench.transport.disconnecting
    assert bench.transport.producer is None
    bench.protocol.dataReceived(b"late")
    bench.protocol.connectionLost(DONE)
    bench.turns()
    assert bench.sock.names() == ["OnSend"]
    assert transportOf(bench.sock) is None and reasonOf(bench.sock) is None


def test_close_of_a_paused_transport_resumes_it() -> None:
    """The end of TLS is an exchange, and needs the peer's part."""
    bench = Bench()
    bench.protocol.dataReceived(bytes(70000))
    assert bench.transport.producerState == "paused"
    bench.sock.Close()
    assert bench.transport.producerState == "producing"
    assert bench.transport.disconnecting


def test_to_linger_without_time_aborts_the_transport(bench: Bench) -> None:
    bench.sock.SetSockOpt(SO_LINGER, (1, 0))
    bench.sock.Close()
    assert bench.transport.disconnected


def test_an_exception_in_a_handler_aborts_the_transport() -> None:
    def fail(sock: Recorder) -> None:
        raise RuntimeError("an application's mistake")

    bench = Bench(OnReceive=fail)
    with capturedLogs() as logged:
        bench.protocol.dataReceived(b"x")
    assert any("an application's mistake" in str(event.get("log_failure")) for event in logged)
    assert bench.transport.disconnected
    assert bench.sock.told[-1] == ("OnClose", WSAError.WSAECONNABORTED)
    assert bench.sock.m_hSocket == INVALID_SOCKET


def test_a_socket_is_handed_on_by_its_handle() -> None:
    bench = Bench()
    bench.protocol.dataReceived(b"for the other")
    handle = bench.sock.Detach()
    bench.protocol.dataReceived(b" one")
    other = Recorder(OnReceive=lambda sock: sock.readAll())
    assert other.Attach(handle)
    bench.turns()
    assert other.received == b"for the other one"
    assert not Recorder().Attach(handle) and GetLastError() == WSAError.WSAEINVAL
    other.Close()
    assert not other.Attach(handle) and GetLastError() == WSAError.WSAENOTSOCK


def test_options_are_remembered(bench: Bench) -> None:
    assert bench.sock.GetSockOpt(SO_KEEPALIVE) is False
    assert bench.sock.SetSockOpt(SO_KEEPALIVE, True)
    assert bench.sock.GetSockOpt(SO_KEEPALIVE) is True


def test_what_needs_a_descriptor_is_not_supported(bench: Bench) -> None:
    assert not Recorder().Assign(bench.sock)
    assert GetLastError() == WSAError.WSAEOPNOTSUPP
    assert not bench.sock.Bind(7)
    assert not bench.sock.Listen()


def test_an_open_socket_can_not_have_another_connection(bench: Bench) -> None:
    with pytest.raises(ValueError, match="is open"):
        SocketProtocol(bench.sock, reactor=bench.clock)


def test_what_is_not_selected_is_not_told() -> None:
    clock, sock = Clock(), Recorder()
    protocol: Any = SocketProtocol(sock, FD_READ, reactor=clock)
    protocol.makeConnection(StringTransport())
    protocol.connectionLost(LOST)
    clock.advance(0)
    assert sock.names() == []
    sock.Close()


class Waiting:
    """
    An endpoint that connects when the test says so.
    """

    def __init__(self) -> None:
        self.cancelled = 0
        self.deferred: Deferred[Any] = Deferred(self._cancel)

    def _cancel(self, deferred: Deferred[Any]) -> None:
        self.cancelled += 1

    def connect(self, factory: Any) -> Deferred[Any]:
        self.factory = factory
        return self.deferred

    def succeed(self) -> None:
        protocol = self.factory.buildProtocol(None)
        protocol.makeConnection(StringTransport())
        self.deferred.callback(protocol)


def test_a_connection_is_told_when_the_endpoint_has_made_it() -> None:
    clock, sock, endpoint = Clock(), Recorder(), Waiting()
    connectOver(sock, endpoint, reactor=clock)  # type: ignore[call-overload]
    clock.advance(0)
    assert sock.told == []
    assert sock.Send(b"x") == SOCKET_ERROR and GetLastError() == WSAError.WSAENOTCONN
    assert not sock.Connect(LOCALHOST, 7) and GetLastError() == WSAError.WSAEALREADY
    endpoint.succeed()
    clock.advance(0)
    assert sock.told == told("OnConnect", "OnSend")
    assert sock.GetPeerNameEx() == ("192.168.1.1", 54321)
    sock.Close()


def test_close_gives_the_attempt_up() -> None:
    clock, sock, endpoint = Clock(), Recorder(), Waiting()
    connectOver(sock, endpoint, reactor=clock)  # type: ignore[call-overload]
    sock.Close()
    assert endpoint.cancelled == 1
    clock.advance(0)
    assert sock.told == []


@pytest.mark.parametrize(
    ("reason", "code"),
    [
        (error.ConnectionRefusedError(), WSAError.WSAECONNREFUSED),
        (error.TimeoutError(), WSAError.WSAETIMEDOUT),
        (error.TCPTimedOutError(), WSAError.WSAETIMEDOUT),
        (error.NoRouteError(), WSAError.WSAENETUNREACH),
        (error.DNSLookupError(), WSAError.WSAHOST_NOT_FOUND),
        (error.ConnectError(111), WSAError.WSAECONNREFUSED),
        (RuntimeError("?"), WSAError.WSAECONNABORTED),
    ],
)
def test_onconnect_says_why_there_is_no_connection(reason: Exception, code: WSAError) -> None:
    clock, sock, endpoint = Clock(), Recorder(), Waiting()
    connectOver(sock, endpoint, reactor=clock)  # type: ignore[call-overload]
    with capturedLogs():
        endpoint.deferred.errback(Failure(reason))
    clock.advance(0)
    assert sock.told == told("OnConnect", code=code)
    found = reasonOf(sock)
    assert found is not None and found.value is reason
    sock.Close()
