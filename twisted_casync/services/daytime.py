"""daytime (RFC 867): the date and the time in words, to each connection and each datagram."""

from __future__ import annotations

from time import localtime, strftime

from twisted_casync.services._answering import AnsweringConnection
from twisted_casync.services._datagram import DatagramResponder
from twisted_casync.services._plugin import SocketService
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


daytime = SocketService(
    "daytime",
    "Say the date and the time in words (RFC 867).",
    stream=lambda options: StreamListener(DaytimeConnection),
    datagram=DatagramDaytime,
    where=("tcp:7013", "udp:7013"),
)
