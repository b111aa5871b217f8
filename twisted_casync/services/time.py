"""time (RFC 868): the time as a number, to each connection and each datagram."""

from __future__ import annotations

import struct
from time import time as secondsSince1970
from typing import Any

from twisted_casync.services._answering import AnsweringConnection
from twisted_casync.services._datagram import DatagramResponder
from twisted_casync.services._stream import StreamListener

__all__ = ["DatagramTime", "TimeConnection", "TimeListener"]

# From the beginning of 1900 to that of 1970 (RFC 868 has this number too).
_SEVENTY_YEARS = 2_208_988_800


def _now() -> bytes:
    """Seconds since 1900 in 32 bits, big endian. In 2036 they begin anew, and clients are used to it."""
    return struct.pack(">I", (int(secondsSince1970()) + _SEVENTY_YEARS) % (1 << 32))


class TimeListener(StreamListener):
    """Accepts connections that are told the time as a number."""

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(TimeConnection, reactor)


class TimeConnection(AnsweringConnection):
    """Says it once, and ends."""

    __slots__ = ()

    def answer(self) -> bytes:
        return _now()


class DatagramTime(DatagramResponder):
    """Says it for each datagram."""

    def answer(self, data: memoryview) -> bytes:
        return _now()
