"""daytime (RFC 867): the date and the time in words, to each connection and each datagram."""

from __future__ import annotations

from time import localtime, strftime
from typing import Any

from twisted_casync.services._answering import AnsweringConnection
from twisted_casync.services._datagram import DatagramResponder
from twisted_casync.services._stream import StreamListener

__all__ = ["DatagramDaytime", "DaytimeConnection", "DaytimeListener"]


def _now() -> bytes:
    """The time of this machine's zone, in the first of the RFC's popular forms."""
    return strftime("%A, %B %d, %Y %H:%M:%S-%Z\r\n", localtime()).encode("ascii", "replace")


class DaytimeListener(StreamListener):
    """Accepts connections that are told the time in words."""

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(DaytimeConnection, reactor)


class DaytimeConnection(AnsweringConnection):
    """Says it once, and ends."""

    __slots__ = ()

    def answer(self) -> bytes:
        return _now()


class DatagramDaytime(DatagramResponder):
    """Says it for each datagram."""

    def answer(self, data: memoryview) -> bytes:
        return _now()
