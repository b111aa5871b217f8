"""
C{IReactorTCP} over C{CAsyncSocket}s: the reactor's methods of these names, with the reactor before the other arguments.

A reactor that has them as its methods runs every factory, endpoint and application of Twisted over C{CAsyncSocket}s;
L{bridges.overCAsyncSockets} makes a view of any reactor that does.
"""

from __future__ import annotations

from typing import Any

from twisted.internet.interfaces import IConnector
from twisted.python.failure import Failure

from twisted_casync import GetLastError

from ._clients import Client, Connector
from ._connection import Connection
from ._names import addressOf, problemOf
from ._opening import adopted
from ._ports import Port, Server
from ._wire import READING

__all__ = [
    "Client",
    "Connection",
    "Connector",
    "Port",
    "Server",
    "adoptStreamConnection",
    "adoptStreamPort",
    "connectSSL",
    "connectTCP",
    "listenSSL",
    "listenTCP",
]


def listenTCP(reactor: Any, port: Any, factory: Any, backlog: int = 50, interface: str = "", kind: str = "TCP") -> Port:
    """
    C{IReactorTCP.listenTCP}.

    @param port: a port number, 0 for one that the system chooses; or what Twisted's C{makeBinding} makes.
    @param backlog: how many connections may wait to be accepted.
    @param interface: a numeric address; empty for all of IPv4.
    @param kind: what the log calls it.
    @raise CannotListenError: it can't listen there.
    """
    listening = Port(port, factory, backlog, interface, reactor, kind)
    listening.startListening()
    return listening


def connectTCP(
    reactor: Any, host: str, port: Any, factory: Any, timeout: float = 30.0, bindAddress: Any = None
) -> IConnector:
    """
    C{IReactorTCP.connectTCP}.

    @param host: an address, or a name, all of whose IPv4 addresses are tried.
    @param port: a port number, or the name of a service.
    @param timeout: the seconds after which it is given up.
    @param bindAddress: a pair of a local address and port, or what Twisted's C{makeBinding} makes.
    @raise ServiceNameUnknownError: there is no such service.
    """
    connector = Connector(host, port, factory, timeout, bindAddress, reactor)
    connector.connect()
    return connector


def listenSSL(
    reactor: Any, port: Any, factory: Any, contextFactory: Any, backlog: int = 50, interface: str = ""
) -> Port:
    """
    C{IReactorSSL.listenSSL}, which needs pyOpenSSL.
    """
    from twisted.protocols.tls import TLSMemoryBIOFactory

    over = TLSMemoryBIOFactory(contextFactory, False, factory, reactor)
    return listenTCP(reactor, port, over, backlog, interface, "TLS")


def connectSSL(
    reactor: Any,
    host: str,
    port: Any,
    factory: Any,
    contextFactory: Any,
    timeout: float = 30.0,
    bindAddress: Any = None,
) -> IConnector:
    """
    C{IReactorSSL.connectSSL}, which needs pyOpenSSL.
    """
    from twisted.protocols.tls import TLSMemoryBIOFactory

    over = TLSMemoryBIOFactory(contextFactory, True, factory, reactor)
    return connectTCP(reactor, host, port, over, timeout, bindAddress)


def adoptStreamPort(reactor: Any, fileDescriptor: int, addressFamily: int, factory: Any) -> Port:
    """
    C{IReactorSocket.adoptStreamPort}, of IPv4 and IPv6.

    @param fileDescriptor: a listening socket, which stays its owner's: a duplicate of it is used.
    """
    sock = adopted(fileDescriptor, addressFamily)
    listening = Port(0, factory, interface=addressOf(sock.getsockname()).host, reactor=reactor)
    listening.listenWith(sock)
    return listening


def adoptStreamConnection(reactor: Any, fileDescriptor: int, addressFamily: int, factory: Any) -> Server | None:
    """
    C{IReactorSocket.adoptStreamConnection}, of IPv4 and IPv6.

    @param fileDescriptor: a connected socket, which stays its owner's: a duplicate of it is used.
    @return: the transport; L{None} when the factory wants none.
    @raise Exception: whatever the factory, or C{makeConnection}, has raised; the connection is lost then.
    """
    sock = adopted(fileDescriptor, addressFamily)
    try:
        client = sock.getpeername()
        address = addressOf(client)
        protocol = factory.buildProtocol(address)
        if protocol is None:
            sock.close()
            return None
        transport = Server(reactor, None, client[1], sock.getsockname()[1])
        if not transport.Attach(sock, READING):
            raise problemOf(GetLastError())
    except BaseException:
        sock.close()
        raise
    try:
        transport.serve(protocol, client, address.host)
    except BaseException:
        # The caller gets no transport, and so could never close it.
        transport.giveUp(Failure())
        raise
    return transport
