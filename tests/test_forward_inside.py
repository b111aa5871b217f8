"""The forward service on every reactor: how it comes to where it goes on to."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from _play import Script, played
from _reactors import LIMIT, must
from _resolvers import Book
from _streams import LOCALHOST, peerOf, reset
from twisted.logger import capturedLogs

from twisted_casync import WSAError
from twisted_casync.services._target import Target
from twisted_casync.services.forward import ForwardListener


def listening(reactor: Any, target: str, seconds: float = LIMIT) -> ForwardListener:
    listener = ForwardListener(Target.parse(target), seconds, reactor)
    must(listener.Create(0, lpszSocketAddress=LOCALHOST) and listener.Listen())
    return listener


@played
def test_a_name_is_tried_with_the_addresses_of_both_families(reactor: Any) -> Script:
    # Somebody keeps the port of the IPv4 address, and listens at that of IPv6 only.
    with socket.create_server(("::1", 0), family=socket.AF_INET6) as target, socket.socket() as keeper:
        port = target.getsockname()[1]
        keeper.bind((LOCALHOST, port))
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
def test_a_name_that_leads_nowhere_is_one_line_of_log(
    reactor: Any, addresses: list[str], error: WSAError
) -> Script:
    with socket.socket(socket.AF_INET6) as keeper, socket.socket() as other, capturedLogs() as lines:
        keeper.bind(("::1", 0))
        port = keeper.getsockname()[1]
        other.bind((LOCALHOST, port))
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
    reset(near)
    yield lambda: not listener.connections
    # The answer comes too late, and the time is over that it had.
    book.answer()
    listener.Close()
    assert not [call for call in reactor.getDelayedCalls() if "_failed" in str(call)]
