"""echo (RFC 862): sends back what comes, over streams and datagrams, urgent bytes as urgent bytes."""

from __future__ import annotations

from typing import Any

from twisted_casync.services._datagram import DatagramResponder
from twisted_casync.services._relay import RelayConnection, RelayListener

__all__ = ["DatagramEcho", "EchoConnection", "EchoListener"]


class EchoListener(RelayListener):
    """Accepts connections that echo."""

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(EchoConnection, reactor)


class EchoConnection(RelayConnection):
    """Sends back what it receives."""

    __slots__ = ()

    def __init__(self, listener: EchoListener) -> None:
        super().__init__(listener)
        self.other = self


class DatagramEcho(DatagramResponder):
    """Sends each datagram back to where it came from."""

    def answer(self, data: memoryview) -> memoryview:
        return data
