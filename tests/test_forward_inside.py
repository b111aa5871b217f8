"""The forward service on every reactor: how it comes to where it goes on to."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from _memory import arrived, memoryReactor, turn
from _play import Script, played
from _reactors import LIMIT, must
from _resolvers import Book
from _streams import LOCALHOST, peerOf, reset
from twisted.logger import capturedLogs

from twisted_casync import SO_SNDBUF, WSAError
from twisted_casync.services._target import Target
from twisted_casync.services.forward import ForwardListener


def listening(reactor: Any, target: str, seconds: float = LIMIT) -> ForwardListener:
    listener = ForwardListener(Target.parse(target), seconds, reactor)
    must(listener.Create(0, lpszSocketAddress=LOCALHOST) and listener.Listen())
    return listener


@contextlib.contextmanager
def held() -> Iterator[tuple[socket.socket, int]]:
    """A port that nobody listens at, neither over IPv4 nor over IPv6, and the socket that holds the latter."""
    while True:
        with socket.socket(socket.AF_INET6) as six, socket.socket() as four:
            six.bind(("::1", 0))
            port = six.getsockname()[1]
            try:
                four.bind((LOCALHOST, port))
            except OSError:
                continue  # free over IPv6 only
            yield six, port
            return


@played
def test_a_name_is_tried_with_the_addresses_of_both_families(reactor: Any) -> Script:
    # Somebody keeps the port of the IPv4 address, and listens at that of IPv6 only.
    with held() as (target, port):
        target.listen()
        Book(reactor, LOCALHOST, "::1", late=False)
        listener = listening(reactor, f"server.invalid:{port}")
        near = peerOf(listener)
        near.sendall(b"hello")
        yield lambda: any(connection.bytesIn == 5 for connection in listener.connections)
        far, _ = target.accept()
        assert far.recv(100) == b"hello"
        near.close()
        far.close()
        yield lambda: not listener.connections
        listener.Close()


@pytest.mark.parametrize(
    ("addresses", "error"),
    [
        ([LOCALHOST], WSAError.WSAECONNREFUSED),  # says more than that there is no IPv6 address
        (["::1"], WSAError.WSAECONNREFUSED),
        ([], WSAError.WSAHOST_NOT_FOUND),
    ],
)
@played
def test_a_name_that_leads_nowhere_is_one_line_of_log(reactor: Any, addresses: list[str], error: WSAError) -> Script:
    with held() as (_, port), capturedLogs() as lines:
        Book(reactor, *addresses, late=False)
        listener = listening(reactor, f"server.invalid:{port}")
        near = peerOf(listener)
        yield lambda: len(lines) >= 3
        assert [line["error"] for line in lines if "cannot connect" in str(line["log_format"])] == [error]
        assert not listener.connections
        with pytest.raises(ConnectionResetError):
            near.recv(100)
        near.close()
        listener.Close()


@played
def test_who_leaves_before_the_target_is_reached_leaves_nothing_behind(reactor: Any) -> Script:
    book = Book(reactor, LOCALHOST)
    listener = listening(reactor, "server.invalid:9", seconds=0.2)
    near = peerOf(listener)
    yield lambda: bool(book.asked)
    # A stop of the service waits for it.
    assert [connection.unfinished() for connection in listener.connections] == [True]
    reset(near)
    yield lambda: not listener.connections
    # The answer comes too late, and the time is over that it had.
    book.answer()
    listener.Close()
    assert not [call for call in reactor.getDelayedCalls() if "_failed" in str(call)]


def test_an_urgent_byte_that_comes_while_nothing_can_be_sent_keeps_its_place() -> None:
    data = bytes(100_000)
    with memoryReactor() as reactor, socket.create_server((LOCALHOST, 0)) as target:
        listener = listening(reactor, "{}:{}".format(*target.getsockname()))
        near = peerOf(listener)
        turn(reactor)
        connection: Any = next(iter(listener.connections))
        far, _ = target.accept()
        while connection.other is None:
            turn(reactor)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        must(connection.other.SetSockOpt(SO_SNDBUF, 4096))
        # All of it is received, and some of it can't be sent; then the next thing to receive is the urgent byte.
        while not connection.unfinished():
            near.sendall(data)
            arrived(connection)
            turn(reactor)
        sent = connection.bytesIn
        near.send(b"!", socket.MSG_OOB)
        near.sendall(b"after")
        quietly(reactor)
        received = b""
        far.setblocking(False)
        while len(received) < sent + 6:
            with contextlib.suppress(BlockingIOError):
                received += far.recv(1 << 20)
            turn(reactor)
        assert received[sent:] == b"!after"
        reset(near)
        while listener.connections:
            turn(reactor)
        far.close()
        listener.Close()


def quietly(reactor: Any) -> None:
    """Some turns, in which nobody can do anything."""
    for _ in range(5):
        turn(reactor)


@pytest.mark.parametrize("before", [b"", b"before"])
def test_an_urgent_byte_and_the_end_before_the_target_is_reached(before: bytes) -> None:
    with memoryReactor() as reactor, socket.create_server((LOCALHOST, 0)) as target:
        listener = listening(reactor, "{}:{}".format(*target.getsockname()))
        near = peerOf(listener)
        near.sendall(before)
        near.send(b"!", socket.MSG_OOB)
        near.shutdown(socket.SHUT_WR)
        turn(reactor)
        (connection,) = listener.connections
        quietly(reactor)
        far, _ = target.accept()
        far.settimeout(LIMIT)
        far.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        quietly(reactor)
        assert b"".join(iter(lambda: far.recv(100), b"")) == before + b"!"
        far.sendall(b"answer")
        far.close()
        while listener.connections:
            turn(reactor)
        near.settimeout(LIMIT)
        assert b"".join(iter(lambda: near.recv(100), b"")) == b"answer"
        assert (connection.bytesIn, connection.bytesOut) == (len(before) + 1, 6)
        near.close()
        listener.Close()
