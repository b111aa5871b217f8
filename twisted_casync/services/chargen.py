"""chargen (RFC 864): characters without end over streams, a few for each datagram."""

from __future__ import annotations

from random import randint
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from twisted_casync import SOCKET_ERROR
from twisted_casync.services._datagram import DatagramResponder
from twisted_casync.services._stream import StreamListener
from twisted_casync.services.discard import DiscardConnection

__all__ = ["ChargenConnection", "ChargenListener", "DatagramChargen"]

# The pattern that the RFC shows: lines of 72 of the 95 printing characters, each beginning one character later.
_CHARACTERS = bytes(range(0x20, 0x7F))
_PATTERN = b"".join((_CHARACTERS * 2)[start : start + 72] + b"\r\n" for start in range(len(_CHARACTERS)))

# What one Send takes, beginning anywhere in the pattern.
_PIECE = 1 << 17
_TEXT = memoryview(_PATTERN * (_PIECE // len(_PATTERN) + 2))

# Sends in one notification: a reader that is faster than this writer must not keep the others from their turn.
_PIECES = 8

# The most characters of a datagram.
_MOST = 512


class ChargenListener(StreamListener):
    """Accepts connections that never have sent everything: when the service stops, they end where they are."""

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(ChargenConnection, reactor)

    def drain(self, clock: IReactorTime, grace: float) -> Deferred[None]:
        done = super().drain(clock, grace)
        for connection in tuple(self.connections):
            connection.finish()
        return done


class ChargenConnection(DiscardConnection):
    """Sends the pattern as fast as the peer takes it, until the peer ends; what comes is thrown away."""

    __slots__ = ("_place",)

    def __init__(self, listener: ChargenListener) -> None:
        super().__init__(listener)
        self._place = 0

    def OnSend(self, nErrorCode: int) -> None:
        """Send until the kernel takes no more, which has OnSend called again, or it was enough for one turn."""
        for _ in range(_PIECES):
            nSent = self.Send(_TEXT[self._place : self._place + _PIECE])
            if nSent == SOCKET_ERROR:
                self.wouldBlock()
                return
            self.bytesOut += nSent
            self._place = (self._place + nSent) % len(_PATTERN)
            if nSent < _PIECE:
                return
        # No Send was short, so that nothing would be announced: selecting anew announces that there is room.
        self.AsyncSelect()


class DatagramChargen(DatagramResponder):
    """Answers a datagram with a random number of characters, no more than it had: an amplifier would be of use
    to an attacker only.

    An empty one is not answered at all, so that whatever such a service is made to talk to, it falls silent.
    """

    def answer(self, data: memoryview) -> memoryview | None:
        return _TEXT[: randint(0, min(len(data), _MOST))] if data else None
