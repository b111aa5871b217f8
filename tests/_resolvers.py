"""
Name resolvers that ask nobody.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress, IHostnameResolver, IHostResolution, IResolutionReceiver
from zope.interface import implementer


@implementer(IHostnameResolver)
class Nobody:
    """
    A resolver that knows no name.
    """

    def resolveHostName(self, resolutionReceiver: Any, *arguments: Any, **options: Any) -> Any:
        resolutionReceiver.resolutionBegan(None)
        resolutionReceiver.resolutionComplete()
        return resolutionReceiver


@implementer(IHostnameResolver)
class Never:
    """
    A resolver that never answers.
    """

    def resolveHostName(self, resolutionReceiver: Any, *arguments: Any, **options: Any) -> Any:
        resolutionReceiver.resolutionBegan(None)
        return resolutionReceiver


@implementer(IHostResolution)
class Resolution:
    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        raise NotImplementedError


@implementer(IHostnameResolver)
class Book:
    """A resolver that knows the addresses it was given, and answers at once, or when it is told to."""

    def __init__(self, reactor: Any, *addresses: str, late: bool = True) -> None:
        self.addresses = addresses
        self.late = late
        self.asked: list[tuple[str, Sequence[type[IAddress]] | None, str]] = []
        self.waiting: list[IResolutionReceiver] = []
        reactor.installNameResolver(self)

    def resolveHostName(
        self,
        resolutionReceiver: IResolutionReceiver,
        hostName: str,
        portNumber: int = 0,
        addressTypes: Sequence[type[IAddress]] | None = None,
        transportSemantics: str = "TCP",
    ) -> IHostResolution:
        self.asked.append((hostName, addressTypes, transportSemantics))
        resolution = Resolution(hostName)
        resolutionReceiver.resolutionBegan(resolution)
        self.waiting.append(resolutionReceiver)
        if not self.late:
            self.answer()
        return resolution

    def answer(self) -> None:
        """Answer all that is asked."""
        while self.waiting:
            receiver = self.waiting.pop(0)
            for host in self.addresses:
                receiver.addressResolved((IPv6Address if ":" in host else IPv4Address)("TCP", host, 0))
            receiver.resolutionComplete()
