"""
The protocol of a Twisted transport that carries the stream of a socket.

What arrives is kept until the socket receives it, and when nobody does the transport is paused; what is sent the
transport takes as long as it does not ask its producer to pause.  So what back-pressure is to each of the two it is to
the other.

What a transport can't do a socket over it can't either: there is no urgent data, and options are only remembered.
Where it can't end one direction alone, C{ShutDown} ends the connection when what was sent has gone.  One that knows
no producers may have something else instead (L{_flow}), an SSH channel also for its halves and for an abort.  One that
has nothing can't be paused, so that what nobody receives is kept without bounds, and does not say that it has enough:
it takes one C{Send} in each turn of the reactor.

Over TLS the connection is made when the handshake is done: C{OnConnect} and C{OnAccept} come then, and a handshake that
fails is a connection that was not made.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from enum import IntEnum
from typing import Any, Final, cast

from twisted.internet import error
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import (
    IDelayedCall,
    IHalfCloseableProtocol,
    IHandshakeListener,
    INegotiated,
    IPushProducer,
)
from twisted.internet.protocol import Protocol, connectionDone
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import alsoProvides, implementer

from twisted_casync import WSAError
from twisted_casync._conduit import failing
from twisted_casync._sockaddr import hostAndPort
from twisted_casync._stream import Stream

from ._flow import abortable, endsOf, flowOf
from ._losses import failedBy, lostBy, wordsOf

__all__ = ["HANDSHAKE", "Carrying", "nameOf", "reactorOr"]

_MOST: Final = 65536
"""How many bytes may wait to be received before the transport is paused."""
_FEW: Final = _MOST // 4
"""How many may still wait when it is resumed: not with each Receive of a program that is a little late."""
HANDSHAKE: Final = 30.0
"""How many seconds a handshake may take, unless it is said."""
_PARTING: Final = 60.0
"""
How many seconds a peer that was told of the end of a TLS connection may take to say the same: as long as Linux waits
for the other half of a TCP connection that nobody uses any more (tcp_fin_timeout, tcp(7)).
"""
_FINISHING: Final = ("loseWriteConnection", "closeStdin", "loseConnection")
"""What ends this side's stream: of a connection, of a child process, of what can only end as a whole."""


def nameOf(ask: Callable[[], Any]) -> Any:
    """
    The address of one end, as the socket module writes it; a string of an end that has none.

    @param ask: a transport's C{getHost} or C{getPeer}.
    """
    try:
        address = ask()
    except NotImplementedError:
        # As of a child process.
        return ""
    # Of an SSH channel: where its connection is.
    address = getattr(address, "address", address)
    host, port = getattr(address, "host", None), getattr(address, "port", None)
    if not isinstance(host, str) or not isinstance(port, int):
        name = getattr(address, "name", None)
        return name if isinstance(name, (str, bytes)) else ""
    return (host, port, address.flowInfo, address.scopeID) if hasattr(address, "flowInfo") else (host, port)


# Not one of a class: an event would refer to the protocol, for as long as somebody keeps the event.
_log = Logger("casync")


class _Life(IntEnum):
    """
    Where a transport is in its life.
    """

    WAITING = 0
    """It is not connected yet."""
    SHAKING = 1
    """It is, and TLS is not ready."""
    OPEN = 2
    LEFT = 3
    """Nobody uses the stream any more; what was sent may be on its way."""
    LOST = 4


# Names of the module: to get a member of an enumeration by its class is a call of Python's before 3.12.
_WAITING: Final = _Life.WAITING
_SHAKING: Final = _Life.SHAKING
_OPEN: Final = _Life.OPEN
_LEFT: Final = _Life.LEFT
_LOST: Final = _Life.LOST

_USED: Final = (_SHAKING, _OPEN)


@implementer(IHalfCloseableProtocol, IHandshakeListener, IPushProducer)
class Carrying(Protocol):
    """
    The protocol that carries a stream.

    @ivar stream: what a socket has instead of a descriptor.
    @ivar reason: how the connection has ended, or why it was not made; L{None} before.
    """

    # The first two are those that Twisted sets.
    __slots__ = (
        "connected",
        "transport",
        "_calling",
        "_flow",
        "_full",
        "_life",
        "_nextTurn",
        "_paused",
        "_produces",
        "_successor",
        "_timer",
        "patience",
        "reason",
        "stream",
    )

    def __init__(self, reactor: Any, patience: float = HANDSHAKE, stream: Stream | None = None) -> None:
        """
        @param reactor: the reactor of the transport; L{None} for the global one.
        @param patience: how many seconds the handshake of TLS may take.
        @param stream: a stream that is connected, which this one takes over with its own transport; L{None} for a new
            one.
        """
        self.connected = 0
        self.transport = None
        self.patience = patience
        self.stream = Stream(self, reactorOr(reactor)) if stream is None else stream
        self.reason: Failure | None = None
        # The transport is being called: what it calls back meanwhile is told later, not inside a member.
        self._calling = False
        # Who is paused, and pauses, for the transport.
        self._flow: Any = None
        # The transport has paused its producer, the socket; the socket has paused the transport.
        self._full = False
        self._nextTurn: IDelayedCall | None = None
        self._paused = False
        self._life: _Life = _WAITING
        self._produces = False
        # Who has taken the transport over.
        self._successor: Any = None
        # Gives the peer up: before TLS is ready, and after the stream was closed.
        self._timer: IDelayedCall | None = None

    # -- what the transport says

    def connectionMade(self) -> None:
        """
        The transport is connected: so is the stream.
        """
        self.stream.carrier = self
        wrapper = getattr(self.transport, "protocol", None)
        if getattr(wrapper, "_wrappedProtocol", None) is self:
            # Twisted's client endpoints put a protocol of their own before this one, and say of it only the last that
            # this one provides: with IHandshakeListener, that it knows no halves.
            alsoProvides(wrapper, IHalfCloseableProtocol)
        self._flow = flowOf(self.transport)
        ends = endsOf(self.transport, self._flow)
        if ends is not self.transport:
            ends.hear(self)
        if hasattr(self._flow, "registerProducer"):
            self._call("registerProducer", self, True, of=self._flow)
            self._produces = True
        if self._isTLS():
            self._life = _SHAKING
            beneath = cast(Any, self.transport)
            beneath.transport = abortable(beneath.transport)
            self._timer = self.stream.reactor.callLater(self.patience, self._late)
        else:
            self._begin()

    def handshakeCompleted(self) -> None:
        """
        TLS is ready: the stream is connected.
        """
        # Before Twisted 26 it says so also of a peer whose name it has just found to be the wrong one.
        if self._life is _SHAKING and not getattr(self.transport, "disconnecting", False):
            self._untime()
            self._begin()

    def _begin(self) -> None:
        self._life = _OPEN
        transport = cast(Any, self.transport)
        self.stream.connected(nameOf(transport.getHost), nameOf(transport.getPeer), not self._calling)
        self.made()

    def _late(self) -> None:
        """
        The handshake takes too long.
        """
        self._timer = None
        self.reason = Failure(error.TimeoutError(string=f"no handshake within {self.patience:g} seconds"))
        self._call("abortConnection")

    def _untime(self) -> None:
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def made(self) -> None:
        """
        The stream is connected: give it to whoever wants it.
        """

    def dataReceived(self, data: bytes) -> None:
        """
        Data for the socket.
        """
        if self._successor is not None:
            self._successor.dataReceived(data)
            return
        self.stream.feed(data, not self._calling)
        if self.stream.size >= _MOST and not self._paused:
            self._pause()

    def _pause(self) -> None:
        if self._life in _USED and hasattr(self._flow, "pauseProducing"):
            self._paused = True
            self._call("pauseProducing", of=self._flow)

    def _unpause(self) -> None:
        self._paused = False
        self._call("resumeProducing", of=self._flow)

    def readConnectionLost(self) -> None:
        """
        The peer's stream has ended.
        """
        if self._successor is not None:
            # TLS has no halves.
            cast(Any, self.transport).loseConnection()
            return
        self.stream.end(not self._calling)

    def writeConnectionLost(self) -> None:
        """
        This side's stream has ended, as C{ShutDown} asked.
        """

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        """
        The connection is over.
        """
        # What stands for a transport refers to its producer, this.
        flow, self._flow = self._flow, None
        ends = endsOf(self.transport, flow)
        if ends is not self.transport:
            reason = ends.release(reason)
        if self._successor is not None:
            self._successor.connectionLost(reason)
            return
        life, self._life, self._produces = self._life, _LOST, False
        self._produced()
        self._untime()
        self.reason = reason = self.reason or reason
        if life is _SHAKING:
            # The way to OpenSSL's error is nobody's, and refers to all that was on it.
            reason.cleanFailure()
            self._warn("no TLS with {peer}: {reason}", peer=self._peer(), reason=wordsOf(reason, self.transport))
            self.stream.lose(failedBy(reason), not self._calling)
            return
        if not reason.check(ConnectionClosed) and life is not _LEFT:
            why = wordsOf(reason, self.transport)
            self._warn("the connection with {peer} is lost: {reason}", peer=self._peer(), reason=why)
        self.stream.lose(lostBy(reason, self.transport), not self._calling)

    def _warn(self, text: str, **fields: Any) -> None:
        """
        Log what the peer has brought about.
        """
        _log.warn(text, **fields)

    def _peer(self) -> str:
        """
        @return: the peer, as a line of the log names it.
        """
        name = nameOf(cast(Any, self.transport).getPeer)
        return ":".join(map(str, hostAndPort(name))) if isinstance(name, tuple) else str(name)

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
        return 0 if self._full or self._life is not _OPEN else sys.maxsize

    def carry(self, data: bytes, urgent: bool) -> int:
        """
        Send.

        @return: how many bytes the transport takes: all or none.
        @raise OSError: C{WSAEOPNOTSUPP}, transports have no urgent data.
        """
        if self._full or self._life is not _OPEN:
            return 0
        if urgent:
            raise failing(WSAError.WSAEOPNOTSUPP)
        # What _call does, on the way of every message.
        outer, self._calling = self._calling, True
        try:
            self.transport.write(data)  # type: ignore[union-attr]  # open: there is one
        finally:
            self._calling = outer
        if not self._produces and self._life is _OPEN:
            # It never asks to wait: a program that sends as long as it can would never return.
            self._full = True
            self._nextTurn = self.stream.reactor.callLater(0, self.resumeProducing)
        return len(data)

    def taken(self) -> None:
        """
        The socket has received something.
        """
        if self._paused and self.stream.size <= _FEW and self._life in _USED:
            self._unpause()

    def finish(self) -> None:
        """
        End this side's stream.
        """
        if self._life is _OPEN:
            self._produced()
            ends = endsOf(self.transport, self._flow)
            # Of the transport itself: one that wraps another hands on what it has not, beneath TLS say.
            self._call(next(name for name in _FINISHING if hasattr(type(ends), name)), of=ends)

    def close(self, abort: bool) -> None:
        """
        Nobody uses the stream any more.  One that was not all received is aborted, as TCP does (RFC 2525, 2.17).
        """
        abort = abort or self.stream.size > 0
        if self._life not in _USED:
            return
        self._life = _LEFT
        self._untime()
        self._produced()
        if self._paused:
            # The end of a TLS connection is an exchange.
            self._unpause()
        ends = endsOf(self.transport, self._flow)
        if abort and hasattr(ends, "abortConnection"):
            self._call("abortConnection", of=ends)
            return
        self._call("loseConnection")
        if self._isTLS() and self._life is _LEFT:
            self._timer = self.stream.reactor.callLater(_PARTING, self._unanswered)

    def _unanswered(self) -> None:
        """
        The peer has not said that TLS ends: so end what is beneath, when what was sent has gone; else cut it off.
        """
        self._timer = self.stream.reactor.callLater(_PARTING, self._call, "abortConnection")
        cast(Any, self.transport).transport.loseConnection()

    def handOver(self, successor: Any) -> Any:
        """
        Leave the transport to another protocol, which is told from now on what this one was.

        @return: the transport.
        """
        self._produced()
        if self._paused:
            self._unpause()
        self._successor = successor
        return self.transport

    def _isTLS(self) -> bool:
        # By its class: what wraps TLS hands its interfaces on, and not its news.
        return bool(INegotiated.implementedBy(type(self.transport)))

    def _produced(self) -> None:
        """
        It sends nothing more.
        """
        if self._nextTurn is not None:
            self._nextTurn.cancel()
            self._nextTurn = None
        if self._produces:
            self._produces = False
            self._call("unregisterProducer", of=self._flow)

    def _call(self, method: str, *args: Any, of: Any = None) -> None:
        outer, self._calling = self._calling, True
        try:
            getattr(of or self.transport, method)(*args)
        finally:
            self._calling = outer


def reactorOr(reactor: Any) -> Any:
    """
    @return: C{reactor}; the global one where that is L{None}.
    """
    if reactor is not None:
        return reactor
    from twisted.internet import reactor as default

    return default
