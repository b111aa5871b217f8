"""daytime (RFC 867): the date and the time in words, to each connection and each datagram."""

from __future__ import annotations

from time import localtime, strftime
from typing import Any

from zope.interface import implementer

from twisted_casync import CAsyncSocket, IAsyncSocketService
from twisted_casync.services._answering import AnsweringConnection
from twisted_casync.services._datagram import DatagramResponder
from twisted_casync.services._options import ServiceOptions
from twisted_casync.services._stream import StreamListener

__all__ = ["DatagramDaytime", "DaytimeConnection", "daytime"]


def _now() -> bytes:
    """The time of this machine's zone, in the first of the RFC's popular forms."""
    return strftime("%A, %B %d, %Y %H:%M:%S-%Z\r\n", localtime()).encode("ascii", "replace")


class DaytimeConnection(AnsweringConnection):
    """Says it once, and ends."""

    __slots__ = ()

    def answer(self) -> bytes:
        return _now()


class DatagramDaytime(DatagramResponder):
    """Says it for each datagram."""

    def answer(self, data: memoryview) -> bytes:
        return _now()


@implementer(IAsyncSocketService)
class _Daytime:
    name = "daytime"
    description = "Say the date and the time in words (RFC 867)."
    options = ServiceOptions
    where = ("tcp:7013", "udp:7013")

    def listener(self, options: Any, kind: str) -> CAsyncSocket:
        return StreamListener(DaytimeConnection) if kind == "stream" else DatagramDaytime()


daytime = _Daytime()
