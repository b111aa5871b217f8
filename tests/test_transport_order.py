"""
In which order a protocol over a C{CAsyncSocket} is told things, and what it has left to the reactor is done.

With Twisted's own transports a protocol is told one thing in a turn of the reactor, and its C{callLater(0)} comes
before the next: there are protocols that count on it.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from _bridged import LOCALHOST, Connecting, HalfCloseable, Remembering, Serving, served, viewOf
from _reactors import LIMIT, WAYS, run


@pytest.fixture(params=WAYS)
def view(request: pytest.FixtureRequest) -> Any:
    with viewOf(request.param) as view:
        yield view


@pytest.mark.parametrize("end", ["loseConnection", "abortConnection", "loseWriteConnection"])
def test_what_is_left_to_call_later_is_done_before_the_end_that_was_asked_for(view: Any, end: str) -> None:
    order: list[str] = []

    def last(protocol: HalfCloseable, data: bytes) -> None:
        getattr(protocol.transport, end)()
        view.callLater(0, order.append, "later")

    protocol = HalfCloseable(dataReceived=last)
    for name in ("connectionLost", "writeConnectionLost"):
        protocol.does[name] = lambda *args: order.append("end")
    with served(view, protocol) as peer:
        peer.sendall(b"?")
        run(view, lambda: len(order) >= 2)
    assert order[:2] == ["later", "end"]


# On uvloop a timer that has just come due comes after what is ready, as libuv has it: seldom, but it does.
@pytest.mark.parametrize("view", [way for way in WAYS if not way.startswith("uvloop")], indirect=True)
@pytest.mark.parametrize("answers", [1, 20])
def test_what_is_left_to_call_later_is_done_before_more_is_told(view: Any, answers: int) -> None:
    """Though the peer, which is told in the same turn, has answered in the meantime."""
    order: list[str] = []

    def greet(client: Remembering) -> None:
        client.transport.write(b"?")

    def ask(client: Remembering, data: bytes) -> None:
        if len(order) < 2 * answers:
            client.transport.write(b"?")
        else:
            client.transport.loseConnection()

    def answer(server: Remembering, data: bytes) -> None:
        order.append("told")
        server.transport.write(b"!")
        view.callLater(0, order.append, "later")

    server = Remembering(dataReceived=answer, connectionLost=lambda server, reason: order.append("lost"))
    port = view.listenTCP(0, Serving(server), interface=LOCALHOST)
    view.connectTCP(LOCALHOST, port.getHost().port, Connecting(Remembering(connectionMade=greet, dataReceived=ask)))
    run(view, lambda: "lost" in order)
    told = order.count("told")
    assert order == ["told", "later"] * told + ["lost"]
    assert told >= answers


# On asyncio, timers come after what is ready, for Twisted's own transports too.
@pytest.mark.parametrize("view", [way for way in WAYS if not way.startswith(("asyncio", "uvloop"))], indirect=True)
def test_what_was_there_when_a_connection_was_accepted_is_told_one_by_one(view: Any) -> None:
    order: list[str] = []

    def told(name: str) -> None:
        order.append(name)
        view.callLater(0, order.append, "later")

    server = Remembering(
        connectionMade=lambda server: told("made"),
        dataReceived=lambda server, data: told("told"),
        connectionLost=lambda server, reason: order.append("lost"),
    )
    port = view.listenTCP(0, Serving(server), interface=LOCALHOST)
    with socket.create_connection((LOCALHOST, port.getHost().port), LIMIT) as peer:
        peer.sendall(b"all")
    run(view, lambda: "lost" in order)
    assert order == ["made", "later", "told", "later", "lost"]
