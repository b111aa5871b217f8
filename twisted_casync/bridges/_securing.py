"""
TLS on a connection that is in use: what STARTTLS asks for (RFC 3207 of SMTP, RFC 2595 of IMAP and POP3, and others).
"""

from __future__ import annotations

import socket
from threading import get_ident
from typing import Any, Final, cast

from twisted.internet.address import IPv4Address
from twisted.protocols.tls import TLSMemoryBIOFactory

from twisted_casync import CAsyncSocket, CSocket, GetLastError, WSAError
from twisted_casync._conduit import failing
from twisted_casync._notify import CONNECTED
from twisted_casync._stream import Stream
from twisted_casync._threads import reactorOf

from ._carrying import HANDSHAKE, Carrying
from ._overendpoints import Once
from ._overtransport import carrierOf
from ._tlsoptions import isClients
from ._view import overCAsyncSockets

__all__ = ["startTLS"]


_NOBODY: Final = cast(Any, None)
"""Who carries a stream that has no carrier yet."""


class _Secured(Carrying):
    """
    The protocol of a connection that goes on over TLS.
    """

    __slots__ = ()

    def made(self) -> None:
        # A Send has blocked until now.
        self.stream.roomy(not self._calling)

    def take(self, data: bytes) -> None:
        """
        Give TLS what was received before there was TLS.
        """
        if data:
            self._call("dataReceived", data)


def startTLS(
    sock: CAsyncSocket,
    options: Any,
    *,
    isClient: bool | None = None,
    received: bytes = b"",
    handshake: float = HANDSHAKE,
) -> None:
    """
    Go on over TLS with a connected socket, whatever carries it.

    From here on nothing goes or comes in the clear.  What has come and was not received yet is TLS's; so is what a
    C{CSocket} has received ahead, for somebody on the way may have put it there to be taken for what came encrypted
    (CVE-2011-0411).  During the handshake a C{Send} fails with C{WSAEWOULDBLOCK}; when it is done C{OnSend} is called.
    When it fails C{OnClose} is, with C{WSAECONNABORTED}, and L{reasonOf} knows why.

    The socket has another handle then, as after C{Detach} and C{Attach}, and a stream's options instead of a
    descriptor's.

    @param sock: the socket.
    @param options: how: what L{clientOptions} or L{serverOptions} give, or Twisted's own.
    @param isClient: whether this is the client of TLS; L{None}: it is with options that can be no server's.
    @param received: what the program has received already and is the beginning of TLS.
    @param handshake: how many seconds the handshake may take.
    @raise OSError: the socket is not connected (C{WSAENOTCONN}), or one of its streams has ended (C{WSAESHUTDOWN}); a
        call of a C{CSocket} waits (C{WSAEINPROGRESS}).  Nothing is changed then.
    """
    if isClient is None:
        isClient = isClients(options)
    _checkUsable(sock)
    reactor, selected = reactorOf(sock._as_asked), sock._as_rules.selected
    carrier = carrierOf(sock)
    plain = cast(Any, sock._as_sock)
    if carrier is None:
        stream = Stream(_NOBODY, reactor, plain.getsockname(), plain.getpeername())
    else:
        stream, reactor = carrier.stream, carrier.stream.reactor
    secured = _Secured(reactor, handshake, stream)
    factory = TLSMemoryBIOFactory(options, isClient, Once(secured), reactor)
    beginning = received
    if isinstance(sock, CSocket):
        beginning += bytes(sock._as_surplus)
        # With that it would not be detached.
        sock._as_surplus.clear()
    handle = sock.Detach()
    if carrier is None:
        _adopt(socket.socket(fileno=handle), factory, reactor, sock, selected)
    else:
        beginning += stream.withdraw()
        tls = factory.buildProtocol(IPv4Address("TCP", "", 0))
        tls.makeConnection(carrier.handOver(tls))
    _attach(sock, stream, selected)
    secured.take(beginning)


def _checkUsable(sock: CAsyncSocket) -> None:
    """
    @raise OSError: TLS can't begin on it.
    """
    if sock._as_phase is not CONNECTED:
        raise failing(WSAError.WSAENOTCONN)
    if get_ident() != sock._as_thread:
        raise failing(WSAError.WSANOTINITIALISED)
    if sock._as_ended or not sock._as_sending:
        raise failing(WSAError.WSAESHUTDOWN)
    if isinstance(sock, CSocket) and sock.IsBlocking():
        raise failing(WSAError.WSAEINPROGRESS)


def _adopt(plain: socket.socket, factory: Any, reactor: Any, sock: CAsyncSocket, selected: int) -> None:
    """
    Give a descriptor to a Twisted transport.
    """
    plain.setblocking(False)
    try:
        # It takes a duplicate.
        overCAsyncSockets(reactor).adoptStreamConnection(plain.fileno(), plain.family, factory)
    except OSError:
        _attach(sock, plain, selected)
        raise
    plain.close()


def _attach(sock: CAsyncSocket, to: Any, selected: int) -> None:
    if not CAsyncSocket.Attach(sock, to, selected):
        raise failing(GetLastError())
