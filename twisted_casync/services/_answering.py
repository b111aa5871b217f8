"""A connection that has one thing to say."""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall

from twisted_casync import SOCKET_ERROR
from twisted_casync.services._clock import clockOf
from twisted_casync.services._stream import StreamListener
from twisted_casync.services.discard import DiscardConnection

__all__ = ["AnsweringConnection"]

# Seconds that the peer has to end its side, once it was answered.
_LINGER = 2.0


class AnsweringConnection(DiscardConnection):
    """Sends its answer and the end of the stream as soon as it is accepted. A subclass has `answer`.

    What comes is thrown away, and the connection kept until the peer has ended too: closing on bytes that nobody has
    received resets a connection, and the peer could lose the answer.
    """

    __slots__ = ("_lingering",)

    def __init__(self, listener: StreamListener) -> None:
        super().__init__(listener)
        self._lingering: IDelayedCall | None = None

    def answer(self) -> bytes:
        """What to send: so little that a new connection has room for it."""
        raise NotImplementedError

    def OnSend(self, nErrorCode: int) -> None:
        """The connection is there."""
        nSent = self.Send(self.answer())
        if nSent == SOCKET_ERROR:
            self.wouldBlock()
            return
        self.bytesOut += nSent
        self.ShutDown(self.sends)
        self._lingering = clockOf(self.listener).callLater(_LINGER, self.end)

    def end(self, nErrorCode: int = 0) -> None:
        lingering, self._lingering = self._lingering, None
        if lingering is not None and lingering.active():
            lingering.cancel()
        super().end(nErrorCode)
