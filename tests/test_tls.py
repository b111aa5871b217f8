"""
TLS beneath a CAsyncSocket: who connects and who listens, and what they are told.
"""

from __future__ import annotations

import socket
from typing import Any

import pytest
from _reactors import LIMIT, WAYS, Recorder, must, reactorOf, run
from _resolvers import Nobody
from _streams import refusingPort, told
from _tls import (
    LOCALHOST,
    Aside,
    addressOf,
    client,
    lines,
    listeningTLS,
    nothing,
    play,
    server,
    tlsPair,
)
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.logger import capturedLogs

from twisted_casync import (
    FD_ACCEPT,
    FD_READ,
    INVALID_SOCKET,
    SOCKET_ERROR,
    CAsyncSocket,
    CSocket,
    GetLastError,
    WSAError,
)
from twisted_casync.bridges import transportOf
from twisted_casync.errors import WinsockError
from twisted_casync.tls import clientOptions, connectTLS, listenTLS

SOME = "epoll-window"
EVERYWHERE = [way for way in WAYS if way.endswith("window")]


# -- connecting and accepting


@pytest.mark.parametrize("way", EVERYWHERE)
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
    """What the peer of a client gets is a record of TLS."""
    with reactorOf(SOME) as reactor, socket.create_server((LOCALHOST, 0)) as listener:
        near = Recorder()
        connectTLS(near, LOCALHOST, listener.getsockname()[1], client())
        assert near.Send(b"too early") == SOCKET_ERROR and GetLastError() == WSAError.WSAENOTCONN

        def first() -> bytes:
            peer, _ = listener.accept()
            with peer:
                return peer.recv(3, socket.MSG_WAITALL)

        peer = Aside(first)
        run(reactor, peer.ended)
        # A handshake, as of TLS 1.0 for the sake of old peers (RFC 8446, 5.1).
        assert peer.result == b"\x16\x03\x01"
        near.Close()


def test_names_are_those_of_the_tcp_connection() -> None:
    with reactorOf(SOME) as reactor:
        near, far = Recorder(), Recorder()
        door = tlsPair(reactor, near, far)
        port = addressOf(door)[1]
        run(reactor, lambda: "OnSend" in near.names() and "OnSend" in far.names())
        assert near.GetPeerName() == (LOCALHOST, port) == far.GetSockName()
        assert near.GetSockName() == far.GetPeerName()
        for sock in (near, far, door):
            sock.Close()


def test_what_is_not_selected_is_not_told() -> None:
    with reactorOf(SOME) as reactor:
        near, far = Recorder(), Recorder(OnReceive=lambda sock: sock.readAll())
        door = Recorder(OnAccept=lambda sock: must(sock.Accept(far)))
        listenTLS(door, 0, server(), FD_READ | FD_ACCEPT, interface=LOCALHOST)
        connectTLS(near, LOCALHOST, addressOf(door)[1], client())
        play(
            reactor,
            (lambda: "OnConnect" in near.names(), lambda: must(near.Send(b"hello"))),
            (lambda: far.received == b"hello", near.Close),
            (lambda: far.m_hSocket != INVALID_SOCKET, nothing),
        )
        assert far.told == told("OnReceive")
        far.Close()
        door.Close()


def test_a_csocket_waits_for_the_handshake() -> None:
    with reactorOf(SOME) as reactor:
        door, near = CSocket(), CSocket()
        listenTLS(door, 0, server(), interface=LOCALHOST)

        async def serve() -> bytes:
            async with await door.Accept() as far:
                line: bytes = await far.receiveLine()
                await far.Send(b"good day to " + line)
                return line

        async def ask() -> bytes:
            assert await connectTLS(near, LOCALHOST, addressOf(door)[1], client())
            await near.Send(b"somebody\r\n")
            return b"".join([chunk async for chunk in near])

        answers: list[Any] = []
        for each in (serve(), ask()):
            Deferred.fromCoroutine(each).addBoth(answers.append)
        run(reactor, lambda: len(answers) == 2)
        assert answers == [b"somebody\r\n", b"good day to somebody\r\n"]
        near.Close()
        door.Close()


def test_a_csocket_fails_to_connect_as_it_does_over_a_descriptor() -> None:
    with reactorOf(SOME) as reactor, capturedLogs():
        near, door = CSocket(), listeningTLS(reactor)
        ends: list[Any] = []
        connectTLS(near, LOCALHOST, addressOf(door)[1], clientOptions("localhost")).addErrback(ends.append)
        run(reactor, lambda: ends != [])
        error = ends[0].value
        assert isinstance(error, WinsockError) and error.code is WSAError.WSAECONNABORTED
        near.Close()
        door.Close()


def test_the_tcp_connections_are_sockets_of_ours() -> None:
    with reactorOf(SOME) as reactor:
        near, far = Recorder(), Recorder()
        door = tlsPair(reactor, near, far)
        run(reactor, lambda: "OnSend" in near.names() and "OnSend" in far.names())
        beneath = [transportOf(sock).transport for sock in (near, far)]
        assert all(isinstance(transport, CAsyncSocket) for transport in beneath)
        for sock in (near, far, door):
            sock.Close()


def test_nobody_at_the_port_is_a_refusal() -> None:
    port, keeper = refusingPort()
    with keeper, reactorOf(SOME) as reactor:
        near = Recorder()
        connectTLS(near, LOCALHOST, port, client())
        run(reactor, lambda: near.told != [])
        assert near.told == told("OnConnect", code=WSAError.WSAECONNREFUSED)
        near.Close()


def test_a_name_that_nobody_has_is_not_found() -> None:
    with reactorOf(SOME) as reactor:
        reactor.installNameResolver(Nobody())
        near = Recorder()
        connectTLS(near, "nobody.example", 443, client())
        run(reactor, lambda: near.told != [])
        assert near.told == told("OnConnect", code=WSAError.WSAHOST_NOT_FOUND)
        near.Close()


def test_a_port_that_is_taken_is_an_error_at_once() -> None:
    with reactorOf(SOME), socket.create_server((LOCALHOST, 0)) as taken:
        door = Recorder()
        with pytest.raises(CannotListenError):
            listenTLS(door, taken.getsockname()[1], server(), interface=LOCALHOST)
        assert door.m_hSocket == INVALID_SOCKET


def test_an_open_socket_can_not_have_another_connection() -> None:
    with reactorOf(SOME) as reactor:
        sock = listeningTLS(reactor)
        with pytest.raises(ValueError, match="is open"):
            connectTLS(sock, LOCALHOST, 443, client())
        with pytest.raises(ValueError, match="is open"):
            listenTLS(sock, 0, server())
        sock.Close()


def test_close_gives_the_attempt_up() -> None:
    """Before the handshake is done there is nothing to end in good order, and nothing to log."""
    with capturedLogs() as logged, reactorOf(SOME) as reactor, socket.create_server((LOCALHOST, 0)) as listener:
        near = Recorder()
        connectTLS(near, LOCALHOST, listener.getsockname()[1], client())

        def visit() -> bytes:
            peer, _ = listener.accept()
            with peer:
                peer.settimeout(LIMIT)
                hello.append(peer.recv(1, socket.MSG_PEEK))
                try:
                    while peer.recv(65536):
                        pass
                except ConnectionResetError:
                    return b"reset"
                return b"ended"

        hello: list[bytes] = []
        peer = Aside(visit)
        play(reactor, (lambda: hello, near.Close), (peer.ended, nothing))
        assert near.told == []
        assert lines(logged) == []
