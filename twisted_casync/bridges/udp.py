"""
C{IReactorUDP} over C{CAsyncSocket}s: the reactor's methods of these names, with the reactor before the other arguments.
"""

from __future__ import annotations

from socket import SOCK_DGRAM
from typing import Any

from ._datagrams import DatagramPort
from ._names import addressOf
from ._opening import adopted

__all__ = ["DatagramPort", "adoptDatagramPort", "listenUDP"]


def listenUDP(reactor: Any, port: int, protocol: Any, interface: str = "", maxPacketSize: int = 8192) -> DatagramPort:
    """
    C{IReactorUDP.listenUDP}.

    @param port: a port number, 0 for one that the system chooses.
    @param interface: a numeric address; empty for all of IPv4.
    @param maxPacketSize: how many bytes of a datagram are received at most.
    @raise CannotListenError: it can't listen there.
    @raise InvalidAddressError: C{interface} is not an address.
    """
    listening = DatagramPort(port, protocol, interface, maxPacketSize, reactor)
    listening.startListening()
    return listening


def adoptDatagramPort(
    reactor: Any, fileDescriptor: int, addressFamily: int, protocol: Any, maxPacketSize: int = 8192
) -> DatagramPort:
    """
    C{IReactorSocket.adoptDatagramPort}, of IPv4 and IPv6.

    @param fileDescriptor: a bound socket, which stays its owner's: a duplicate of it is used.
    @raise CannotListenError: it can't be used.
    @raise UnsupportedAddressFamily: it is neither IPv4 nor IPv6.
    """
    sock = adopted(fileDescriptor, addressFamily, SOCK_DGRAM)
    try:
        listening = DatagramPort(None, protocol, addressOf(sock.getsockname()).host, maxPacketSize, reactor)
    except BaseException:
        sock.close()
        raise
    listening.listenWith(sock)
    return listening
