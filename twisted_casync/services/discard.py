"""discard (RFC 863): throws away what comes, over streams and datagrams."""

from __future__ import annotations

from typing import Any

from twisted_casync import MSG_OOB, SOCKET_ERROR
from twisted_casync.services._datagram import DatagramResponder
from twisted_casync.services._stream import StreamConnection, StreamListener

__all__ = ["DatagramDiscard", "DiscardConnection", "DiscardListener"]

# One for all: nobody reads it.
_ANYTHING = bytearray(1 << 18)


class DiscardListener(StreamListener):
    """Accepts connections whose data is thrown away."""

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(DiscardConnection, reactor)


class DiscardConnection(StreamConnection):
    """Receives, counts and forgets; ends after the peer has."""

    __slots__ = ()

    def OnReceive(self, nErrorCode: int) -> None:
        """Receive once; that has more announced if there is more."""
        nRead = self.Receive(_ANYTHING)
        if nRead != SOCKET_ERROR:
            self.bytesIn += nRead
        else:
            self.wouldBlock()

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        """An urgent byte is thrown away like any other."""
        if self.Receive(_ANYTHING, 1, MSG_OOB) == 1:
            self.bytesIn += 1


class DatagramDiscard(DatagramResponder):
    """Receives datagrams and answers none."""

    def answer(self, data: memoryview) -> None:
        return None
