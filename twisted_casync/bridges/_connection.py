"""
A Twisted transport over a C{CAsyncSocket}: what a protocol calls, in terms of what is ready.

A transport is a L{CAsyncSocket} whose handlers tell a protocol: C{OnReceive} receives and calls C{dataReceived},
C{OnSend} goes on with what did not fit, C{OnClose} is the end of the stream or the loss of the connection.  Whether it
reads is whether it has selected C{FD_READ}; so with C{AfxSocketInit(reactor, direct=True)} a transport that reads is
one of the reactor's readers, as Twisted's own are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from twisted.internet import error
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IConsumer,
    IHalfCloseableProtocol,
    ILoggingContext,
    IPushProducer,
    ISystemHandle,
    ITCPTransport,
    ITLSTransport,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_casync import FD_WRITE, IPPROTO_TCP, SO_KEEPALIVE, SOCKET_ERROR, TCP_NODELAY, GetLastError, WSAError

from ._names import addressOf
from ._starttls import startTLS
from ._turn import Turn
from ._wire import DONE, NOTHING, Half, Life, Sending, Wire

__all__ = ["Connection"]

_ROOM: Final = int(FD_WRITE)

_JOINED: Final = 128 * 1024
"""A piece of at least so many bytes is sent by itself: to join it with the next ones would cost more than a call."""
_ROUNDS: Final = 16
"""How often a pull producer is asked for more in one turn, while the system takes all that it gives."""

_FOR_NOW: Final = (WSAError.WSAEWOULDBLOCK, WSAError.WSAENOBUFS)
"""Why a Send may have taken nothing though the connection is well."""


@implementer(ITCPTransport, ITLSTransport, ISystemHandle, IConsumer, IPushProducer, ILoggingContext)
class Connection(Wire):
    """
    The transport of a protocol, over a connected stream socket.

    @ivar streamingProducer: whether the producer is a push producer.
    @ivar producerPaused: whether that was told to pause.
    @cvar isClient: whether the connection was made from here.
    """

    __slots__ = ("_tls", "producerPaused", "streamingProducer")

    isClient = False

    def __init__(self, reactor: Any, turn: Turn | None = None) -> None:
        """
        @param reactor: a provider of C{IReactorFDSet} and C{IReactorTime}, or a view of one (L{_view}).
        @param turn: as L{Wire} has it.
        """
        super().__init__(reactor, turn)
        self.streamingProducer = False
        self.producerPaused = False
        self._tls: Any = None

    # -- the end

    def loseConnection(self) -> None:
        """
        Close the connection when what was written is sent, and no producer is registered that has more.
        """
        if self._tls is not None:
            if self._life is Life.OPEN:
                self._tls.loseConnection()
        else:
            self.loseClear()

    def loseClear(self) -> None:
        """
        C{loseConnection}, beneath TLS.
        """
        if self._life is Life.OPEN:
            self._life = Life.LOSING
            self.stopReading()
            self.startWriting()

    def loseWriteConnection(self) -> None:
        """
        End this side's half of the connection when what was written is sent.
        """
        if self._half is Half.OPEN:
            self._half = Half.FINISHING
        self.startWriting()

    def abortConnection(self) -> None:
        """
        Reset the connection, in this turn but not inside this call; what was written and not sent is dropped.
        """
        if self._life is Life.OPEN or self._life is Life.LOSING:
            self._life = Life.ABORTING
            self._reading = False
            self.stopWriting()
            self.startWriting()

    # -- being a producer

    def resumeProducing(self) -> None:
        """
        C{startReading}, unless the connection is being closed.
        """
        if self._life is Life.OPEN:
            self.startReading()

    def pauseProducing(self) -> None:
        """
        C{stopReading}.
        """
        self.stopReading()

    def stopProducing(self) -> None:
        """
        C{loseConnection}.
        """
        self.loseConnection()

    # -- writing

    def write(self, data: bytes) -> None:
        """
        Send some bytes, as soon as the caller returns to the reactor and the peer has room.

        @raise TypeError: C{data} is not bytes.
        """
        if self._tls is not None:
            if self._life is not Life.LOST:
                self._tls.write(data)
        else:
            self.writeClear(data)

    def writeClear(self, data: bytes) -> None:
        """
        C{write}, beneath TLS.
        """
        if not isinstance(data, bytes):
            raise TypeError("Data must be bytes")
        if data:
            self._buffer((data,), len(data))

    def writeSequence(self, iovec: Iterable[bytes]) -> None:
        """
        Send some pieces, as one.

        @raise TypeError: one of them is not bytes; none is sent then.
        """
        if self._tls is not None:
            if self._life is not Life.LOST:
                self._tls.writeSequence(iovec)
        else:
            self.writeSequenceClear(iovec)

    def writeSequenceClear(self, iovec: Iterable[bytes]) -> None:
        """
        C{writeSequence}, beneath TLS.
        """
        pieces = [piece for piece in iovec if _checked(piece)]
        if pieces:
            self._buffer(pieces, sum(map(len, pieces)))

    def _buffer(self, pieces: Sequence[bytes], size: int) -> None:
        """
        @param size: how many bytes the pieces are.
        """
        if not (self._life is Life.OPEN or self._life is Life.LOSING) or self._half is Half.FINISHED:
            return
        self._chunks += pieces
        self._size += size
        if self._sending is Sending.IDLE:
            # As startWriting, of a connection that is known not to be lost.
            self._sending = Sending.DUE
            self._turn.add(self.reactor, self)
        if self.streamingProducer and self._size > self.bufferSize and not self.producerPaused and self.producer:
            self.producerPaused = True
            self.producer.pauseProducing()

    def startWriting(self) -> None:
        """
        Do at the end of this turn what there is to do: send, ask a producer for more, close.
        """
        if self._sending is Sending.IDLE and self._life is not Life.LOST:
            self._sending = Sending.DUE
            self._turn.add(self.reactor, self)

    def stopWriting(self) -> None:
        """
        Do not send what is buffered until C{startWriting}, or until more is written.
        """
        self._sending = Sending.IDLE
        self._select()

    def isWriting(self) -> bool:
        """
        @return: whether C{IReactorFDSet.getWriters} is to show it.
        """
        return self._sending is not Sending.IDLE

    def conclude(self) -> None:
        """
        The end of a turn, or room again: send what is buffered, and do what was to be done after that.
        """
        rounds = _ROUNDS
        while self._sending is Sending.DUE and self._life is not Life.LOST:
            if self._life is Life.ABORTING and self._turn.late:
                self.lose(Failure(error.ConnectionAborted()))
                return
            if self._life is Life.ABORTING or rounds == 0:
                # Others have their turn in between.
                self._turn.add(self.reactor, self)
                return
            rounds -= 1
            self._sending = Sending.IDLE
            if self._sent() and not self._afterSending():
                # A turn later, as _turn says.
                self.startWriting()
                return

    def _sent(self) -> bool:
        """
        Send what is buffered.

        @return: whether it was all sent.
        """
        chunks = self._chunks
        while chunks:
            piece = chunks[0]
            if len(chunks) > 1 and len(piece) < _JOINED:
                piece = b"".join(chunks)
                chunks[:] = [piece]
            count = self.Send(piece)
            if count == len(piece):
                del chunks[0]
                self._size -= count
                continue
            code = GetLastError() if count == SOCKET_ERROR else WSAError.WSAEWOULDBLOCK
            if code not in _FOR_NOW:
                self._loseBy(code)
                return False
            if count > 0:
                chunks[0] = memoryview(piece)[count:]
                self._size -= count
            self._sending = Sending.BLOCKED
            if code is WSAError.WSAENOBUFS:
                # No Send that would have blocked, but one to be tried again when there is room.
                self._selected = NOTHING
            if not self._selected & _ROOM:
                self._select()
            return False
        return True

    def _afterSending(self) -> bool:
        """
        All is sent: do what was to be done then.

        @return: whether that could be done in this turn.
        """
        producer = self.producer
        if producer is not None and (self.producerPaused or not self.streamingProducer):
            self.producerPaused = False
            self._call(producer.resumeProducing)
        elif self._life is not Life.LOSING and self._half is not Half.FINISHING:
            pass
        elif not self._turn.late:
            return False
        elif self._life is Life.LOSING:
            self.lose(DONE)
        else:
            self._half = Half.FINISHED
            self.ShutDown(self.sends)
            half = IHalfCloseableProtocol(self.protocol, None)
            if half is not None:
                self._call(half.writeConnectionLost)
        return True

    # -- who writes

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Have a producer write: a push producer until it is paused, a pull producer when it is asked.

        @raise RuntimeError: one is registered already.
        """
        if self._tls is not None:
            self._tls.registerProducer(producer, streaming)
        else:
            self.registerClearProducer(producer, streaming)

    def registerClearProducer(self, producer: Any, streaming: bool) -> None:
        """
        C{registerProducer}, beneath TLS.
        """
        if self.producer is not None:
            raise RuntimeError(
                f"Cannot register producer {producer}, because producer {self.producer} was never unregistered."
            )
        if self._life is Life.LOST:
            producer.stopProducing()
            return
        self.producer, self.streamingProducer, self.producerPaused = producer, streaming, False
        if not streaming:
            producer.resumeProducing()

    def unregisterProducer(self) -> None:
        """
        The producer has written all.
        """
        if self._tls is not None:
            self._tls.unregisterProducer()
        else:
            self.unregisterClearProducer()

    def unregisterClearProducer(self) -> None:
        """
        C{unregisterProducer}, beneath TLS.
        """
        self.producer = None
        if self._life is Life.LOSING or self._half is Half.FINISHING:
            self.startWriting()

    def stopConsuming(self) -> None:
        """
        C{unregisterProducer} and C{loseConnection}.
        """
        self.unregisterProducer()
        self.loseConnection()

    # -- names, options, TLS

    def getHandle(self) -> Any:
        """
        @return: the socket, as the socket module has it; the C{OpenSSL} connection after C{startTLS}.
        """
        return self.socket if self._tls is None else self._tls.getHandle()

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        @return: the address of this end.
        @raise ConnectionLost: the connection is lost, and with it its name.
        """
        if self._as_sock is None:
            raise error.ConnectionLost("the socket is closed")
        return addressOf(self._as_sock.getsockname())

    def getPeer(self) -> IPv4Address | IPv6Address:
        """
        @return: the address of the other end, also when the connection is lost.
        """
        return addressOf(self.client)

    def logPrefix(self) -> str:
        """
        @return: what names this transport in a line of Twisted's log: the protocol, and whose connection it is.
        """
        return self.logstr

    def getTcpNoDelay(self) -> bool:
        """
        @return: whether small pieces are sent without waiting for the acknowledgement of those before.
        """
        return bool(self.GetSockOpt(TCP_NODELAY, nLevel=IPPROTO_TCP))

    def setTcpNoDelay(self, enabled: bool) -> None:
        """
        @param enabled: send small pieces without waiting for the acknowledgement of those before.
        """
        self.SetSockOpt(TCP_NODELAY, bool(enabled), nLevel=IPPROTO_TCP)

    def getTcpKeepAlive(self) -> bool:
        """
        @return: whether the system probes an idle connection.
        """
        return bool(self.GetSockOpt(SO_KEEPALIVE))

    def setTcpKeepAlive(self, enabled: bool) -> None:
        """
        @param enabled: have the system probe an idle connection.
        """
        self.SetSockOpt(SO_KEEPALIVE, bool(enabled))

    @property
    def TLS(self) -> bool:
        """
        Whether C{startTLS} was called.
        """
        return self._tls is not None

    def startTLS(self, contextFactory: Any, normal: bool = True) -> None:
        """
        Go on over TLS, which needs pyOpenSSL.

        @param contextFactory: how, as C{ITLSTransport} says.
        @param normal: whether the client of the connection is the client of TLS.
        """
        self._tls = startTLS(self, contextFactory, normal)


def _checked(piece: bytes) -> bool:
    """
    @return: whether it is anything.
    @raise TypeError: it is not bytes.
    """
    if not isinstance(piece, bytes):
        raise TypeError("Data must be bytes")
    return bool(piece)
