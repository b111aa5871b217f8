"""
A C{CAsyncSocket} over a Twisted transport: an endpoint's, TLS's, an SSH channel's, a pipe's.

The protocol of the transport carries the stream of the socket.  What arrives is kept until the socket receives it, and
when nobody does the transport is paused; what is sent the transport takes as long as it does not ask its producer to
pause.  So what back-pressure is to each of the two it is to the other.

What a transport can't do a socket over it can't either: there is no urgent data, and options are only remembered.
Where it can't end one direction alone, C{ShutDown} ends the connection when what was sent has gone.  One that knows
nothing of producers, as an SSH channel, can't be paused, so that what nobody receives is kept without bounds, and does
not say that it has enough: it takes one C{Send} in each turn of the reactor.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, Final, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError, ConnectionClosed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHalfCloseableProtocol,
    IListeningPort,
    IProtocol,
    IPushProducer,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_casync import FD_ALL_EVENTS, INVALID_SOCKET, CAsyncSocket, GetLastError, WSAError, errnoFromError
from twisted_casync._stream import Backlog, Stream

from ._losses import failedBy, lostBy

__all__ = ["Carrying", "SocketProtocol", "connectOver", "listenOver", "reasonOf", "transportOf"]

_MOST: Final = 65536
"""How many bytes may wait to be received before the transport is paused."""
_FEW: Final = _MOST // 4
"""How many may still wait when it is resumed: not with each Receive of a program that is a little late."""
_FINISHING: Final = ("loseWriteConnection", "closeStdin", "loseConnection")
"""What ends this side's stream: of a connection, of a child process, of what can only end as a whole."""


def _nameOf(ask: Callable[[], Any]) -> Any:
    """
    The address of one end, as the socket module writes it; a string of an end that has none.

    @param ask: a transport's C{getHost} or C{getPeer}.
    """
    try:
        address = ask()
    except NotImplementedError:
        # As of a child process.
        return ""
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if not isinstance(host, str) or not isinstance(port, int):
        name = getattr(address, "name", None)
        return name if isinstance(name, (str, bytes)) else ""
    return (host, port, address.flowInfo, address.scopeID) if hasattr(address, "flowInfo") else (host, port)


@implementer(IHalfCloseableProtocol, IPushProducer)
class Carrying(Protocol):
    """
    The protocol that carries a stream.

    @ivar stream: what a socket has instead of a descriptor.
    @ivar reason: how the connection has ended, or why it was not made; L{None} before.
    """

    _log = Logger()

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: the reactor of the transport; L{None} for the global one.
        """
        self.stream = Stream(self, _reactorOr(reactor))
        self.reason: Failure | None = None
        # The transport is being called: what it calls back meanwhile is told later, not inside a member.
        self._calling = False
        # The transport has paused its producer, the socket; the socket has paused the transport.
        self._full = False
        self._nextTurn: IDelayedCall | None = None
        self._paused = False
        self._open = False
        self._produces = False

    # -- what the transport says

    def connectionMade(self) -> None:
        """
        The transport is connected: so is the stream.
        """
        self._open = True
        if hasattr(self.transport, "registerProducer"):
            self._call("registerProducer", self, True)
            self._produces = True
        transport = cast(Any, self.transport)
        self.stream.connected(_nameOf(transport.getHost), _nameOf(transport.getPeer), not self._calling)
        self.made()

    def made(self) -> None:
        """
        The stream is connected: give it to whoever wants it.
        """

    def dataReceived(self, data: bytes) -> None:
        """
        Data for the socket.
        """
        self.stream.feed(data, not self._calling)
        if self.stream.size >= _MOST and not self._paused and self._open and hasattr(self.transport, "pauseProducing"):
            self._paused = True
            self._call("pauseProducing")

    def readConnectionLost(self) -> None:
        """
        The peer's stream has ended.
        """
        self.stream.end(not self._calling)

    def writeConnectionLost(self) -> None:
        """
        This side's stream has ended, as C{ShutDown} asked.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is over.
        """
        self._open = self._produces = False
        self._produced()
        self.reason = reason
        if not reason.check(ConnectionClosed):
            self._log.warn("{socket} lost its connection: {reason}", socket=self, reason=reason.getErrorMessage())
        self.stream.lose(lostBy(reason, self.transport), not self._calling)

    # -- what the transport wants of its producer

    def pauseProducing(self) -> None:
        """
        The transport has enough: a C{Send} would block.
        """
        self._full = True

    def resumeProducing(self) -> None:
        """
        The transport takes more.
        """
        self._full = False
        self._nextTurn = None
        self.stream.roomy(not self._calling)

    def stopProducing(self) -> None:
        """
        The transport takes nothing more; that its connection is lost follows.
        """
        self._full = True

    # -- what the stream wants of its carrier

    def room(self) -> int:
        """
        @return: how many bytes a C{Send} can have taken.
        """
        # All of one Send, as Winsock takes it; what comes after it waits, if the transport has enough then.
        return 0 if self._full or not self._open else sys.maxsize

    def carry(self, data: bytes, urgent: bool) -> None:
        """
        Send.

        @raise OSError: C{WSAEOPNOTSUPP}, transports have no urgent data.
        """
        if urgent:
            raise OSError(errnoFromError(WSAError.WSAEOPNOTSUPP), WSAError.WSAEOPNOTSUPP.message)
        self._call("write", data)
        if not self._produces and self._open:
            # It never asks to wait: a program that sends as long as it can would never return.
            self._full = True
            self._nextTurn = self.stream.reactor.callLater(0, self.resumeProducing)

    def taken(self) -> None:
        """
        The socket has received something.
        """
        if self._paused and self.stream.size <= _FEW and self._open:
            self._paused = False
            self._call("resumeProducing")

    def finish(self) -> None:
        """
        End this side's stream.
        """
        if self._open:
            self._produced()
            # Of the transport itself: one that wraps another hands on what it has not, beneath TLS say.
            self._call(next(name for name in _FINISHING if hasattr(type(self.transport), name)))

    def close(self, abort: bool) -> None:
        """
        Nobody uses the stream any more.  One that was not all received is aborted, as TCP does (RFC 2525, 2.17).
        """
        abort = abort or self.stream.size > 0
        if not self._open:
            return
        self._produced()
        if self._paused:
            # The end of a TLS connection is an exchange.
            self._paused = False
            self._call("resumeProducing")
        self._call("abortConnection" if abort and hasattr(self.transport, "abortConnection") else "loseConnection")

    def _produced(self) -> None:
        """
        It sends nothing more.
        """
        if self._nextTurn is not None:
            self._nextTurn.cancel()
            self._nextTurn = None
        if self._produces:
            self._produces = False
            self._call("unregisterProducer")

    def _call(self, method: str, *args: Any) -> None:
        outer, self._calling = self._calling, True
        try:
            getattr(self.transport, method)(*args)
        finally:
            self._calling = outer


class SocketProtocol(Carrying):
    """
    The protocol of a transport that is a socket's.
    """

    def __init__(self, sock: CAsyncSocket, lEvent: int = FD_ALL_EVENTS, *, reactor: Any = None) -> None:
        """
        @param sock: a closed socket.  It is connected when the transport is, and has selected C{lEvent} then.
        @param reactor: the reactor of the transport; L{None} for the global one.
        @raise ValueError: the socket is open.
        """
        super().__init__(reactor)
        self._sock: CAsyncSocket | None = _closed(sock)
        self._lEvent = lEvent

    def made(self) -> None:
        """
        Attach the socket.
        """
        sock, self._sock = self._sock, None
        if sock is not None and not sock.Attach(self.stream, self._lEvent):
            self._log.error("{socket!r} can't be attached to its transport: {error}", socket=sock, error=GetLastError())
            self.close(True)


class _Connecting(Carrying):
    """
    The protocol of a connection that a socket waits for.
    """

    def __init__(self, sock: CAsyncSocket, lEvent: int, reactor: Any) -> None:
        super().__init__(reactor)
        self.waiting: Deferred[IProtocol] | None = None
        if not _closed(sock).Attach(self.stream, lEvent):
            raise OSError(errnoFromError(GetLastError()), GetLastError().message)

    def made(self) -> None:
        self.waiting = None

    def failed(self, reason: Failure) -> None:
        """
        There is no connection, and won't be.
        """
        self.waiting = None
        self.reason = reason
        code = failedBy(reason)
        if code is WSAError.WSAECONNABORTED and not reason.check(CancelledError, ConnectingCancelledError):
            self._log.warn("{socket} can't connect: {reason}", socket=self, reason=reason.getErrorMessage())
        self.stream.lose(code)

    def close(self, abort: bool) -> None:
        waiting, self.waiting = self.waiting, None
        if waiting is not None:
            waiting.cancel()
        super().close(abort)


class _Accepted(Carrying):
    """
    The protocol of a connection that waits to be accepted.
    """

    def __init__(self, backlog: Backlog) -> None:
        super().__init__(backlog.reactor)
        self._backlog = backlog

    def made(self) -> None:
        if not self._backlog.offer(self.stream, not self._calling):
            self._log.warn("no room for a connection to {name}: too many wait", name=self._backlog.getsockname())
            self.stream.close()


class _Accepting(Factory):
    """
    Makes the protocols of what a socket accepts.
    """

    noisy = False

    def __init__(self, backlog: Backlog) -> None:
        self._backlog = backlog

    def buildProtocol(self, addr: IAddress | None) -> Carrying:
        return _Accepted(self._backlog)


class _Once(Factory):
    """
    Hands out the protocol of a connection that is being made.
    """

    noisy = False

    def __init__(self, protocol: Carrying) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Carrying:
        return self._protocol


def connectOver(
    sock: CAsyncSocket, endpoint: IStreamClientEndpoint, lEvent: int = FD_ALL_EVENTS, *, reactor: Any = None
) -> None:
    """
    Connect a socket by a Twisted endpoint, instead of C{Create} and C{Connect}.  C{OnConnect} says how that ends, and
    until then the socket is connecting; C{Close} gives it up.

    @param sock: a closed socket.
    @param endpoint: where to, and over what.
    @param lEvent: what to select.
    @param reactor: the reactor of the endpoint; L{None} for the global one.
    @raise ValueError: the socket is open.
    @raise OSError: it can't be attached; this is not its thread (C{WSANOTINITIALISED}).
    """
    protocol = _Connecting(sock, lEvent, reactor)
    protocol.waiting = endpoint.connect(_Once(protocol))
    protocol.waiting.addErrback(protocol.failed)


def listenOver(
    sock: CAsyncSocket, endpoint: IStreamServerEndpoint, lEvent: int = FD_ALL_EVENTS, *, reactor: Any = None
) -> Deferred[IListeningPort]:
    """
    Listen with a socket at a Twisted endpoint, instead of C{Create} and C{Listen}.  C{OnAccept} says that a connection
    waits, and C{Accept} takes it; C{Close} stops listening.

    @param sock: a closed socket.
    @param endpoint: where, and over what.
    @param lEvent: what to select, here and for what is accepted.
    @param reactor: the reactor of the endpoint; L{None} for the global one.
    @return: a Deferred that fires with the port when the socket listens, and fails as the endpoint does.
    @raise ValueError: the socket is open.
    """
    _closed(sock)
    ports: list[IListeningPort] = []

    def closing() -> None:
        for port in ports:
            stopping = port.stopListening()
            if stopping is not None:
                stopping.addErrback(lambda reason: _log.failure("a port could not be closed", reason))

    backlog = Backlog(_reactorOr(reactor), "", closing)

    def listening(port: IListeningPort) -> IListeningPort:
        ports.append(port)
        backlog.named(_nameOf(port.getHost))
        if not sock.Attach(backlog, lEvent):
            closing()
            raise OSError(errnoFromError(GetLastError()), GetLastError().message)
        return port

    return endpoint.listen(_Accepting(backlog)).addCallback(listening)


_log = Logger()


def transportOf(sock: CAsyncSocket) -> Any:
    """
    The Twisted transport beneath a socket, to ask what only that knows (C{getPeerCertificate}, C{negotiatedProtocol}).

    @return: the transport; L{None} of a socket that has a descriptor, or nothing yet, or is closed.
    """
    carrier = _carrierOf(sock)
    return None if carrier is None else carrier.transport


def reasonOf(sock: CAsyncSocket) -> Failure | None:
    """
    How the connection beneath a socket has ended, or why it was not made, in Twisted's words: those say more than
    the code of C{OnClose} or C{OnConnect}, which what is called from there can look up here.

    @return: the reason; L{None} while there is none, of a socket that has a descriptor, or is closed.
    """
    carrier = _carrierOf(sock)
    return None if carrier is None else carrier.reason


def _carrierOf(sock: CAsyncSocket) -> Carrying | None:
    stream: Any = sock._as_sock
    carrier = stream.carrier if isinstance(stream, Stream) else None
    return carrier if isinstance(carrier, Carrying) else None


def _closed(sock: CAsyncSocket) -> CAsyncSocket:
    """
    @raise ValueError: it is open.
    """
    if sock.m_hSocket != INVALID_SOCKET:
        raise ValueError(f"{sock!r} is open: it can't be given another connection")
    return sock


def _reactorOr(reactor: Any) -> Any:
    if reactor is not None:
        return reactor
    from twisted.internet import reactor as default

    return default
