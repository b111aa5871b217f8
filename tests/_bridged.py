"""
Protocols that remember, over transports that are C{CAsyncSocket}s, and peers that are plain sockets.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from _reactors import LIMIT, reactorOf
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import ClientFactory, Protocol, ServerFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from twisted_casync.bridges import overCAsyncSockets

LOCALHOST = "127.0.0.1"


class Remembering(Protocol):
    """
    A protocol that remembers what it was told, and does in each what the test says.
    """

    transport: Any

    def __init__(self, **does: Callable[..., Any]) -> None:
        self.does = does
        self.told: list[str] = []
        self.received = b""
        self.reason: Failure | None = None

    def _tell(self, name: str, *args: Any) -> None:
        self.told.append(name)
        if name in self.does:
            self.does[name](self, *args)

    def connectionMade(self) -> None:
        self._tell("connectionMade")

    def dataReceived(self, data: bytes) -> None:
        self.received += data
        self._tell("dataReceived", data)

    def connectionLost(self, reason: Failure = Failure(Exception())) -> None:  # noqa: B008  # as Twisted has it
        self.reason = reason
        self._tell("connectionLost", reason)


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Remembering):
    """
    One that wants to know of the ends of the halves.
    """

    def readConnectionLost(self) -> None:
        self._tell("readConnectionLost")

    def writeConnectionLost(self) -> None:
        self._tell("writeConnectionLost")


class Connecting(ClientFactory):
    """
    A factory of one protocol, that remembers what its connector said.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.one = protocol
        self.failed: Failure | None = None
        self.lost: Failure | None = None

    def buildProtocol(self, addr: Any) -> Protocol:
        return self.one

    def clientConnectionFailed(self, connector: Any, reason: Failure) -> None:
        self.failed = reason

    def clientConnectionLost(self, connector: Any, reason: Failure) -> None:
        self.lost = reason


class Serving(ServerFactory):
    """
    A factory of one protocol.
    """

    def __init__(self, protocol: Protocol) -> None:
        self.one = protocol

    def buildProtocol(self, addr: Any) -> Protocol:
        return self.one


@contextmanager
def viewOf(way: str) -> Iterator[Any]:
    """
    The view of a reactor of its own; C{way} is one of L{_reactors.WAYS}.
    """
    with reactorOf(way) as reactor:
        yield overCAsyncSockets(reactor)


def served(view: Any, protocol: Protocol) -> socket.socket:
    """
    Have a protocol serve a connection.

    @return: the plain socket of its peer.
    """
    with socket.create_server((LOCALHOST, 0)) as listener:
        peer = socket.create_connection(listener.getsockname(), LIMIT)
        accepted, _ = listener.accept()
    with accepted:
        view.adoptStreamConnection(accepted.fileno(), accepted.family, Serving(protocol))
    return peer
