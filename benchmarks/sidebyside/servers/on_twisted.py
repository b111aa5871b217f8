"""Twisted's protocols over its own transports or over CAsyncSockets, on its epoll reactor or the casync reactor."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import epollreactor
from twisted.internet.interfaces import IPullProducer, ITCPTransport
from twisted.internet.protocol import DatagramProtocol, Protocol, ServerFactory
from twisted.internet.tcp import Connection
from zope.interface import implementer

from twisted_casync import SOCK_DGRAM, CAsyncSocket
from twisted_casync import reactor as casyncreactor
from twisted_casync.bridges import overCAsyncSockets, tcp

from . import BACKLOG, DATAGRAM_BUFFER, announce, noDelay, pattern

__all__ = ["serve"]


class Echo(Protocol):
    """Stops receiving while its peer doesn't."""

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.registerProducer(transport, True)

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Sink(Protocol):
    def dataReceived(self, data: bytes) -> None:
        pass


@implementer(IPullProducer)
class Source(Protocol):
    """Is asked for more whenever all was sent."""

    content: bytes

    def connectionMade(self) -> None:
        transport: Any = ITCPTransport(self.transport)
        self.write = transport.write
        transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        self.write(self.content)

    def stopProducing(self) -> None:
        pass


class Datagrams(DatagramProtocol):
    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        assert self.transport is not None
        self.transport.write(datagram, addr)


INSTALL: dict[str, Callable[[], None]] = {"epoll": epollreactor.install, "casync": casyncreactor.install}


def serve(service: str, buffer: int, option: str) -> None:
    """Serve one of the services.

    `option` is the name of the reactor; then "over" where the transports are CAsyncSockets.
    """
    name, _, over = option.partition(" ")
    INSTALL[name]()
    # One that nobody sends to, so that the casync reactor has sockets to look for among what is ready.
    idle = CAsyncSocket()
    if name == "casync" and not idle.Create(0, SOCK_DGRAM, lpszSocketAddress="127.0.0.1"):
        raise SystemExit("there is no socket to be had")
    from twisted.internet import reactor as installed

    reactor: Any = overCAsyncSockets(installed) if over else installed
    if service == "datagrams":
        port = reactor.listenUDP(0, Datagrams(), interface="127.0.0.1", maxPacketSize=buffer)
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
    else:
        kind = {"echo": Echo, "sink": Sink, "source": Source}[service]
        # What a transport receives at a time.
        Connection.bufferSize = tcp.Connection.bufferSize = buffer
        Source.content = bytes(pattern(buffer))
        factory = ServerFactory.forProtocol(kind)
        port = reactor.listenTCP(0, factory, backlog=BACKLOG, interface="127.0.0.1")
        noDelay(port.fileno())
    reactor.callWhenRunning(announce, port.getHost().port)
    reactor.run()
