"""Limits that a server on the internet needs: on connections in all, from one address, and without traffic."""

from __future__ import annotations

import resource
import socket
from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from twisted_casync._seldom import SeldomLog
from twisted_casync.services._drain import Finishing

__all__ = ["LIMITS", "Limitable", "Limited", "Limiter", "Limits", "networkOf"]

_log = Logger("casync")

LIMITS = ("max-connections", "max-per-address", "idle-timeout")
"""The names of the limits, which are those of their options."""

# Descriptors that are not spent on connections: log files, listening sockets, a lookup, what the service opens itself.
_SPARED = 64

# How often a connection is looked at during its idle time: it then ends at most a quarter of that time late.
_LOOKS = 4


@dataclass(frozen=True)
class Limits:
    """What a service allows its peers, at all of its places together.

    @ivar connections: the most at a time; 0 for no limit; None for as many as the process may have descriptors
        (RLIMIT_NOFILE, as it is when the service starts), less 64 for other purposes.
    @ivar perAddress: the most at a time from one address, or from one /64 of IPv6, which is what one customer of a
        provider has; 0 for no limit. Connections to a UNIX socket have no address.
    @ivar idle: seconds without a byte received or sent after which a connection is ended, at most a quarter later; 0
        for no limit.
    @raise ValueError: one is negative.
    """

    connections: int | None = None
    perAddress: int = 0
    idle: float = 0.0

    def __post_init__(self) -> None:
        if not all(limit >= 0 for limit in (self.connections or 0, self.perAddress, self.idle)):
            raise ValueError(f"expected no limit below 0: {self}")

    def most(self) -> int:
        """How many connections there may be, now that they are going to be counted; 0 for no limit."""
        if self.connections is not None:
            return self.connections
        descriptors = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return 0 if descriptors == resource.RLIM_INFINITY else max(descriptors - _SPARED, 1)


@runtime_checkable
class Limited(Protocol):
    """What keeps to limits: a StreamListener."""

    def keepTo(self, limiter: Limiter) -> None:
        """Ask `limiter` about each connection from now on, and tell it of the end of those that it has admitted."""


class Limitable(Finishing, Protocol):
    """What is limited: a StreamConnection."""

    def limited(self, limit: str) -> None:
        """Hear that a limit has been met: it is turned away, or going to be ended, by the caller.

        @param limit: one of LIMITS.
        """


@dataclass(slots=True, eq=False)
class _Admitted:
    """What is remembered of a connection."""

    network: str | None
    traffic: int = -1
    looks: int = 0


class Limiter:
    """Counts the connections of one service that runs, and keeps them within its limits.

    Time without traffic is not measured for each connection: all of them are looked at a few times during it, and
    one whose count of bytes has stayed the same is ended. So a byte costs nothing, and a connection no timer.

    @param limits: what is allowed.
    @param clock: what to measure time with.
    """

    def __init__(self, limits: Limits, clock: IReactorTime) -> None:
        self._most = limits.most()
        self._perAddress = limits.perAddress
        self._pace = limits.idle / _LOOKS
        self._clock = clock
        self._open = 0
        self._networks: Counter[str] = Counter()
        self._admitted: dict[Limitable, _Admitted] = {}
        self._next: IDelayedCall | None = None
        texts = (
            f"refused: {{peer}}, since there are {self._most} connections",
            f"refused: {{peer}}, since its address has {self._perAddress}",
            f"ended: {{peer}}, since it was idle for {limits.idle:g} seconds",
        )
        self._lines = dict(zip(LIMITS, texts, strict=True))
        self._seldom = SeldomLog(_log, lambda: clock)
        self._look()

    def admit(self, connection: Limitable, address: Any, service: str = "") -> bool:
        """Whether a connection that was accepted may stay; the caller closes one that may not.

        @param connection: it has the name of its peer already.
        @param address: the peer, as the socket module writes it.
        @param service: which one it is a connection of, for the log.
        """
        network = networkOf(address) if self._perAddress else None
        if self._most and self._open >= self._most:
            self._met("max-connections", connection, event="refused", service=service)
        elif network is not None and self._networks[network] >= self._perAddress:
            self._met("max-per-address", connection, event="refused", service=service)
        else:
            self._open += 1
            if network is not None:
                self._networks[network] += 1
            if network is not None or self._pace:
                self._admitted[connection] = _Admitted(network)
            return True
        return False

    def ended(self, connection: Limitable) -> None:
        """A connection that was admitted is over."""
        self._open -= 1
        admitted = self._admitted.pop(connection, None)
        if admitted is not None and admitted.network is not None:
            self._networks[admitted.network] -= 1
            if not self._networks[admitted.network]:
                del self._networks[admitted.network]

    def stop(self) -> None:
        """Leave the clock alone; connections go on to be counted."""
        self._pace = 0.0
        if self._next is not None:
            self._next.cancel()
            self._next = None
        self._seldom.stop()

    def _met(self, limit: str, connection: Limitable, **fields: str) -> None:
        try:
            connection.limited(limit)
        except BaseException:
            # A subclass's own: the limit holds all the same, for this one and for those that are looked at after it.
            _log.failure("limited() of {peer} failed", peer=connection.peer)
        self._seldom.say(self._lines[limit], peer=connection.peer, why=limit, **fields)

    def _look(self) -> None:
        self._next = None
        for connection, admitted in list(self._admitted.items()):
            traffic = connection.bytesIn + connection.bytesOut
            if traffic != admitted.traffic:
                admitted.traffic, admitted.looks = traffic, 0
            elif admitted.looks + 1 < _LOOKS:
                admitted.looks += 1
            # An earlier one that ends may have ended this one, too.
            elif connection in self._admitted:
                self._idle(connection)
        if self._pace:
            self._next = self._clock.callLater(self._pace, self._look)

    def _idle(self, connection: Limitable) -> None:
        self._met("idle-timeout", connection, event="idle")
        try:
            # With something to send left, the peer must not take what it has for the whole.
            if connection.unfinished():
                connection.abort()
            else:
                connection.finish()
        except BaseException:
            # The others are looked at all the same.
            _log.failure("{peer} can't be ended", peer=connection.peer)


def networkOf(address: Any) -> str | None:
    """What counts as one address: an IPv4 address, a /64 of IPv6; None for a UNIX socket's peer, which has none.

    @param address: as the socket module writes it.
    """
    if not isinstance(address, tuple):
        return None
    host: str = address[0]
    if len(address) == 2:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    # An IPv4 address, of a socket that serves both (RFC 4291, 2.5.5.2).
    if packed[:12] == bytes(10) + b"\xff\xff":
        return socket.inet_ntop(socket.AF_INET, packed[12:])
    return socket.inet_ntop(socket.AF_INET6, packed[:8] + bytes(8)) + "/64"
