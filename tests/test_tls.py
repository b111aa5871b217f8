"""
TLS beneath a CAsyncSocket: who connects and who listens, what is verified, and what is told when it is not as it should be.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from _reactors import LIMIT, WAYS, Recorder, must, reactorOf, run
from _streams import refusingPort, told
from _tls import (
    LOCALHOST,
    authority,
    client,
    identity,
    listeningTLS,
    plainClient,
    server,
    tlsPair,
)
from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs

from twisted_casync import (
    FD_READ,
    INVALID_SOCKET,
    SOCKET_ERROR,
    CSocket,
    GetLastError,
    WSAError,
    WinsockError,
)
from twisted_casync.bridges import reasonOf, transportOf
from twisted_casync.services.echo import EchoListener
from twisted_casync.tls import clientOptions, connectTLS, listenTLS, peerCertificate, serverOptions

SOME = "epoll-window"
TLS_WAYS = [way for way in WAYS if way.endswith("window")]


def lines(logged: Any) -> list[str]:
    """
    What a reader of the log sees that is no mere information.
    """
    return [
        event["log_format"].format(**event)
        for event in logged
        if event["log_level"].name not in ("info", "debug") and "log_failure" not in event
    ]


def failures(logged: Any) -> list[Any]:
    return [event["log_failure"] for event in logged if "log_failure" in event]


def outcome(options: Any, serving: Any = None, until: Callable[[Recorder, Recorder], bool] | None = None) -> Any:
    """
    Have a client connect to a server that accepts and sends nothing.

    @return: what the client was told, what the server accepted, why, and the lines of the log.
    """
    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        near, far = Recorder(), Recorder()
        door = listeningTLS(reactor, serving, OnAccept=lambda sock: must(sock.Accept(far)))
        connectTLS(near, LOCALHOST, must(door.GetSockName())[1], options)
        run(reactor, lambda: near.told != [] if until is None else until(near, far))
        reason = reasonOf(near)
        for sock in (near, far, door):
            sock.Close()
        settle(reactor)
    assert failures(logged) == []
    return near, far, reason, lines(logged)


def settle(reactor: Any) -> None:
    """
    Let a reactor that has stopped end what its connections have left.
    """
    run(reactor, lambda: not reactor.getReaders() or len(reactor.getReaders()) <= len(reactor._internalReaders))


# -- connecting and accepting


@pytest.mark.parametrize("way", TLS_WAYS)
def test_the_handlers_are_those_of_a_descriptor(way: str) -> None:
    with reactorOf(way) as reactor:

        def answer(sock: Recorder) -> None:
            sock.readAll()
            must(sock.Send(b"to " + sock.received))

        def leave(sock: Recorder) -> None:
            sock.readAll()
            must(sock.ShutDown())

        far = Recorder(OnReceive=answer)
        near = Recorder(OnConnect=lambda sock: must(sock.Send(b"somebody")), OnReceive=leave)
        door = tlsPair(reactor, near, far)
        run(reactor, lambda: "OnClose" in near.names() and "OnClose" in far.names())
        assert near.told == told("OnConnect", "OnSend", "OnReceive", "OnClose")
        assert far.told == told("OnSend", "OnReceive", "OnClose")
        assert near.received == b"to somebody"
        for sock in (near, far, door):
            sock.Close()


def test_nothing_goes_in_the_clear() -> None:
    """What the peer of a client gets is a TLS record, and nothing of what is sent."""
    with reactorOf(SOME) as reactor, socket.create_server((LOCALHOST, 0)) as listener:
        near = Recorder()
        connectTLS(near, LOCALHOST, listener.getsockname()[1], client())
        peers: list[socket.socket] = []

        def arrived() -> bool:
            if not peers:
                listener.settimeout(0)
                try:
                    peers.append(listener.accept()[0])
                except BlockingIOError:
                    return False
                peers[0].setblocking(False)
            try:
                return len(peers[0].recv(5, socket.MSG_PEEK)) == 5
            except BlockingIOError:
                return False

        run(reactor, arrived)
        # A handshake record, as of TLS 1.0 for the sake of old peers (RFC 8446, 5.1).
        assert peers[0].recv(3) == b"\x16\x03\x01"
        assert near.told == []
        assert near.Send(b"too early") == SOCKET_ERROR and GetLastError() == WSAError.WSAENOTCONN
        near.Close()
        peers[0].close()
        settle(reactor)


def test_names_are_those_of_the_tcp_connection() -> None:
    with reactorOf(SOME) as reactor:
        near, far = Recorder(), Recorder()
        door = tlsPair(reactor, near, far)
        port = must(door.GetSockName())[1]
        run(reactor, lambda: "OnSend" in near.names() and "OnSend" in far.names())
        assert near.GetPeerName() == (LOCALHOST, port) == far.GetSockName()
        assert near.GetSockName() == far.GetPeerName()
        for sock in (near, far, door):
            sock.Close()


def test_what_is_not_selected_is_not_told() -> None:
    with reactorOf(SOME) as reactor:
        near = Recorder()
        door = Recorder(OnAccept=lambda sock: must(sock.Accept(far)))
        far = Recorder(OnReceive=lambda sock: sock.readAll())
        listenTLS(door, 0, server(), FD_READ | 8, interface=LOCALHOST)
        connectTLS(near, LOCALHOST, must(door.GetSockName())[1], client())
        run(reactor, lambda: "OnConnect" in near.names())
        near.Send(b"hello")
        run_again(reactor, lambda: far.received == b"hello")
        assert far.told == told("OnReceive")
        for sock in (near, far, door):
            sock.Close()


def run_again(reactor: Any, until: Callable[[], bool]) -> None:
    """
    Run a reactor that has stopped.
    """
    # Twisted says that it can't be restarted; what that breaks (signals, threads) is not used here.
    reactor._startedBefore = False
    reactor._started = False
    run(reactor, until)
