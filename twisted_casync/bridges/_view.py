"""
The view of a reactor whose TCP connections and UDP ports are C{CAsyncSocket}s.

Whatever takes a reactor takes the view of one: an application over it needs no other change.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6
from typing import Any

from zope.interface import Interface, alsoProvides, directlyProvides, providedBy

from twisted_casync._threads import checkedReactor, openSockets

from . import tcp, udp
from ._listening import Listener
from ._names import realReactor

__all__ = ["IReactorOverCAsyncSocket", "ReactorView", "overCAsyncSockets"]

_FAMILIES = (AF_INET, AF_INET6)
"""Whose streams and datagrams are C{CAsyncSocket}s."""
_READING = (tcp.Connection, Listener)
"""What can be among a view's readers and is none of the reactor's."""


class IReactorOverCAsyncSocket(Interface):
    """
    A reactor whose C{listenTCP}, C{connectTCP}, C{listenUDP} and their kin already are those of L{tcp} and L{udp}.
    """


class ReactorView:
    """
    A reactor as it is, but that its TCP connections and UDP ports are C{CAsyncSocket}s; wherever those are watched,
    they are among its readers and writers.  UNIX sockets, multicast, processes and all else are the reactor's own.
    """

    def __init__(self, reactor: Any) -> None:
        """
        @param reactor: a provider of C{IReactorFDSet}, or a C{MemoryNetwork} of L{twisted_casync.testing}.
        @raise TypeError: it can't watch descriptors.
        """
        self.__wrapped__ = checkedReactor(reactor)
        directlyProvides(self, providedBy(reactor))
        alsoProvides(self, IReactorOverCAsyncSocket)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    # -- IReactorTCP, IReactorSSL, IReactorUDP, IReactorSocket

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

    def listenSSL(self, port: Any, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = "") -> Any:
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

    def listenUDP(self, port: Any, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> Any:
        """
        L{udp.listenUDP}.
        """
        return udp.listenUDP(self, port, protocol, interface, maxPacketSize)

    def adoptStreamPort(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """
        L{tcp.adoptStreamPort}; of another family than IPv4 and IPv6 the reactor's own.
        """
        if addressFamily in _FAMILIES:
            return tcp.adoptStreamPort(self, fileDescriptor, addressFamily, factory)
        return self.__wrapped__.adoptStreamPort(fileDescriptor, addressFamily, factory)

    def adoptStreamConnection(self, fileDescriptor: int, addressFamily: int, factory: Any) -> Any:
        """
        L{tcp.adoptStreamConnection}; of another family than IPv4 and IPv6 the reactor's own.
        """
        if addressFamily in _FAMILIES:
            return tcp.adoptStreamConnection(self, fileDescriptor, addressFamily, factory)
        return self.__wrapped__.adoptStreamConnection(fileDescriptor, addressFamily, factory)

    def adoptDatagramPort(
        self, fileDescriptor: int, addressFamily: int, protocol: Any, maxPacketSize: int = 8192
    ) -> Any:
        """
        L{udp.adoptDatagramPort}; of another family than IPv4 and IPv6 the reactor's own.
        """
        if addressFamily in _FAMILIES:
            return udp.adoptDatagramPort(self, fileDescriptor, addressFamily, protocol, maxPacketSize)
        return self.__wrapped__.adoptDatagramPort(fileDescriptor, addressFamily, protocol, maxPacketSize)

    # -- IReactorFDSet

    def _sockets(self) -> list[Any]:
        """
        The open transports and ports of the reactor.
        """
        return [
            each
            for each in openSockets()
            if isinstance(each, _READING) and realReactor(each.reactor) is self.__wrapped__
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
        if isinstance(reader, _READING):
            reader.startReading()
        else:
            self.__wrapped__.addReader(reader)

    def removeReader(self, reader: Any) -> None:
        """
        Read no more from a descriptor; of a transport or a port: have it stop.
        """
        if isinstance(reader, _READING):
            reader.stopReading()
        else:
            self.__wrapped__.removeReader(reader)

    def addWriter(self, writer: Any) -> None:
        """
        Write to a descriptor; of a transport: have it send.
        """
        if isinstance(writer, tcp.Connection):
            writer.startWriting()
        else:
            self.__wrapped__.addWriter(writer)

    def removeWriter(self, writer: Any) -> None:
        """
        Write no more to a descriptor; of a transport: have it stop.
        """
        if isinstance(writer, tcp.Connection):
            writer.stopWriting()
        else:
            self.__wrapped__.removeWriter(writer)

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
    A reactor whose TCP connections and UDP ports are C{CAsyncSocket}s.

    @param reactor: any that can watch descriptors, or a C{MemoryNetwork} of L{twisted_casync.testing}.
    @return: a view of it; the reactor itself if they already are.
    @raise TypeError: it can't watch descriptors.
    """
    return reactor if IReactorOverCAsyncSocket.providedBy(reactor) else ReactorView(reactor)
