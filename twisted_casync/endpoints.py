"""
Endpoints whose connections are C{CAsyncSocket}s, and the view of a reactor that makes all of its TCP so.

In a description C{casync:} stands before any other: C{casync:tcp:8080:interface=127.0.0.1},
C{casync:ssl:443:privateKey=key.pem}, C{casync:systemd:domain=INET:name=web}, C{haproxy:casync:tcp:8080}.  The rest is
Twisted's own description, of an endpoint that is given the view for its reactor; so all of them work, and whatever else
an endpoint does is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from socket import AF_INET, AF_INET6
from typing import Any

from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    clientFromString,
    quoteStringArgument,
    serverFromString,
)
from zope.interface import Interface, alsoProvides, directlyProvides, providedBy

from . import tcp
from ._names import realReactor
from ._threads import checkedReactor, openSockets
from .transport import Connection

__all__ = [
    "CAsyncSocketClientEndpoint",
    "CAsyncSocketServerEndpoint",
    "IReactorOverCAsyncSocket",
    "ReactorView",
    "overCAsyncSockets",
    "parseStreamClient",
    "parseStreamServer",
]


class IReactorOverCAsyncSocket(Interface):
    """
    A reactor whose C{listenTCP}, C{connectTCP} and their kin already are those of L{tcp}.
    """


class ReactorView:
    """
    A reactor as it is, but that its TCP connections are C{CAsyncSocket}s; wherever those are watched, they are among
    its readers and writers.  UNIX sockets, UDP, processes and all else are the reactor's own.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: a provider of C{IReactorFDSet}.
        @raise TypeError: it can't watch descriptors.
        """
        self.__wrapped__ = checkedReactor(reactor)
        directlyProvides(self, providedBy(reactor))
        alsoProvides(self, IReactorOverCAsyncSocket)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    # -- IReactorTCP, IReactorSSL, IReactorSocket

    def listenTCP(self, port: Any, factory: Any, backlog: int = 50, interface: str = "") -> Any:
        """
        L{tcp.listenTCP}.
        """
        return tcp.listenTCP(self, port, factory, backlog, interface)

    def connectTCP(self, host: str, port: Any, factory: Any, timeout: float = 30.0, bindAddress: Any = None) -> Any:
        """
        L{tcp.connectTCP}.
        """
        return tcp.connectTCP(self, host, port, factory, timeout, bindAddress)

    def listenSSL(
        self, port: Any, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
    ) -> Any:
        """
        L{tcp.listenSSL}.
        """
        return tcp.listenSSL(self, port, factory, contextFactory, backlog, interface)

    def connectSSL(
        self,
        host: str,
        port: Any,
        factory: Any,
        contextFactory: Any,
        timeout: float = 30.0,
        bindAddress: Any = None,
    ) -> Any:
        """
        L{tcp.connectSSL}.
        """
        return tcp.connectSSL(self, host, port, factory, contextFactory, timeout, bindAddress)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """
        L{tcp.adoptStreamPort}; of another family than IPv4 and IPv6 the reactor's own.
        """
        adopt = self._adopting(addressFamily, tcp.adoptStreamPort, self.__wrapped__.adoptStreamPort)
        return adopt(fileDescriptor, addressFamily, factory)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """
        L{tcp.adoptStreamConnection}; of another family than IPv4 and IPv6 the reactor's own.
        """
        adopt = self._adopting(addressFamily, tcp.adoptStreamConnection, self.__wrapped__.adoptStreamConnection)
        return adopt(fileDescriptor, addressFamily, factory)

    def _adopting(self, family: int, ours: Callable[..., Any], theirs: Callable[..., Any]) -> Callable[..., Any]:
        return (lambda *args: ours(self, *args)) if family in (AF_INET, AF_INET6) else theirs

    # -- IReactorFDSet

    def _sockets(self) -> list[Any]:
        """
        The open transports and ports of the reactor.
        """
        return [
            each
            for each in openSockets()
            if isinstance(each, (Connection, tcp.Port)) and realReactor(each.reactor) is self.__wrapped__
        ]

    def getReaders(self) -> list[Any]:
        """
        What the reactor reads from, and the transports that read and ports that accept.
        """
        readers: list[Any] = self.__wrapped__.getReaders()
        return readers + [each for each in self._sockets() if each.isReading() and each not in readers]

    def getWriters(self) -> list[Any]:
        """
        What the reactor writes to, and the transports that have something to send.
        """
        writers: list[Any] = self.__wrapped__.getWriters()
        return writers + [each for each in self._sockets() if each.isWriting() and each not in writers]

    def addReader(self, reader: Any) -> None:
        """
        Read from a descriptor; of a transport or a port: have it read.
        """
        reader.startReading() if isinstance(reader, (Connection, tcp.Port)) else self.__wrapped__.addReader(reader)

    def removeReader(self, reader: Any) -> None:
        """
        Read no more from a descriptor; of a transport or a port: have it stop.
        """
        reader.stopReading() if isinstance(reader, (Connection, tcp.Port)) else self.__wrapped__.removeReader(reader)

    def addWriter(self, writer: Any) -> None:
        """
        Write to a descriptor; of a transport: have it send.
        """
        writer.startWriting() if isinstance(writer, Connection) else self.__wrapped__.addWriter(writer)

    def removeWriter(self, writer: Any) -> None:
        """
        Write no more to a descriptor; of a transport: have it stop.
        """
        writer.stopWriting() if isinstance(writer, Connection) else self.__wrapped__.removeWriter(writer)

    def removeAll(self) -> list[Any]:
        """
        Stop all reading and writing.

        @return: what did.
        """
        stopped = [each for each in self._sockets() if each.isReading() or each.isWriting()]
        for each in stopped:
            self.removeReader(each)
            self.removeWriter(each)
        removed: list[Any] = self.__wrapped__.removeAll()
        return removed + [each for each in stopped if each not in removed]


def overCAsyncSockets(reactor: Any) -> Any:
    """
    A reactor whose TCP connections are C{CAsyncSocket}s.

    @param reactor: any that can watch descriptors.
    @return: a view of it; the reactor itself if its connections already are.
    @raise TypeError: it can't watch descriptors.
    """
    return reactor if IReactorOverCAsyncSocket.providedBy(reactor) else ReactorView(reactor)


class CAsyncSocketServerEndpoint(TCP4ServerEndpoint):
    """
    Listen with C{CAsyncSocket}s.
    """

    def __init__(self, reactor: Any, port: int, backlog: int = 50, interface: str = "") -> None:
        """
        @param reactor: any that can watch descriptors.
        @param port: a port number; 0 for one that the system chooses.
        @param backlog: how many connections may wait to be accepted.
        @param interface: a numeric address, of IPv4 or IPv6; empty for all of IPv4.
        """
        super().__init__(overCAsyncSockets(reactor), port, backlog, interface)  # type: ignore[no-untyped-call]


class CAsyncSocketClientEndpoint(TCP4ClientEndpoint):
    """
    Connect with a C{CAsyncSocket}.
    """

    def __init__(self, reactor: Any, host: str, port: int, timeout: float = 30, bindAddress: Any = None) -> None:
        """
        @param reactor: any that can watch descriptors.
        @param host: an address, of IPv4 or IPv6, or a name, all of whose IPv4 addresses are tried.
        @param port: a port number.
        @param timeout: the seconds after which it is given up.
        @param bindAddress: a pair of a local address and port, or what Twisted's C{makeBinding} makes.
        """
        super().__init__(overCAsyncSockets(reactor), host, port, timeout, bindAddress)


def _description(args: tuple[str, ...], kwargs: Mapping[str, str]) -> str:
    """
    The description that was taken apart into these.
    """
    named = [f"{quoteStringArgument(name)}={quoteStringArgument(value)}" for name, value in kwargs.items()]
    return ":".join([*map(quoteStringArgument, args), *named])


def parseStreamServer(reactor: Any, *args: str, **kwargs: str) -> Any:
    """
    What C{casync:} and a server description mean.

    @param args: the description's arguments without a name, after C{casync:}.
    @param kwargs: those with one.
    @return: the endpoint.
    @raise ValueError: there is no such description.
    """
    return serverFromString(overCAsyncSockets(reactor), _description(args, kwargs))


def parseStreamClient(reactor: Any, *args: str, **kwargs: str) -> Any:
    """
    What C{casync:} and a client description mean; the parameters are those of L{parseStreamServer}.
    """
    return clientFromString(overCAsyncSockets(reactor), _description(args, kwargs))
