"""
A host name becomes addresses, without blocking: the reactor's name resolver is asked.

MFC blocks in C{gethostbyname} and takes the first address; here the caller goes on, and hears of every address
of its family.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import (
    IAddress,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from zope.interface import implementer

from ._arguments import Rejected
from ._sockaddr import SockAddr
from .winsock import AF_INET, AF_INET6, SOCK_STREAM, WSAError

__all__ = ["Lookup"]

_FAMILIES: dict[int, type[IPv4Address] | type[IPv6Address]] = {AF_INET: IPv4Address, AF_INET6: IPv6Address}


@implementer(IResolutionReceiver)
class Lookup:
    """
    One question to the resolver.  A resolution can't be cancelled: whoever asked ignores an answer that comes too
    late.
    """

    __slots__ = ("_found", "_kind", "_port", "_then")

    def __init__(self, port: int, then: Callable[[Lookup, Sequence[SockAddr]], None]) -> None:
        """
        @param port: the port that the addresses are to carry.
        @param then: what to call with this lookup and the addresses; none means that the name was not found.  It may
            be called before L{start} returns.
        """
        self._port = port
        self._then = then
        self._found: list[SockAddr] = []
        self._kind: type[IPv4Address] | type[IPv6Address] = IPv4Address

    def start(self, reactor: Any, host: str, family: int, kind: int) -> None:
        """
        @param reactor: whose resolver to ask.
        @param family: the family that the addresses are to have.
        @param kind: the type of the socket that asks.
        @raise Rejected: C{WSAEINVAL}, C{host} can't be a host name, or the family has none.  C{WSASYSNOTREADY},
            the reactor has no resolver.
        """
        if family not in _FAMILIES:
            raise Rejected(WSAError.WSAEINVAL)
        if not IReactorPluggableNameResolver.providedBy(reactor):
            raise Rejected(WSAError.WSASYSNOTREADY)
        try:
            # A NUL, an empty or an overlong label makes Twisted's resolver fail in its thread, and never answer.
            if "\0" in host or not host.encode("idna"):
                raise Rejected(WSAError.WSAEINVAL)
        except UnicodeError:
            raise Rejected(WSAError.WSAEINVAL) from None
        self._kind = _FAMILIES[family]
        reactor.nameResolver.resolveHostName(
            self, host, self._port, [self._kind], "TCP" if kind == SOCK_STREAM else "UDP"
        )

    def resolutionBegan(self, resolutionInProgress: IHostResolution) -> None:
        """
        @param resolutionInProgress: not kept: none of Twisted's resolvers can cancel one.
        """

    def addressResolved(self, address: IAddress) -> None:
        """
        @param address: one of the answers; those of other families, which nobody has asked for, are not for this
            socket.
        """
        if not isinstance(address, self._kind):
            return
        if isinstance(address, IPv6Address) and (address.flowInfo or address.scopeID):
            # A link-local address is one only together with its scope.
            self._found.append((address.host, self._port, address.flowInfo, address.scopeID))
        else:
            self._found.append((address.host, self._port))

    def resolutionComplete(self) -> None:
        """
        All answers have come.
        """
        # A host may be listed twice, by several sources.
        self._then(self, list(dict.fromkeys(self._found)))
