"""
TLS beneath a C{CAsyncSocket}: the same handlers and the same rules, over a connection that is encrypted.

The TCP connection is a C{CAsyncSocket} too, the transport of Twisted's own TLS, which carries the stream of the socket.
C{OnConnect} and C{OnAccept} come when the handshake is done.  A connection that was ended as TLS asks for is
C{OnClose(0)}; one that was cut off, so that something may be missing, is C{OnClose(WSAECONNABORTED)} (RFC 8446, 6.1).

TLS ends both directions at once: after C{OnClose} nothing can be sent.  There is no urgent data.

This module needs pyOpenSSL and service-identity: C{pip install 'twisted_casync[tls]'}.
"""

from __future__ import annotations

from typing import Any, overload

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, TCP4ServerEndpoint
from twisted.internet.interfaces import IListeningPort, IProtocol, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from . import FD_ALL_EVENTS, CAsyncSocket, CSocket
from ._arguments import integer
from ._threads import reactorOf
from .bridges import connectOver, listenOver, overCAsyncSockets, transportOf

# First of what needs it: it says what is missing.
from .bridges._tlsoptions import File, Trust, clientOptions, isClients, serverOptions

# isort: split
from twisted.internet import ssl
from twisted.protocols.tls import TLSMemoryBIOFactory

from .bridges._carrying import HANDSHAKE
from .bridges._securing import startTLS

__all__ = [
    "File",
    "TLSEndpoint",
    "Trust",
    "clientOptions",
    "connectTLS",
    "listenTLS",
    "peerCertificate",
    "serverOptions",
    "startTLS",
]


@implementer(IStreamClientEndpoint, IStreamServerEndpoint)
class TLSEndpoint:
    """
    TLS over any endpoint of Twisted's, for L{connectOver} and L{listenOver}.
    """

    def __init__(self, endpoint: Any, options: Any, reactor: Any) -> None:
        """
        @param endpoint: what connects, or listens, beneath.
        @param options: what L{clientOptions} or L{serverOptions} give, or Twisted's own.
        @param reactor: a provider of C{IReactorTime}.
        """
        self._endpoint = endpoint
        self._options = options
        self._reactor = reactor

    def connect(self, protocolFactory: Any) -> Deferred[IProtocol]:
        """
        C{IStreamClientEndpoint.connect}.
        """
        over = TLSMemoryBIOFactory(self._options, True, protocolFactory, self._reactor)
        connecting: Deferred[Any] = self._endpoint.connect(over)
        return connecting.addCallback(lambda protocol: protocol.wrappedProtocol)

    def listen(self, protocolFactory: Any) -> Deferred[IListeningPort]:
        """
        C{IStreamServerEndpoint.listen}.
        """
        over = TLSMemoryBIOFactory(self._options, False, protocolFactory, self._reactor)
        listening: Deferred[IListeningPort] = self._endpoint.listen(over)
        return listening


@overload
def connectTLS(
    sock: CSocket, host: str, port: int, options: Any = ..., lEvent: int = ..., *, timeout: float = ...
) -> Deferred[bool]: ...


@overload
def connectTLS(
    sock: CAsyncSocket, host: str, port: int, options: Any = ..., lEvent: int = ..., *, timeout: float = ...
) -> Deferred[bool] | None: ...


def connectTLS(
    sock: CAsyncSocket,
    host: str,
    port: int,
    options: Any = None,
    lEvent: int = FD_ALL_EVENTS,
    *,
    timeout: float = HANDSHAKE,
) -> Deferred[bool] | None:
    """
    Connect over TLS, instead of C{Create} and C{Connect}.  C{OnConnect(0)} says that the handshake is done and the
    server is who it should be.  A certificate that can't be trusted is C{OnConnect(WSAECONNABORTED)}: a line of the log
    says what is wrong with it, and L{reasonOf} knows it until the socket is closed.

    @param sock: a closed socket, of the reactor's thread.
    @param host: a name, all of whose addresses are tried (RFC 8305), or an address.
    @param port: the server's port.
    @param options: what L{clientOptions} gives, or Twisted's C{optionsForClientTLS}; L{None} for
        C{clientOptions(host)}.
    @param lEvent: what to select.
    @param timeout: how many seconds the connection may take, and then the handshake: C{OnConnect(WSAETIMEDOUT)}.
    @return: of a C{CSocket} a Deferred, as C{CSocket.Connect} gives; else L{None}.
    @raise TypeError: C{options} are not a client's: a server's don't say who the server is to prove to be.
    @raise ValueError: the socket is open; C{host} can't be a name.
    @raise OSError: this is not the reactor's thread (C{WSANOTINITIALISED}).
    """
    reactor = reactorOf(sock._as_asked)
    if options is None:
        options = clientOptions(host)
    elif not isClients(options):
        raise TypeError(f"options must be a client's, as clientOptions({host!r}) gives, not {type(options).__name__}")
    where = HostnameEndpoint(overCAsyncSockets(reactor), host, integer(port, "port"), timeout)
    endpoint = TLSEndpoint(where, options, reactor)
    return connectOver(sock, endpoint, lEvent, reactor=reactor, handshake=timeout)


def listenTLS(
    sock: CAsyncSocket,
    port: int,
    options: Any,
    lEvent: int = FD_ALL_EVENTS,
    *,
    interface: str = "",
    backlog: int = 50,
    timeout: float = HANDSHAKE,
) -> None:
    """
    Listen for TLS, instead of C{Create} and C{Listen}.  C{OnAccept} says that a connection waits whose handshake is
    done; a handshake that fails is a line of the log.

    @param sock: a closed socket, of the reactor's thread.
    @param port: a port number; 0 for one that the system chooses, which C{GetSockName} tells.
    @param options: what L{serverOptions} gives, or Twisted's C{CertificateOptions}.
    @param lEvent: what to select, here and for what is accepted.
    @param interface: a numeric address, of IPv4 or IPv6; empty for all of IPv4.
    @param backlog: how many TCP connections may wait for their handshake to begin.
    @param timeout: how many seconds a handshake may take.  Who takes longer is cut off.
    @raise ValueError: the socket is open.
    @raise CannotListenError: it can't listen there.
    @raise OSError: this is not the reactor's thread (C{WSANOTINITIALISED}).
    """
    reactor = reactorOf(sock._as_asked)
    endpoint = TLSEndpoint(TCP4ServerEndpoint(overCAsyncSockets(reactor), port, backlog, interface), options, reactor)
    failures: list[Failure] = []
    # TCP listens at once, or fails.
    listenOver(sock, endpoint, lEvent, reactor=reactor, handshake=timeout).addErrback(failures.append)
    for failure in failures:
        failure.raiseException()


def peerCertificate(sock: CAsyncSocket) -> ssl.Certificate | None:
    """
    The certificate of the peer, which was verified.

    @param sock: a socket over TLS.
    @return: Twisted's C{Certificate}; L{None} where the peer has none, or there is no connection over TLS (any more).
    """
    transport = transportOf(sock)
    handle = transport.getHandle() if hasattr(transport, "getPeerCertificate") else None
    found = None if handle is None else transport.getPeerCertificate()
    return None if found is None else ssl.Certificate(found)
