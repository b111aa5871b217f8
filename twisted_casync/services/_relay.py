"""A connection whose bytes go to another one, or back to where they came from."""

from __future__ import annotations

from typing import Any

from twisted_casync import FIONREAD, LINGER, MSG_OOB, SO_LINGER, SOCKET_ERROR
from twisted_casync.services._stream import StreamConnection, StreamListener

__all__ = ["RelayConnection", "RelayListener"]

_BUFFER_SIZE = 1 << 17


class RelayListener(StreamListener):
    """Accepts connections that share one buffer: between two notifications it holds nothing."""

    def __init__(self, makeConnection: Any, reactor: Any = None) -> None:
        super().__init__(makeConnection, reactor)
        self.buffer = memoryview(bytearray(_BUFFER_SIZE))


class RelayConnection(StreamConnection):
    """One of two ends: what it receives, the other sends, urgent bytes as urgent bytes and in their place.

    It keeps what it could not send, one buffer at the most. While it does, the other doesn't receive; so the
    kernel's buffers fill, and whoever sends there has to wait.

    A peer's end of stream ends the other's stream, after everything else was sent; both together end both connections.
    An error resets both.

    @ivar other: the other end, which can be this one; None while there is none.
    """

    __slots__ = ("_buffer", "_peerEnded", "_rest", "_urgentByte", "other")

    listener: RelayListener

    def __init__(self, listener: RelayListener) -> None:
        super().__init__(listener)
        self.other: RelayConnection | None = None
        self._buffer = listener.buffer
        self._rest: bytes | memoryview = b""
        self._urgentByte = b""
        self._peerEnded = False

    def unfinished(self) -> bool:
        return any(one is not None and one._keeps() for one in (self, self.other))

    def OnReceive(self, nErrorCode: int) -> None:
        """Receive once and send that; the Receive has more announced if there is more."""
        other = self.other
        if other is None or other._rest or other._urgentByte:
            return  # FD_READ stays disabled until the other end goes on
        nRead = self.Receive(self._buffer)
        if nRead > 0:
            self.bytesIn += nRead
            nSent = other.Send(self._buffer[:nRead])
            if nSent == nRead:
                other.bytesOut += nSent
            elif nSent != SOCKET_ERROR or other.wouldBlock():
                nSent = max(nSent, 0)  # SOCKET_ERROR: none of it
                other.bytesOut += nSent
                other._rest = memoryview(bytes(self._buffer[nSent:nRead]))
        elif nRead == SOCKET_ERROR:
            self.wouldBlock()

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        """Receive the urgent byte and send it, after all that stands before it."""
        other = self.other
        # The next Receive, of what stands before it, has it announced again.
        if other is not None and not other._keeps() and not self.IOCtl(FIONREAD):
            urgentByte = bytearray(1)
            if self.Receive(urgentByte, 1, MSG_OOB) == 1:
                self.bytesIn += 1
                other._urgentByte = bytes(urgentByte)
                other._sendRest()

    def OnSend(self, nErrorCode: int) -> None:
        """The kernel takes more: send the rest, then let the other end receive."""
        if self._keeps() and self._sendRest():
            self.goOn()

    def OnClose(self, nErrorCode: int) -> None:
        """The peer has sent all it had, or the connection is lost."""
        if nErrorCode != 0:
            self.end(nErrorCode)
            return
        self._peerEnded = True
        if self.other is not None and not self.other._keeps():
            self.other.goOn()

    def goOn(self) -> None:
        """Everything is sent: have announced what the other end can receive, or pass on that nothing more comes."""
        other = self.other
        if other is None:
            return
        if not other._peerEnded:
            # Of no bytes: what waits there is announced, and comes in its order, an urgent byte or not.
            other.Receive(self._buffer, 0)
            return
        # An urgent byte that was announced before it could be sent is not announced again, and does not keep the end.
        other.OnOutOfBandData(0)
        if self._keeps() or self.other is None:
            return  # OnSend comes here again; or the connection is lost
        if self._peerEnded and not other._keeps():
            self.end()
        else:
            self.ShutDown(self.sends)

    def end(self, nErrorCode: int = 0) -> None:
        other, self.other = self.other, None
        # Both are closed before anybody hears of it: who does may stop the reactor, which resets what is open.
        for one in (self, other):
            if one is not None:
                if nErrorCode:
                    # So that the peer doesn't take what it got for everything.
                    one.SetSockOpt(SO_LINGER, LINGER(1, 0))
                one.Close()
        super().end(nErrorCode)
        if other is not None:
            other.end(nErrorCode)

    def _keeps(self) -> bool:
        return bool(self._rest or self._urgentByte)

    def _sendRest(self) -> bool:
        """Send what is kept; returns True when nothing is left."""
        while self._rest:
            nSent = self.Send(self._rest)
            if nSent == SOCKET_ERROR:
                self.wouldBlock()
                return False
            self.bytesOut += nSent
            self._rest = self._rest[nSent:]
        if self._urgentByte:
            if self.Send(self._urgentByte, 1, MSG_OOB) == SOCKET_ERROR:
                self.wouldBlock()
                return False
            self.bytesOut += 1
            self._urgentByte = b""
        return True
