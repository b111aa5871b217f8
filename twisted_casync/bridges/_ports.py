"""
Who listens: the port, and the transports of what it accepts.
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet import error
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.reflect import qual

from twisted_casync import FD_ACCEPT, CAsyncSocket, GetLastError, WSAError

from ._connection import Connection
from ._listening import Listener
from ._names import addressOf, realReactor
from ._opening import bindingOf, familyOf, opened
from ._reserve import reserve
from ._wire import READING

__all__ = ["Port", "Server"]

_LISTENING: Final = int(FD_ACCEPT) | READING
"""An accepted socket has its listener's mask: it need not select anything before it reads."""

_log = Logger("casync")


class Server(Connection):
    """
    The transport of a connection that was accepted, or adopted.

    @ivar server: the port that accepted it; L{None} where it was adopted.
    @ivar sessionno: its number among those.
    """

    __slots__ = ("_kind", "_portNumber", "server", "sessionno")

    def __init__(self, reactor: Any, server: Port | None, sessionno: int, portNumber: int | None) -> None:
        """
        @param portNumber: the local port.
        """
        super().__init__(reactor, None if server is None else server._turn)
        self.server = server
        self.sessionno = sessionno
        self._portNumber = portNumber
        self._kind = type(self).__name__
        self._selected = READING

    def serve(self, protocol: Any, client: Any, host: str) -> None:
        """
        The connection is there: tell a protocol.

        @param client: the address of the peer, as the socket module writes it.
        @param host: the peer's host, as the log is to show it.
        """
        self._kind = type(protocol).__name__
        self.begin(protocol, client, f"{self.sessionno},{host}")
        protocol.makeConnection(self)

    def giveUp(self, reason: Failure) -> None:
        """
        L{serve} has failed, and nobody is to go on with the connection.

        @param reason: why, for the protocol, if it has got so far as to be asked.
        """
        if self.protocol is None:
            self.Close()
        else:
            self.lose(reason)

    def __repr__(self) -> str:
        return f"<{self._kind} #{self.sessionno} on {self._portNumber}>"


class Port(Listener):
    """
    Who listens for a factory, and makes it a transport of each connection.

    @ivar factory: for whom it listens.
    @ivar backlog: how many connections may wait to be accepted.
    """

    selected = _LISTENING
    addressType = "TCP"

    def __init__(
        self, port: Any, factory: Any, backlog: int = 50, interface: str = "", reactor: Any = None, kind: str = "TCP"
    ) -> None:
        """
        @param port: a port, or what Twisted's C{makeBinding} makes.
        @param kind: what the log calls it.
        @raise ValueError: C{interface} is not the address of that binding.
        """
        if isinstance(port, int):
            binding = interface, port, True, False
        else:
            binding = bindingOf(port)
            if interface not in ("", binding[0]):
                raise ValueError(f"interface {interface!r} is not that of the binding, {binding[0]!r}")
        super().__init__(binding[1], binding[0], reactor, kind)
        self._binding = binding
        self.factory = factory
        self.backlog = backlog
        self.sessionno = 0

    def startListening(self) -> None:
        """
        Bind, and listen.

        @raise CannotListenError: it can't.
        """
        try:
            sock = opened(self.reactor, familyOf(self.interface), self._binding)
        except OSError as problem:
            raise error.CannotListenError(self.interface, self.port, problem) from None
        self.listenWith(sock)

    def listenWith(self, sock: Any) -> None:
        """
        Listen with a socket that is bound, and may be listening.

        @raise CannotListenError: it can't.
        """
        if not (self.Attach(sock, _LISTENING) and self.Listen(self.backlog)):
            failure = self._cannot(GetLastError())
            self.Close()
            sock.close()
            raise failure
        reserve.hold()
        self._begin(self.factory, self.factory.doStart)

    # -- the handlers

    def OnAccept(self, nErrorCode: int) -> None:
        """
        A connection: make a transport of it.  While more wait, this is called again.
        """
        self._turn.during(self, self._accept)

    def _accept(self) -> None:
        child = Server(self.reactor, self, self.sessionno, self._realPortNumber)
        client = self.Accept(child, True)
        if client is None:
            if GetLastError() is WSAError.WSAEMFILE:
                self._turnAway()
            return
        self.sessionno += 1
        try:
            address = addressOf(client)
            protocol = self.factory.buildProtocol(address)
            if protocol is None:
                child.Close()
            else:
                child.serve(protocol, client, address.host)
        except BaseException:
            _log.failure("A connection from {client} could not be served", client=client)
            if child.protocol is None:
                child.Close()

    def _turnAway(self) -> None:
        """
        There is no descriptor for a connection that waits: close all that do, one at a time.
        """
        number = self._realPortNumber
        if not reserve.isHeld():
            _log.error("No descriptor is left for a connection to port {port}; it has to wait", port=number)
            return
        turned = 0
        with reserve:
            visitor = CAsyncSocket(realReactor(self.reactor))
            while self.Accept(visitor):
                visitor.Close()
                turned += 1
        _log.error(
            "No descriptor was left for {turned} connections to port {port}; they were closed",
            turned=turned,
            port=number,
        )

    def _stop(self) -> None:
        self.factory.doStop()

    def logPrefix(self) -> str:
        """
        @return: what names it in a line of Twisted's log.
        """
        return qual(type(self.factory))

    def __repr__(self) -> str:
        where = self._realPortNumber if self.connected else "(not listening)"
        return f"<{type(self).__name__} of {type(self.factory).__name__} on {where}>"
