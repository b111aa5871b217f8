"""
A resolver that knows a few names, so that what is looked up depends on no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer

__all__ = ["KnownHosts"]


@implementer(IHostResolution)
class _Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        """
        @raise NotImplementedError: always; no resolver of Twisted's can be stopped either.
        """
        raise NotImplementedError


@implementer(IHostnameResolver)
class KnownHosts:
    """
    Answers in a later turn of the reactor, with all the addresses of a name, in order; an address is its own.
    """

    def __init__(self, reactor: Any, hosts: Mapping[str, Sequence[str]]) -> None:
        """
        @param reactor: an C{IReactorTime}.
        @param hosts: the addresses in numbers of each name; one that is not here has none.
        """
        self._reactor = reactor
        self._hosts = hosts

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        """
        C{IHostnameResolver.resolveHostName}.
        """
        resolution = _Resolution(hostName)
        transport: Literal["TCP", "UDP"] = "UDP" if transportSemantics == "UDP" else "TCP"
        resolutionReceiver.resolutionBegan(resolution)

        # As getaddrinfo(3) has it; Twisted's endpoints ask for those too.
        own = (hostName,) if isIPAddress(hostName) or isIPv6Address(hostName) else ()

        def answer() -> None:
            for host in self._hosts.get(hostName, own):
                kind = IPv6Address if ":" in host else IPv4Address
                if addressTypes is None or kind in addressTypes:
                    resolutionReceiver.addressResolved(kind(transport, host, portNumber))
            resolutionReceiver.resolutionComplete()

        self._reactor.callLater(0, answer)
        return resolution
