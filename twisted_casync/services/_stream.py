"""A listening stream socket that keeps account of its connections."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import LogLevel

from twisted_casync import LINGER, SO_LINGER, CAsyncSocket, GetLastError, WSAError
from twisted_casync._seldom import SeldomLog
from twisted_casync._where import nameOf
from twisted_casync.services._clock import clockOf
from twisted_casync.services._drain import Drain
from twisted_casync.services._limits import Limiter
from twisted_casync.services._speaking import logOf, serviceOf

__all__ = ["StreamConnection", "StreamListener"]

# Waiting connections that are still taken on stop: the length of Linux's queue (net.core.somaxconn), so that
# a flood of new ones does not keep the service from stopping.
_MOST_WAITING = 4096


class StreamConnection(CAsyncSocket):
    """One accepted connection. A subclass serves from the handlers, and counts what it receives and sends.

    @param listener: the StreamListener that it belongs to.
    @ivar peer: the name of the other end in the log.
    @ivar since: when it was accepted, in seconds as time.monotonic tells it.
    @ivar bytesIn: received so far; when the service stops, and for --idle-timeout, they tell traffic from silence.
    @ivar bytesOut: sent so far.
    """

    __slots__ = ("bytesIn", "bytesOut", "listener", "peer", "since")

    def __init__(self, listener: StreamListener) -> None:
        super().__init__(listener.reactor)
        self.listener = listener
        self.peer = ""
        self.since = 0.0
        self.bytesIn = 0
        self.bytesOut = 0

    def unfinished(self) -> bool:
        """Whether something is still to be sent; when the service stops, such a connection is waited for."""
        return False

    def wouldBlock(self) -> bool:
        """After a failed call: whether it only came too early. Any other error ends the connection."""
        error = GetLastError()
        if error == WSAError.WSAEWOULDBLOCK:
            return True
        self.end(error)
        return False

    def OnClose(self, nErrorCode: int) -> None:
        """The peer has ended its stream, or the connection is lost: so ends this side."""
        if nErrorCode == 0:
            self.finish()
        else:
            self.end(nErrorCode)

    def finish(self) -> None:
        """End the stream to the peer in good order, and close."""
        self.ShutDown(self.sends)
        self.end()

    def abort(self) -> None:
        """Close with a reset, so that the peer doesn't take a truncated answer for a whole one."""
        self.SetSockOpt(SO_LINGER, LINGER(1, 0))
        self.end(WSAError.WSAECONNABORTED)

    def limited(self, limit: str) -> None:
        """A limit has been met: the connection was accepted and is closed now, or it was idle and is ended.

        For a subclass that wants to know; nothing can be received or sent here.

        @param limit: the name of the option: "max-connections", "max-per-address" or "idle-timeout".
        """

    def end(self, nErrorCode: int = 0) -> None:
        """Close, log and forget; harmless when repeated.

        @param nErrorCode: 0, or the Winsock code of what ended the connection.
        """
        self.Close()
        self.listener.ended(self, nErrorCode)


class StreamListener(CAsyncSocket):
    """Accepts connections, logs their beginning and end, and lets them finish when the service stops.

    What it logs has fields for programs that read logs: event is "accepted", "closed" or "refused", service is where
    the connection's class is from, and peer, bytesIn, bytesOut, seconds and why (a Winsock code's name, or nothing)
    are what they say.

    @param makeConnection: called with this listener, returns a new StreamConnection without a socket. It may come to
        none: nobody may be waiting, or a limit be reached. So nothing is opened there.
    @param reactor: as CAsyncSocket's.
    @ivar connections: those that are open.
    @ivar service: as in the log.
    """

    def __init__(self, makeConnection: Callable[[Any], StreamConnection], reactor: Any = None) -> None:
        super().__init__(reactor)
        self.reactor = reactor
        self.connections: set[StreamConnection] = set()
        self._make = makeConnection
        self._log = logOf(makeConnection)
        self._seldom = SeldomLog(self._log, partial(clockOf, self))
        self.service = serviceOf(makeConnection)
        self._accepted = 0
        self._draining: Drain | None = None
        self._limiter: Limiter | None = None

    def OnAccept(self, nErrorCode: int) -> None:
        """Take one connection; Accept has the next one announced."""
        self.takeOne()

    def takeOne(self) -> bool:
        """Accept one waiting connection, or turn it away; returns False when there is none, or it can't be had."""
        connection = self._make(self)
        address = self.Accept(connection, True)
        if address is None:
            self._refused(GetLastError())
            return False
        self._accepted += 1
        connection.peer = self._nameOfPeer(address)
        if self._limiter is not None and not self._limiter.admit(connection, address, self.service):
            connection.Close()
            return True
        self.connections.add(connection)
        connection.since = time.monotonic()
        self._log.info("connected: {peer}", event="accepted", service=self.service, peer=connection.peer)
        return True

    def ended(self, connection: StreamConnection, nErrorCode: int) -> None:
        """A connection has closed itself; nErrorCode as in StreamConnection.end."""
        if connection not in self.connections:
            return
        self.connections.remove(connection)
        if self._limiter is not None:
            self._limiter.ended(connection)
        error = WSAError(nErrorCode)
        self._log.info(
            "closed: {peer} ({bytesIn} bytes in, {bytesOut} out{ending})",
            event="closed",
            service=self.service,
            peer=connection.peer,
            bytesIn=connection.bytesIn,
            bytesOut=connection.bytesOut,
            seconds=round(time.monotonic() - connection.since, 6),
            why=error.name if error else "",
            ending=f", {error}: {error.message}" if error else "",
        )
        self._quieten()
        if self._draining is not None:
            self._draining.ended()

    def warn(self, text: str, **fields: Any) -> None:
        """Log something that peers can bring about as often as they like: one line a second for each text.

        The first is logged at once. Of those that follow within a second the last one is, with the number of them
        behind it, and as `count`; what is left when listener and connections are closed, then.

        @param text: the same each time, in the format of twisted.logger; what differs is in the fields.
        @param fields: of the event.
        """
        self._seldom.say(text, **fields)
        self._quieten()

    def Close(self) -> None:
        """Listen no more; the connections stay."""
        super().Close()
        self._quieten()

    def keepTo(self, limiter: Limiter) -> None:
        """Keep to limits; see Limited in _limits.py. To be called before there are connections."""
        self._limiter = limiter

    def drain(self, clock: IReactorTime, grace: float) -> Deferred[None]:
        """Stop accepting and let the connections finish; see Draining in _service.py.

        Those that the kernel has accepted already are taken first: their peers believe that they are
        connected.
        """
        try:
            for _ in range(_MOST_WAITING):
                if not self.takeOne():
                    break
        except BaseException:
            self._log.failure("a connection that waited could not be served")
        self.Close()
        if self.connections:
            self._log.info("stopping, connections to finish: {count}", count=len(self.connections))
        self._draining = Drain(self.connections, clock, grace)
        return self._draining.done

    def _nameOfPeer(self, address: Any) -> str:
        if isinstance(address, tuple):
            return nameOf("tcp6" if len(address) > 2 else "tcp", address)
        # The client's end of a UNIX connection rarely has a name.
        return f"{nameOf('unix', address)} #{self._accepted}"

    def _quieten(self) -> None:
        if self.fileno() < 0 and not self.connections:
            self._seldom.stop()

    def _refused(self, error: WSAError) -> None:
        if error != WSAError.WSAEWOULDBLOCK:
            self._seldom.say(
                "cannot accept: {why}: {message}",
                LogLevel.error,
                event="refused",
                service=self.service,
                why=error.name,
                message=error.message,
            )
            self._quieten()
