"""Twisted's protocols on its stock epoll reactor: over its own transports, or over CAsyncSockets."""

from __future__ import annotations

import importlib
import socket
from typing import Any

from twisted.internet import epollreactor
from twisted.internet.interfaces import IPullProducer, IPushProducer, ITCPTransport
from twisted.internet.protocol import DatagramProtocol, Protocol, ServerFactory
from zope.interface import implementer

from twisted_casync.endpoints import overCAsyncSockets

from . import BACKLOG, DATAGRAM_BUFFER, announce, noDelay, pattern

__all__ = ["serve"]


@implementer(IPushProducer)
class Echo(Protocol):
    """Stops receiving while its peer doesn't."""

    buffer: int

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.bufferSize = self.buffer
        transport.registerProducer(self, True)
        self.stopProducing = transport.stopProducing
        self.pauseProducing = transport.pauseProducing
        self.resumeProducing = transport.resumeProducing

    def dataReceived(self, data: bytes) -> None:
        assert self.transport is not None
        self.transport.write(data)


class Sink(Protocol):
    buffer: int

    def connectionMade(self) -> None:
        transport: Any = self.transport
        transport.bufferSize = self.buffer

    def dataReceived(self, data: bytes) -> None:
        pass


@implementer(IPullProducer)
class Source(Protocol):
    """Is asked for more whenever all was sent."""

    buffer: int
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


def serve(service: str, buffer: int, option: str = "") -> None:
    """Serve one of the services.

    `option` is "over" where the transports are CAsyncSockets; then "casync" where they are on that reactor.
    """
    if "casync" in option:
        importlib.import_module("twisted_casync.reactor").install()
    else:
        epollreactor.install()
    from twisted.internet import reactor as installed

    reactor: Any = overCAsyncSockets(installed) if option else installed
    if service == "datagrams":
        port = reactor.listenUDP(0, Datagrams(), interface="127.0.0.1", maxPacketSize=buffer)
        port.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, DATAGRAM_BUFFER)
    else:
        kind: Any = {"echo": Echo, "sink": Sink, "source": Source}[service]
        kind.buffer = buffer
        Source.content = bytes(pattern(buffer))
        factory = ServerFactory.forProtocol(kind)
        port = reactor.listenTCP(0, factory, backlog=BACKLOG, interface="127.0.0.1")
        noDelay(port.fileno())
    reactor.callWhenRunning(announce, port.getHost().port)
    reactor.run()
