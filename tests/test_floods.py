"""What strangers can bring about as often as they like is at most one line of the log a second, whoever logs it."""

from __future__ import annotations

import contextlib
import re
import resource
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from _memory import memoryReactor, turn
from _reactors import must
from _streams import LOCALHOST, peerOf, refusingPort
from _tls import identity
from _twistd import PATIENCE, twistd
from twisted.logger import LogEvent, capturedLogs, formatEvent

from twisted_casync import CAsyncSocket
from twisted_casync._seldom import PAUSE
from twisted_casync.services import StreamListener
from twisted_casync.services._target import Target
from twisted_casync.services.chat import ChatListener
from twisted_casync.services.echo import DatagramEcho, EchoListener
from twisted_casync.services.forward import ForwardListener
from twisted_casync.tls import listenTLS, serverOptions

MANY = 20

# The socket to close at the end, what brings something about many times, and what its lines begin with.
Flood = tuple[CAsyncSocket, Callable[[], None], str]


def listening(listener: StreamListener) -> Any:
    must(listener.Create(0, lpszSocketAddress=LOCALHOST) and listener.Listen(MANY))
    return listener


def settle(reactor: Any, until: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not until():
        assert time.monotonic() < deadline
        turn(reactor)


def crowd(stack: contextlib.ExitStack, listener: Any) -> None:
    for _ in range(MANY):
        stack.enter_context(peerOf(listener))


def unreachable(reactor: Any, stack: contextlib.ExitStack) -> Flood:
    """A forwarder whose target refuses."""
    port, holder = refusingPort()
    stack.enter_context(holder)
    listener = listening(ForwardListener(Target.parse(f"{LOCALHOST}:{port}"), 10.0, reactor))

    def happen() -> None:
        before = listener._accepted
        crowd(stack, listener)
        settle(reactor, lambda: listener._accepted == before + MANY and not listener.connections)

    return listener, happen, f"cannot connect to {LOCALHOST}:{port} for tcp {LOCALHOST}:"


def unread(reactor: Any, stack: contextlib.ExitStack) -> Flood:
    """Guests of a chat who do not read."""
    listener = listening(ChatListener(reactor))

    def happen() -> None:
        crowd(stack, listener)
        settle(reactor, lambda: len(listener.connections) == MANY)
        # More than the kernels keep.
        listener.tell("x" * (1 << 23), *listener.connections)
        listener.flush()
        assert not listener.connections

    return listener, happen, f"dropped: tcp {LOCALHOST}:"


def undescribed(reactor: Any, stack: contextlib.ExitStack) -> Flood:
    """Connections to a server that has no descriptor left."""
    listener = listening(EchoListener(reactor))
    stack.enter_context(peerOf(listener))

    def happen() -> None:
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, limits[1]))
        try:
            assert not any(listener.takeOne() for _ in range(MANY))
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    return listener, happen, "cannot accept: WSAEMFILE: "


def unanswerable(reactor: Any, stack: contextlib.ExitStack) -> Flood:
    """Datagrams from sockets that are gone when they are to be answered."""
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    # Linux chooses one.
    bound.bind("")
    name = bound.getsockname()
    responder = DatagramEcho(reactor)
    must(responder.Attach(bound))

    def happen() -> None:
        for _ in range(MANY):
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as client:
                client.bind("")
                client.sendto(b"?", name)
            # The kernel keeps few of them.
            turn(reactor)

    return responder, happen, "dropped: 1 bytes to "


def others(events: Sequence[LogEvent]) -> list[str]:
    """What was logged besides the two lines that each connection has."""
    return [formatEvent(event) for event in events if event.get("event") not in ("accepted", "closed")]


def counted(lines: Sequence[str]) -> int:
    """How often something has happened, of which there are these lines."""
    return sum(1 + int((re.search(r"\(and (\d+) others\)$", line) or ["", "0"])[1]) for line in lines)


@pytest.mark.parametrize("flood", [unreachable, unread, undescribed, unanswerable])
def test_what_happens_many_times_is_a_line_a_second(flood: Callable[..., Flood]) -> None:
    with memoryReactor() as reactor, contextlib.ExitStack() as stack, capturedLogs() as events:
        one, happen, start = flood(reactor, stack)
        happen()
        (first,) = others(events)
        assert first.startswith(start) and "others" not in first
        reactor.advance(PAUSE)
        (_, second) = others(events)
        assert second.startswith(start) and second.endswith(f" (and {MANY - 2} others)")
        happen()
        reactor.pump([PAUSE] * 3)
        assert len(others(events)) == 3
        happen()
        # What is left is said, and no timer stays.
        one.Close()
    said = others(events)
    assert len(said) == 5
    assert counted(said) == 3 * MANY


def test_connections_that_end_behind_their_listener_leave_no_timer() -> None:
    with memoryReactor() as reactor, contextlib.ExitStack() as stack, capturedLogs() as events:
        listener: Any
        listener, _, _ = unreachable(reactor, stack)
        crowd(stack, listener)
        while listener.takeOne():
            pass
        assert len(listener.connections) == MANY
        listener.Close()
        settle(reactor, lambda: not listener.connections)
    assert counted(others(events)) == MANY
    assert len(others(events)) == 2


def test_failed_handshakes_are_a_line_a_second_and_leave_no_timer() -> None:
    own = identity("localhost", "authority.example")
    with memoryReactor() as reactor, contextlib.ExitStack() as stack:
        listener = CAsyncSocket(reactor)
        listenTLS(listener, 0, serverOptions(own.both), interface=LOCALHOST)
        events = stack.enter_context(capturedLogs())
        for _ in range(MANY):
            peer = stack.enter_context(socket.create_connection(must(listener.GetSockName()), PATIENCE))
            peer.sendall(b"GET / HTTP/1.0\r\n\r\n")
            peer.settimeout(0)
            settle(reactor, lambda peer=peer: ended(peer))  # type: ignore[misc]  # the default is a binding
        assert len(others(events)) == 1
        reactor.advance(PAUSE)
        assert len(others(events)) == 2
        reactor.advance(PAUSE)
        listener.Close()
        said = others(events)
        # The port beneath ends in a turn.
        turn(reactor)
    assert counted(said) == MANY


def ended(peer: socket.socket) -> bool:
    """Whether the other end has closed."""
    try:
        return peer.recv(100) == b""
    except BlockingIOError:
        return False
    except ConnectionResetError:
        return True


@pytest.mark.programs
def test_failed_handshakes_of_a_service_are_a_line_a_second() -> None:
    own = identity("localhost", "authority.example")
    with twistd("echo", f"ssl:0:privateKey={own.both}:interface={LOCALHOST}") as child:
        address = child.listening("ssl")
        began = time.monotonic()
        for _ in range(100):
            with socket.create_connection(address, PATIENCE) as plain:
                plain.sendall(b"GET / HTTP/1.0\r\n\r\n")
                with contextlib.suppress(ConnectionResetError):
                    while plain.recv(100):
                        pass
        seconds = time.monotonic() - began
        child.process.terminate()
        child.wait()
    said = [line for line in child.lines if "no TLS with" in line]
    assert len(said) <= seconds + 2
    assert counted(said) == 100
    assert not any("Traceback" in line for line in child.lines)
