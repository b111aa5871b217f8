"""
A connection and its protocol: what the socket's handlers tell it, and how it ends.

What a protocol sees is what C{twisted.internet.tcp} shows it: the order of the calls, what C{loseConnection} waits for,
which error a connection ends with, what the log says whose line it is.
"""

from __future__ import annotations

from collections.abc import Callable
from enum import IntEnum
from socket import SHUT_RDWR
from typing import Any, Final

from twisted.internet import error
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.main import CONNECTION_DONE
from twisted.logger import Logger
from twisted.python.context import call as callInContext
from twisted.python.failure import Failure
from twisted.python.log import ILogContext

from twisted_casync import FD_CLOSE, FD_READ, FD_WRITE, SO_LINGER, SOCKET_ERROR, CAsyncSocket, GetLastError, WSAError
from twisted_casync._handle import whole

from ._names import prefixOf, realReactor
from ._turn import ROOM, Turn, turnOf

__all__ = ["DONE", "NOTHING", "READING", "Half", "Life", "Sending", "Wire"]

NOTHING: Final = 0
READING: Final = int(FD_READ | FD_CLOSE)
"""What a transport selects that reads, and nothing else."""
# A connection that was reset is not told of room to send any more, but of its loss.
_WRITING: Final = int(FD_WRITE | FD_CLOSE)

DONE: Final = Failure(CONNECTION_DONE)
"""The reason of most ends; one for all, as Twisted has one, for a Failure costs more than a call."""

_log = Logger("casync")


class Life(IntEnum):
    """
    Where a transport is in its life.
    """

    NEW = 0
    CONNECTING = 1
    OPEN = 2
    LOSING = 3
    """C{loseConnection} was called: what is buffered, and what a producer still gives, goes first."""
    ABORTING = 4
    """C{abortConnection} was called in this turn."""
    LOST = 5


class Sending(IntEnum):
    """
    What the buffer waits for.
    """

    IDLE = 0
    DUE = 1
    """The end of this turn."""
    BLOCKED = 2
    """C{OnSend}."""


class Half(IntEnum):
    """
    This side's half of the connection.
    """

    OPEN = 0
    FINISHING = 1
    """C{loseWriteConnection} was called: what is buffered goes first."""
    FINISHED = 2


class Wire(CAsyncSocket):
    """
    A connected stream socket that tells a protocol.

    @ivar reactor: the reactor that it was made through.
    @ivar protocol: whom it tells; L{None} before there is one, and when the connection is lost.
    @ivar client: the address of the peer, as the socket module writes it.
    @ivar logstr: what names it in a line of Twisted's log.
    @ivar producer: who is registered to write to it.
    @cvar bufferSize: how many bytes are received at most at a time, and may be buffered before a push producer is
        paused.
    """

    bufferSize = ROOM

    # __dict__ comes into being only for what somebody else keeps on a transport.
    __slots__ = (
        "__dict__",
        "_chunks",
        "_half",
        "_life",
        "_reading",
        "_selected",
        "_sending",
        "_size",
        "_turn",
        "client",
        "logstr",
        "producer",
        "protocol",
        "reactor",
    )

    def __init__(self, reactor: Any, turn: Turn | None = None) -> None:
        """
        @param reactor: a provider of C{IReactorFDSet} and C{IReactorTime}, or a view of one (L{_view}).
        @param turn: that of the port that accepts it, which gives it its reactor too; L{None} where none does.
        """
        if turn is None:
            real = realReactor(reactor)
            super().__init__(real)
            turn = turnOf(real)
        else:
            super().__init__()
        self.reactor = reactor
        self.protocol: Any = None
        self.client: Any = None
        self.logstr = "Uninitialized"
        self.producer: Any = None
        self._turn = turn
        self._life = Life.NEW
        self._half = Half.OPEN
        self._sending = Sending.IDLE
        self._reading = False
        self._selected = NOTHING
        # What was written and the kernel has not taken: the pieces, and how many bytes they are.
        self._chunks: list[bytes | memoryview] = []
        self._size = 0

    def begin(self, protocol: Any, client: Any, suffix: str) -> None:
        """
        The socket is connected: be the transport of C{protocol}, and read.

        @param client: the address of the peer, as the socket module writes it.
        @param suffix: what follows the protocol's own prefix in a line of the log.
        """
        self.logstr = f"{prefixOf(protocol)},{suffix}"
        # Only now: a protocol that can't say what it is called has no transport, and is told of no end.
        self.protocol = protocol
        self.client = client
        self._life = Life.OPEN
        self._reading = True
        if self._selected != READING:
            self._select()

    # -- the handlers

    def OnReceive(self, nErrorCode: int) -> None:
        """
        Data: hand what one C{Receive} gives to the protocol, and send what that has written.
        """
        turn = self._turn
        buffer = turn.buffer if self.bufferSize == ROOM else turn.room(self.bufferSize)
        count = self.Receive(buffer)
        if count > 0:
            turn.telling = True
            self._as_window.enough = True  # type: ignore[union-attr]  # it has received: there is one
            try:
                callInContext(
                    {ILogContext: {"isError": 0, "system": self.logstr}},
                    self.protocol.dataReceived,
                    buffer[:count].tobytes(),
                )
            except BaseException:
                self._failed()
            finally:
                turn.telling = False
            if turn.due:
                turn.conclude(self.reactor)
        elif count == SOCKET_ERROR and GetLastError() is not WSAError.WSAEWOULDBLOCK:
            turn.during(self, self._loseBy, GetLastError())
        # 0: the end of the stream, of which OnClose is to tell.

    def OnSend(self, nErrorCode: int) -> None:
        """
        There is room again: go on with what did not fit.
        """
        if self._sending is Sending.BLOCKED:
            self._sending = Sending.DUE
            self._turn.during(self, self.conclude)

    def OnClose(self, nErrorCode: int) -> None:
        """
        The end of the stream, or the loss of the connection.
        """
        if nErrorCode:
            self._turn.during(self, self._loseBy, WSAError(nErrorCode))
        elif self._reading:
            self._turn.during(self, self._ended)
        # Else nobody wants to know now; it is told again when reading is resumed.

    def _call(self, what: Callable[..., object], *args: Any) -> None:
        """
        Call the application.  An exception ends the connection, and is why it ended.
        """
        try:
            callInContext({ILogContext: {"isError": 0, "system": self.logstr}}, what, *args)
        except BaseException:
            self._failed()

    def _failed(self) -> None:
        _log.failure("The application of {transport!r} failed; its connection is closed", transport=self)
        self.lose(Failure())

    def _ended(self) -> None:
        half = IHalfCloseableProtocol(self.protocol, None)
        if half is None:
            self.lose(DONE)
        else:
            self._reading = False
            self._select()
            self._call(half.readConnectionLost)

    # -- the end

    @property
    def socket(self) -> Any:
        """
        The socket, as the socket module has it; L{None} when the connection is lost.
        """
        self._as_sock = whole(self._as_sock)
        return self._as_sock

    @property
    def connected(self) -> bool:
        """
        Whether there is a connection; also while it is being closed.
        """
        return Life.OPEN <= self._life < Life.LOST

    @property
    def disconnecting(self) -> bool:
        """
        Whether C{loseConnection} was called, and has not come to its end.
        """
        return self._life is Life.LOSING

    @property
    def disconnected(self) -> bool:
        """
        Whether the connection is lost.
        """
        return self._life is Life.LOST

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor has dropped this transport, or somebody wants it to be lost for a reason of theirs.

        @param reason: why.
        """
        if reason.check(error.ConnectionClosed):
            # The reactor's: what has really happened the socket knows.
            super().connectionLost(reason)
        else:
            self._turn.during(self, self.lose, reason)

    def _as_abandon(self, code: WSAError, told: bool) -> None:
        # The reactor stops.  Twisted closes its connections then, and does not reset them: what was sent arrives.
        self._turn.during(self, self._loseBy, code)

    def _loseBy(self, code: WSAError) -> None:
        self.lose(Failure(error.ConnectionLost(code.message)))

    def lose(self, reason: Failure) -> None:
        """
        The connection is lost: close the socket, and say so to the producer and the protocol, once.

        @param reason: why.
        """
        if self._life is Life.LOST:
            return
        aborting = self._life is Life.ABORTING
        self._life = Life.LOST
        self._reading, self._sending = False, Sending.IDLE
        self._chunks, self._size = [], 0
        producer, self.producer = self.producer, None
        protocol, self.protocol = self.protocol, None
        if producer is not None and producer is not self:
            # Its own producer, which it is to receive no faster than it sends, has ended with it.
            self._call(producer.stopProducing)
        if aborting and reason.check(error.ConnectionAborted):
            self.SetSockOpt(SO_LINGER, (1, 0))
        elif self._as_sock is not None:
            # So it ends also where another process has a copy of the descriptor.  Not ShutDown, which goes on watching.
            try:  # noqa: SIM105  # a context would be three calls for every connection
                self._as_sock.shutdown(SHUT_RDWR)
            except OSError:
                # It has ended already.
                pass
        self.Close()
        self._call(protocol.connectionLost, reason)

    def conclude(self) -> None:
        """
        The end of a turn, or room again: send what is buffered, and do what was to be done after that.
        """
        raise NotImplementedError

    # -- reading

    def startReading(self) -> None:
        """
        Tell the protocol what is received from now on.
        """
        if self._life is Life.OPEN or self._life is Life.LOSING:
            self._reading = True
            self._select()

    def stopReading(self) -> None:
        """
        Leave what is received to the system, which makes the peer wait when it has no room for more.
        """
        self._reading = False
        self._select()

    def isReading(self) -> bool:
        """
        @return: whether C{IReactorFDSet.getReaders} is to show it.
        """
        return self._reading

    def _select(self) -> None:
        """
        Select what is waited for.
        """
        selected = READING if self._reading else NOTHING
        if self._sending is Sending.BLOCKED:
            selected |= _WRITING
        if selected != self._selected:
            self._selected = selected
            self.AsyncSelect(selected)
