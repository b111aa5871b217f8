"""
What Twisted calls things: an address, whose line of the log it is, the reactor behind a view.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import ILoggingContext

__all__ = ["addressOf", "prefixOf", "realReactor"]


def addressOf(name: Any) -> IPv4Address | IPv6Address:
    """
    The Twisted address of a name as the socket module writes it.
    """
    if len(name) == 2:
        return IPv4Address("TCP", *name)
    host, port, flow, scope = name
    if scope and "%" not in host:
        host = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return IPv6Address("TCP", host, port, flow, scope)


def prefixOf(who: Any) -> str:
    """
    What names a protocol, or a factory, in a line of the log.
    """
    if ILoggingContext.providedBy(who):
        return str(who.logPrefix())
    return type(who).__name__


def realReactor(reactor: Any) -> Any:
    """
    @return: the reactor itself, of which C{reactor} may be a view.
    """
    return getattr(reactor, "__wrapped__", reactor)
