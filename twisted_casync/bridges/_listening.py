"""
What every port is, of connections and of datagrams: it listens, it may be told to wait, it stops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError, ConnectionDone
from twisted.internet.interfaces import IListeningPort, ILoggingContext
from twisted.internet.task import deferLater
from twisted.python import log
from zope.interface import implementer

from twisted_casync import CAsyncSocket, WSAError

from ._names import addressOf, prefixOf, problemOf, realReactor
from ._turn import turnOf
from ._wire import Life

__all__ = ["Listener"]


@implementer(IListeningPort, ILoggingContext)
class Listener(CAsyncSocket):
    """
    Who listens.

    @ivar reactor: the reactor that it was made through.
    @ivar port: the port that was asked for; what an adopted socket has been asked for nobody knows.
    @ivar interface: the address that was asked for.
    @cvar selected: the events that it is told of while it reads.
    @cvar addressType: C{"TCP"} or C{"UDP"}, as an address has it.
    """

    selected: ClassVar[int]
    addressType: ClassVar[str]

    def __init__(self, port: Any, interface: str, reactor: Any, kind: str) -> None:
        """
        @param kind: what the log calls it.
        """
        real = realReactor(reactor)
        super().__init__(real)
        self.reactor = reactor
        self.port = port
        self.interface = interface
        self._kind = kind
        self._life = Life.NEW
        # Twisted's name, though private: there are tests, and programs, that look at it.
        self._realPortNumber: int | None = None
        self._turn = turnOf(real)
        self._reading = True

    def startListening(self) -> None:
        """
        Bind, and listen.

        @raise CannotListenError: it can't.
        """
        raise NotImplementedError

    def _begin(self, who: Any, start: Callable[[], object]) -> None:
        """
        The socket is there, bound, and selects: say so in the log, and tell for whom.

        @param who: for whom it listens.
        @param start: tells it.  When that fails nobody has this port, and nothing is left of it.
        """
        self._life, self._reading = Life.OPEN, True
        self._realPortNumber = self.socket.getsockname()[1]
        try:
            log.msg(f"{prefixOf(who)} starting on {self._realPortNumber}")
            start()
        except BaseException:
            self._life, self._reading = Life.LOST, False
            self.Close()
            raise

    def _stop(self) -> None:
        """
        It has stopped to listen: tell for whom it has.
        """
        raise NotImplementedError

    def _cannot(self, code: WSAError) -> CannotListenError:
        """
        @return: what to raise where it can't listen.
        """
        return CannotListenError(self.interface, self.port, problemOf(code))

    # -- the end

    def OnClose(self, nErrorCode: int) -> None:
        """
        The reactor stops.
        """
        self._closed()

    def stopListening(self) -> Deferred[None] | None:
        """
        Stop to listen.

        @return: a Deferred that fires when the port is free; L{None} when it does not listen.  To cancel it ends the
            waiting, and not the stopping.
        """
        if self.socket is None:
            return None
        self.stopReading()
        stopped: Deferred[None] = Deferred()
        deferLater(self.reactor, 0, self._closed).chainDeferred(stopped)
        return stopped

    loseConnection = stopListening

    def _closed(self) -> None:
        if self._life is Life.OPEN:
            self._life, self._reading = Life.LOST, False
            log.msg(f"({self._kind} Port {self._realPortNumber} Closed)")
            self._realPortNumber = None
            self.Close()
            self._stop()

    def connectionLost(self, reason: Any = None) -> None:
        """
        The reactor has dropped this port, or somebody wants it to be closed at once.

        @param reason: why, as far as anybody has said.
        """
        if reason is not None and reason.check(ConnectionDone):
            # A reactor's word for an error of the socket, which may be one of a datagram: what it was the socket knows.
            super().connectionLost(reason)
        else:
            self._closed()

    # -- reading

    def startReading(self) -> None:
        """
        Be told again.
        """
        self._reading = True
        self.AsyncSelect(self.selected)

    def stopReading(self) -> None:
        """
        Leave to the system what comes, for now.
        """
        self._reading = False
        self.AsyncSelect(0)

    def isReading(self) -> bool:
        """
        @return: whether C{IReactorFDSet.getReaders} is to show it.
        """
        return self._reading

    def isWriting(self) -> bool:
        """
        @return: whether C{IReactorFDSet.getWriters} is to show it.
        """
        return False

    # -- names

    @property
    def connected(self) -> bool:
        """
        Whether it listens.
        """
        return self._life is Life.OPEN

    @property
    def disconnected(self) -> bool:
        """
        Whether it has listened, and does no more.
        """
        return self._life is Life.LOST

    @property
    def socket(self) -> Any:
        """
        The socket, as the socket module has it; L{None} when it does not listen.
        """
        return self._as_sock

    def getHost(self) -> IPv4Address | IPv6Address:
        """
        @return: the address that it listens at.
        """
        return addressOf(self.socket.getsockname(), self.addressType)

    def logPrefix(self) -> str:
        """
        @return: what names it in a line of Twisted's log.
        """
        raise NotImplementedError
