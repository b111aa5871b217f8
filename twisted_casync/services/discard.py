"""discard (RFC 863): throws away what comes, over streams and datagrams."""

from __future__ import annotations

from twisted_casync import MSG_OOB, SOCKET_ERROR
from twisted_casync.services._datagram import DatagramResponder
from twisted_casync.services._plugin import SocketService
from twisted_casync.services._stream import StreamConnection, StreamListener

__all__ = ["DatagramDiscard", "DiscardConnection", "discard"]

# One for all: nobody reads it.
_ANYTHING = bytearray(1 << 18)


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


discard = SocketService(
    "discard",
    "Throw away what comes (RFC 863).",
    stream=lambda options: StreamListener(DiscardConnection),
    datagram=DatagramDiscard,
    where=("tcp:7009", "udp:7009"),
)
