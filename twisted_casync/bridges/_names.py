"""
What Twisted calls things: an address, an error, whose line of the log it is, the reactor behind a view.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import ILoggingContext

from twisted_casync import WSAError, errnoFromError

__all__ = ["THIS_MACHINE", "addressOf", "prefixOf", "problemOf", "realReactor"]

THIS_MACHINE: Final = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where Linux goes to when it is told to go to zeros, which Winsock refuses."""


def addressOf(name: Any, kind: Any = "TCP") -> IPv4Address | IPv6Address:
    """
    The Twisted address of a name as the socket module writes it.

    @param kind: C{"TCP"} or C{"UDP"}.
    """
    if len(name) == 2:
        return IPv4Address(kind, *name)
    host, port, flow, scope = name
    if scope and "%" not in host:
        host = socket.getnameinfo(name, socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)[0]
    return IPv6Address(kind, host, port, flow, scope)


def problemOf(code: WSAError) -> OSError:
    """
    @return: what the socket module raises where a member leaves this error: a L{ConnectionRefusedError}, say.
    """
    return OSError(errnoFromError(code), code.message.rstrip("."))


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
