"""
Endpoints instead of C{Connect} and C{Listen}: what connects a socket to where a Twisted endpoint leads, and what has it
listen there.
"""

from __future__ import annotations

from typing import Any, overload

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectingCancelledError
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocol,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_casync import FD_ALL_EVENTS, CAsyncSocket, CSocket, GetLastError, WSAError, errnoFromError
from twisted_casync._notify import CONNECT
from twisted_casync._seldom import SeldomLog
from twisted_casync._stream import Backlog

from ._carrying import HANDSHAKE, Carrying, nameOf, reactorOr
from ._losses import failedBy
from ._overtransport import checkedClosed

__all__ = ["Once", "connectOver", "listenOver"]

_log = Logger("casync")


class _Connecting(Carrying):
    """
    The protocol of a connection that a socket waits for.
    """

    __slots__ = ("waiting",)

    def __init__(self, sock: CAsyncSocket, lEvent: int, reactor: Any, patience: float) -> None:
        super().__init__(reactor, patience)
        self.waiting: Deferred[IProtocol] | None = None
        if not CAsyncSocket.Attach(checkedClosed(sock), self.stream, lEvent):
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
            _log.warn("there is no connection: {why}", why=reason.getErrorMessage())
        self.stream.lose(code)

    def close(self, abort: bool) -> None:
        waiting, self.waiting = self.waiting, None
        # In the handlers that a new connection calls the endpoint has nothing left to cancel, and not said so yet.
        if waiting is not None and not self.connected:
            waiting.cancel()
        super().close(abort)


class _Accepted(Carrying):
    """
    The protocol of a connection that waits to be accepted.
    """

    __slots__ = ("_accepting", "_backlog")

    def __init__(self, backlog: Backlog, patience: float, accepting: _Accepting) -> None:
        super().__init__(backlog.reactor, patience)
        self._backlog = backlog
        self._accepting = accepting

    def made(self) -> None:
        if not self._backlog.offer(self.stream, not self._calling):
            self._warn("a connection to {name} is turned away: too many wait", name=self._backlog.getsockname())
            self.stream.close()

    def _warn(self, text: str, **fields: Any) -> None:
        self._accepting.warn(text, **fields)


class _Accepting(Factory):
    """
    Makes the protocols of what a socket accepts.
    """

    noisy = False

    def __init__(self, backlog: Backlog, patience: float) -> None:
        self._backlog, self._patience = backlog, patience
        # Strangers come here, as often as they like.
        self._seldom: SeldomLog | None = SeldomLog(_log, lambda: backlog.reactor)

    def logPrefix(self) -> str:
        return CAsyncSocket.__name__

    def buildProtocol(self, addr: IAddress | None) -> Carrying:
        return _Accepted(self._backlog, self._patience, self)

    def stop(self) -> None:
        """
        No more connections come; those whose handshakes are not done yet may.
        """
        seldom, self._seldom = self._seldom, None
        if seldom is not None:
            seldom.stop()

    def warn(self, text: str, **fields: Any) -> None:
        """
        Log what a stranger has brought about.
        """
        if self._seldom is not None:
            self._seldom.say(text, **fields)
        else:
            # The last few; nothing is to be left in the reactor for them.
            _log.warn(text, **fields)


class Once(Factory):
    """
    Hands out the protocol of one connection.
    """

    noisy = False

    def __init__(self, protocol: Carrying) -> None:
        """
        @param protocol: which.
        """
        self._protocol = protocol

    def buildProtocol(self, addr: IAddress | None) -> Carrying:
        """
        @return: that protocol.
        """
        return self._protocol


def _checkEndpoint(endpoint: object, method: str, maker: str) -> None:
    """
    @raise TypeError: it is no endpoint, but its description, say.
    """
    if not hasattr(endpoint, method):
        raise TypeError(
            f"endpoint must be one that can {method}, not {endpoint!r}; "
            f"twisted.internet.endpoints.{maker} makes one of a description"
        )


@overload
def connectOver(
    sock: CSocket,
    endpoint: IStreamClientEndpoint,
    lEvent: int = ...,
    *,
    reactor: Any = ...,
    handshake: float = ...,
) -> Deferred[bool]: ...


@overload
def connectOver(
    sock: CAsyncSocket,
    endpoint: IStreamClientEndpoint,
    lEvent: int = ...,
    *,
    reactor: Any = ...,
    handshake: float = ...,
) -> Deferred[bool] | None: ...


def connectOver(
    sock: CAsyncSocket,
    endpoint: IStreamClientEndpoint,
    lEvent: int = FD_ALL_EVENTS,
    *,
    reactor: Any = None,
    handshake: float = HANDSHAKE,
) -> Deferred[bool] | None:
    """
    Connect a socket by a Twisted endpoint, instead of C{Create} and C{Connect}.  C{OnConnect} says how that ends, and
    until then the socket is connecting; C{Close} gives it up.

    @param sock: a closed socket.
    @param endpoint: where to, and over what.
    @param lEvent: what to select.
    @param reactor: the reactor of the endpoint; L{None} for the global one.
    @param handshake: how many seconds the handshake may take, where the endpoint leads through TLS.
    @return: of a C{CSocket} a Deferred, as C{CSocket.Connect} gives; else L{None}.
    @raise TypeError: C{endpoint} is none.
    @raise ValueError: the socket is open.
    @raise OSError: it can't be attached; this is not its thread (C{WSANOTINITIALISED}).
    """
    _checkEndpoint(endpoint, "connect", "clientFromString")
    protocol = _Connecting(sock, lEvent, reactor, handshake)
    connected = sock._as_wait(CONNECT, sock._as_connected) if isinstance(sock, CSocket) else None
    protocol.waiting = endpoint.connect(Once(protocol))
    protocol.waiting.addErrback(protocol.failed)
    return connected


def listenOver(
    sock: CAsyncSocket,
    endpoint: IStreamServerEndpoint,
    lEvent: int = FD_ALL_EVENTS,
    *,
    reactor: Any = None,
    handshake: float = HANDSHAKE,
) -> Deferred[IListeningPort]:
    """
    Listen with a socket at a Twisted endpoint, instead of C{Create} and C{Listen}.  C{OnAccept} says that a connection
    waits, and C{Accept} takes it; C{Close} stops listening.

    @param sock: a closed socket.
    @param endpoint: where, and over what.
    @param lEvent: what to select, here and for what is accepted.
    @param reactor: the reactor of the endpoint; L{None} for the global one.
    @param handshake: how many seconds a handshake may take, where the endpoint's connections are TLS.  Who takes longer
        is cut off, and never waits to be accepted.
    @return: a Deferred that fires with the port when the socket listens, and fails as the endpoint does.
    @raise TypeError: C{endpoint} is none.
    @raise ValueError: the socket is open.
    """
    _checkEndpoint(endpoint, "listen", "serverFromString")
    checkedClosed(sock)
    ports: list[IListeningPort] = []

    def closing() -> None:
        accepting.stop()
        for port in ports:
            stopping = port.stopListening()
            if stopping is not None:
                stopping.addErrback(lambda reason: _log.failure("a port could not be closed", reason))

    backlog = Backlog(reactorOr(reactor), "", closing)
    accepting = _Accepting(backlog, handshake)

    def listening(port: IListeningPort) -> IListeningPort:
        ports.append(port)
        backlog.named(nameOf(port.getHost))
        if not CAsyncSocket.Attach(sock, backlog, lEvent):
            closing()
            raise OSError(errnoFromError(GetLastError()), GetLastError().message)
        return port

    return endpoint.listen(accepting).addCallback(listening)
