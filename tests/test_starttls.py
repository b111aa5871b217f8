"""
TLS begun on a connection that is in use: over a descriptor, over a transport, by sockets whose calls wait.
"""

from __future__ import annotations

import errno
import socket
import ssl
from typing import Any

import pytest
from _reactors import LIMIT, Recorder, must, reactorOf, run
from _streams import LOCALHOST, listening, portOf, told
from _tls import Aside, client, lines, nothing, plainClient, play, server
from OpenSSL import SSL
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint, UNIXClientEndpoint, UNIXServerEndpoint
from twisted.logger import capturedLogs

from twisted_casync import SOCKET_ERROR, CAsyncSocket, CSocket, GetLastError, WSAError
from twisted_casync.bridges import connectOver, listenOver, reasonOf, transportOf
from twisted_casync.tls import clientOptions, startTLS

SOME = "epoll-window"


def connected(reactor: Any, beneath: str, near: Recorder, far: Recorder, tmp: Any) -> CAsyncSocket:
    """
    @param beneath: what carries the connection of C{near} and C{far}.
    @return: what has accepted it.
    """
    if beneath == "descriptor":
        door = listening(reactor, OnAccept=lambda sock: must(sock.Accept(far)))
        must(near.Create())
        near.Connect(LOCALHOST, portOf(door))
        return door
    door = Recorder(OnAccept=lambda sock: must(sock.Accept(far)))
    if beneath == "unix transport":
        path = str(tmp / "socket")
        listenOver(door, UNIXServerEndpoint(reactor, path), reactor=reactor)
        connectOver(near, UNIXClientEndpoint(reactor, path), reactor=reactor)
    else:
        listenOver(door, TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST), reactor=reactor)
        connectOver(near, TCP4ClientEndpoint(reactor, LOCALHOST, portOf(door)), reactor=reactor)
    return door


class Polite:
    """
    Both sides of a protocol in which the client asks for TLS.
    """

    def __init__(self, reactor: Any, beneath: str, tmp: Any, options: Any = None) -> None:
        self.handles: list[int] = []
        self.options = client() if options is None else options
        self.near = Recorder(reactor, OnConnect=self.ask, OnReceive=self.heard, OnSend=self.roomy)
        self.far = Recorder(reactor, OnReceive=self.asked)
        self.secure = False
        self.door = connected(reactor, beneath, self.near, self.far, tmp)

    def ask(self, sock: Recorder) -> None:
        must(sock.Send(b"STARTTLS\r\n"))

    def asked(self, sock: Recorder) -> None:
        sock.readAll()
        if sock.received == b"STARTTLS\r\n":
            must(sock.Send(b"go ahead\r\n"))
            startTLS(sock, server())
        elif sock.received.endswith(b"in confidence\r\n"):
            must(sock.Send(b"understood\r\n"))

    def heard(self, sock: Recorder) -> None:
        sock.readAll()
        if sock.received == b"go ahead\r\n":
            self.handles.append(sock.m_hSocket)
            startTLS(sock, self.options)
            self.secure = True
            self.handles.append(sock.m_hSocket)
            # Not in the clear, and not lost.
            assert sock.Send(b"too early") == SOCKET_ERROR and GetLastError() == WSAError.WSAEWOULDBLOCK
        elif sock.received.endswith(b"understood\r\n"):
            must(sock.ShutDown())

    def roomy(self, sock: Recorder) -> None:
        if self.secure:
            must(sock.Send(b"in confidence\r\n"))

    def close(self) -> None:
        for sock in (self.near, self.far, self.door):
            sock.Close()


@pytest.mark.parametrize(
    ("way", "beneath"),
    [
        *[(f"{name}-window", each) for name in ("epoll", "asyncio", "casync") for each in ("descriptor", "transport")],
        ("epoll-direct", "descriptor"),
        (SOME, "unix transport"),
    ],
)
def test_a_connection_goes_on_over_tls_with_the_same_handlers(way: str, beneath: str, tmp_path: Any) -> None:
    with reactorOf(way) as reactor:
        polite = Polite(reactor, beneath, tmp_path)
        near, far = polite.near, polite.far
        run(reactor, lambda: "OnClose" in near.names() and "OnClose" in far.names())
        assert near.told == told("OnConnect", "OnSend", "OnReceive", "OnSend", "OnReceive", "OnClose")
        assert far.received == b"STARTTLS\r\nin confidence\r\n"
        assert near.received == b"go ahead\r\nunderstood\r\n"
        polite.close()


def test_the_socket_has_another_handle_then() -> None:
    with reactorOf(SOME) as reactor:
        polite = Polite(reactor, "descriptor", None)
        run(reactor, lambda: len(polite.handles) == 2)
        before, after = polite.handles
        assert before != after and CAsyncSocket.FromHandle(before) is None
        polite.close()


@pytest.mark.parametrize("beneath", ["descriptor", "transport"])
def test_a_certificate_that_can_not_be_trusted_is_the_end(beneath: str) -> None:
    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        polite = Polite(reactor, beneath, None, clientOptions("localhost"))
        near = polite.near
        run(reactor, lambda: "OnClose" in near.names())
        assert near.told[-1] == ("OnClose", WSAError.WSAECONNABORTED)
        reason = reasonOf(near)
        assert reason is not None and isinstance(reason.value, SSL.Error)
        assert polite.far.received == b"STARTTLS\r\n"
        polite.close()
    assert any("certificate verify failed" in line for line in lines(logged))


def upgrading(reactor: Any, beneath: str) -> tuple[CSocket, Any, list[Any]]:
    """
    A server that receives a line, goes over to TLS, and receives another.

    @param beneath: C{"descriptor"} or C{"transport"}.
    @return: its connection, what it listens with, and the two lines; or instead of one why it does not come.
    """
    far = CSocket(reactor)
    got: list[Any] = []

    async def serve() -> None:
        got.append(await far.receiveLine())
        startTLS(far, server())
        got.append(await far.receiveLine())

    def accept(sock: Recorder) -> None:
        must(sock.Accept(far))
        Deferred.fromCoroutine(serve()).addErrback(got.append)

    if beneath == "descriptor":
        return far, listening(reactor, OnAccept=accept), got
    door = Recorder(OnAccept=accept)
    listenOver(door, TCP4ServerEndpoint(reactor, 0, interface=LOCALHOST), reactor=reactor)
    return far, door, got


@pytest.mark.parametrize("beneath", ["descriptor", "transport"])
def test_what_was_put_before_tls_is_not_taken_for_what_came_in_it(beneath: str) -> None:
    """CVE-2011-0411: a command behind STARTTLS, in the clear."""
    with capturedLogs() as logged, reactorOf(SOME) as reactor:
        far, door, got = upgrading(reactor, beneath)
        with socket.create_connection((LOCALHOST, portOf(door)), LIMIT) as peer:
            peer.sendall(b"STARTTLS\r\nMAIL FROM:<somebody else>\r\n")
            run(reactor, lambda: len(got) == 2)
        assert got[0] == b"STARTTLS\r\n"
        assert got[1].value.code is WSAError.WSAECONNABORTED
        far.Close()
        door.Close()
    assert any(line.startswith("no TLS with") for line in lines(logged))


@pytest.mark.parametrize("beneath", ["descriptor", "transport"])
def test_a_handshake_that_has_come_with_what_was_before_it_is_used(beneath: str) -> None:
    """A client that does not wait for the answer: what a CSocket has received ahead is TLS's."""
    with reactorOf(SOME) as reactor:
        far, door, got = upgrading(reactor, beneath)
        port = portOf(door)

        def visit() -> None:
            into, out = ssl.MemoryBIO(), ssl.MemoryBIO()
            tls = plainClient().wrap_bio(into, out, server_hostname="localhost")
            with socket.create_connection((LOCALHOST, port), LIMIT) as peer:
                beginning = b"STARTTLS\r\n"
                while True:
                    try:
                        tls.do_handshake()
                        break
                    except ssl.SSLWantReadError:
                        peer.sendall(beginning + out.read())
                        beginning = b""
                        into.write(peer.recv(65536))
                tls.write(b"in confidence\r\n")
                peer.sendall(out.read())
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass

        visitor = Aside(visit)
        play(reactor, (lambda: len(got) == 2, far.Close), (visitor.ended, nothing))
        assert got == [b"STARTTLS\r\n", b"in confidence\r\n"]
        door.Close()


def test_what_can_not_begin_is_refused_and_changes_nothing() -> None:
    with reactorOf(SOME) as reactor:
        lonely = Recorder()
        with pytest.raises(OSError, match="not connected"):
            startTLS(lonely, client())
        near, far = CSocket(reactor), Recorder(reactor)
        door = listening(reactor, OnAccept=lambda sock: must(sock.Accept(far)))
        must(near.Create())
        outcome: list[Any] = []

        async def ask() -> None:
            await near.Connect(LOCALHOST, portOf(door))
            waiting = near.Receive()
            try:
                startTLS(near, client())
            except OSError as error:
                outcome.append(error.errno)
            must(far.Send(b"in the clear"))
            outcome.append(await waiting)
            near.ShutDown()
            try:
                startTLS(near, client())
            except OSError as error:
                outcome.append(error.errno)
            outcome.append(transportOf(near))

        def begin() -> None:
            Deferred.fromCoroutine(ask()).addErrback(outcome.append)

        reactor.callWhenRunning(begin)
        run(reactor, lambda: len(outcome) == 4)
        assert outcome == [errno.EINPROGRESS, b"in the clear", errno.ESHUTDOWN, None]
        for sock in (near, far, door):
            sock.Close()
