"""
Who connects: the transport of a connection that is made from here, and the connector that is told how that ends.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet import error
from twisted.internet.abstract import isIPv6Address
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connector as _TwistedConnector
from twisted.logger import Logger
from twisted.python.failure import Failure

from twisted_casync import FD_CONNECT, GetLastError, WSAError, errnoFromError

from ._connection import Connection
from ._names import THIS_MACHINE, addressOf
from ._opening import bindingOf, familyOf, numeric, opened
from ._wire import READING, Life

__all__ = ["Client", "Connector"]

_CONNECTING: Final = int(FD_CONNECT) | READING

_FAILURES: Final[dict[WSAError, Any]] = {
    WSAError.WSAECONNREFUSED: error.ConnectionRefusedError,
    WSAError.WSAETIMEDOUT: error.TCPTimedOutError,
    WSAError.WSAENETUNREACH: error.NoRouteError,
    WSAError.WSAEHOSTUNREACH: error.NoRouteError,
}
_NO_ADDRESS: Final = (
    WSAError.WSAHOST_NOT_FOUND,
    WSAError.WSATRY_AGAIN,
    WSAError.WSANO_RECOVERY,
    WSAError.WSANO_DATA,
    # What is no address and can't be a name either.
    WSAError.WSAEINVAL,
)

_log = Logger("casync")


class Client(Connection):
    """
    The transport of a connection that is made from here.

    @ivar addr: whom it connects to, as it was asked to.
    @ivar connector: who asked.
    """

    __slots__ = ("addr", "connector")

    isClient = True

    def __init__(self, host: str, port: int, bindAddress: Any, connector: Any, reactor: Any) -> None:
        """
        Connect when the reactor comes round to it: a connector that is stopped before has sent nothing.
        """
        super().__init__(reactor)
        self.addr: Any = (host, port)
        self.connector = connector
        failure = self._open(bindAddress)
        reactor.callLater(0, *((self._connect,) if failure is None else (self.failIfNotConnected, failure)))

    def _open(self, bindAddress: Any) -> Exception | None:
        """
        @return: why there is no socket.
        """
        try:
            sock = opened(self.reactor, familyOf(self.addr[0]), None if bindAddress is None else bindingOf(bindAddress))
        except OSError as problem:
            return error.ConnectBindError(*problem.args[:2])
        if not self.Attach(sock, _CONNECTING):
            sock.close()
            return self._failure(GetLastError())
        self._selected = READING
        return None

    def _connect(self) -> None:
        if self._life is not Life.NEW:
            return
        self._life = Life.CONNECTING
        host, port = self.addr
        host = THIS_MACHINE.get(host, host)
        ipv6 = isIPv6Address(host)
        try:
            if port > 0xFFFF or (port < 0 and not ipv6):
                raise OverflowError("connect_ex(): port must be 0-65535.")
            # With its scope, which no member of a socket has room for.
            self.client = numeric(host, port) if ipv6 else None
        except (OSError, OverflowError) as problem:
            self.failIfNotConnected(problem)
            return
        to = (self.client,) if ipv6 else (host, port)
        if not self.Connect(*to) and GetLastError() is not WSAError.WSAEWOULDBLOCK:
            self.failIfNotConnected(self._failure(GetLastError()))

    def _failure(self, code: WSAError) -> Exception:
        """
        What Twisted calls a failure to connect.
        """
        if code in _NO_ADDRESS:
            return error.DNSLookupError(f"address {self.addr[0]!r} not found: {code.message}")
        if code is WSAError.WSAEADDRNOTAVAIL and not self.addr[1]:
            # Winsock knows that nobody is at port 0; Linux asks, and is refused.
            code = WSAError.WSAECONNREFUSED
        failure: Exception = _FAILURES.get(code, error.ConnectError)(errnoFromError(code), code.message.rstrip("."))
        return failure

    def OnConnect(self, nErrorCode: int) -> None:
        """
        The attempt has ended.
        """
        if nErrorCode:
            self._turn.during(self, self.failIfNotConnected, self._failure(WSAError(nErrorCode)))
        else:
            self._turn.during(self, self._connected)

    def _connected(self) -> None:
        # Not the system's getpeername(2), which a reset has made fail already.
        client = self.client or self.GetPeerNameEx()
        try:
            protocol = self.connector.buildProtocol(addressOf(client))
        except BaseException:
            _log.failure("The factory of {transport!r} failed; its connection is closed", transport=self)
            self.failIfNotConnected(error.ConnectError(string=Failure()))
            return
        self.begin(Protocol() if protocol is None else protocol, client, "client")
        if protocol is None:
            # The factory wants no connection to there.
            self.loseConnection()
        else:
            self._call(protocol.makeConnection, self)

    def failIfNotConnected(self, reason: Exception) -> None:
        """
        Give up connecting, and tell the connector why.

        @param reason: why.
        """
        if self._life is Life.NEW or self._life is Life.CONNECTING:
            self._life = Life.LOST
            self.Close()
            self.connector.connectionFailed(Failure(reason))

    def stopConnecting(self) -> None:
        """
        Give up connecting, because the application wants it.
        """
        self.failIfNotConnected(error.UserError())

    def lose(self, reason: Failure) -> None:
        """
        The connection is lost, or will never be made: the connector is told too.

        @param reason: why.
        """
        if self._life is Life.NEW:
            # The reactor stops before it has come round to it.
            self.Close()
        elif self._life is Life.CONNECTING:
            self.failIfNotConnected(error.ConnectError(string=reason))
        elif self._life is not Life.LOST:
            super().lose(reason)
            self._call(self.connector.connectionLost, reason)

    def __repr__(self) -> str:
        return f"<{type(self)} to {self.addr} at {id(self):x}>"


class Connector(_TwistedConnector):
    """
    Who connects a factory: Twisted's own, but for what it connects with.
    """

    def _makeTransport(self) -> Any:
        return Client(self.host, self.port, self.bindAddress, self, self.reactor)
