"""echo (RFC 862): sends back what comes, over streams and datagrams, urgent bytes as urgent bytes."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from twisted_casync import MSG_OOB, SOCKET_ERROR, CAsyncSocket, GetLastError
from twisted_casync.services._plugin import SocketService
from twisted_casync.services._stream import StreamConnection, StreamListener

__all__ = ["DatagramEcho", "EchoConnection", "EchoListener", "echo"]

_log = Logger()

_BUFFER_SIZE = 65536

# Datagrams answered in one notification: enough to spare most of the notifications, few enough that a flood
# leaves the connections their turn.
_BATCH = 64

# Batches looked for on stop: together more datagrams than a receive buffer of the usual size holds.
_LAST_BATCHES = 16


class EchoListener(StreamListener):
    """Accepts connections that share one buffer: between two notifications it holds nothing."""

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(EchoConnection, reactor)
        self.buffer = memoryview(bytearray(_BUFFER_SIZE))


class EchoConnection(StreamConnection):
    """Sends back what it receives; when the kernel takes no more, it doesn't receive: it holds one buffer."""

    __slots__ = ("_buffer", "_peerEnded", "_rest", "_urgentByte")

    def __init__(self, listener: EchoListener) -> None:
        super().__init__(listener)
        self._buffer = listener.buffer
        self._rest: bytes | memoryview = b""
        self._urgentByte = b""
        self._peerEnded = False

    def unfinished(self) -> bool:
        return bool(self._rest or self._urgentByte)

    def OnReceive(self, nErrorCode: int) -> None:
        """Receive once and send that; the Receive has more announced if there is more."""
        if self._rest or self._urgentByte:
            return  # FD_READ stays disabled until OnSend receives again
        nRead = self.Receive(self._buffer)
        if nRead > 0:
            self.bytesIn += nRead
            nSent = self.Send(self._buffer[:nRead])
            if nSent == nRead:
                self.bytesOut += nSent
            elif nSent != SOCKET_ERROR or self.wouldBlock():
                nSent = max(nSent, 0)  # SOCKET_ERROR: none of it
                self.bytesOut += nSent
                self._rest = memoryview(bytes(self._buffer[nSent:nRead]))
        elif nRead == SOCKET_ERROR:
            self.wouldBlock()

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        """Pass the urgent byte on, behind what was received before it.

        A newer one replaces one that could not be sent yet, as in TCP itself.
        """
        if self.Receive(self._buffer, 1, MSG_OOB) == 1:
            self.bytesIn += 1
            self._urgentByte = bytes(self._buffer[:1])
            self._sendRest()

    def OnSend(self, nErrorCode: int) -> None:
        """The kernel takes more: send the rest, then go on receiving."""
        if not self.unfinished() or not self._sendRest():
            return
        if self._peerEnded:
            self.finish()
        else:
            self.OnReceive(0)

    def OnClose(self, nErrorCode: int) -> None:
        """The peer has sent all it had: answer what is left of it, then end this side too."""
        self._peerEnded = True
        if nErrorCode != 0 or not self.unfinished():
            super().OnClose(nErrorCode)

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


class DatagramEcho(CAsyncSocket):
    """Sends each datagram back to where it came from, or drops it when it can't be sent now."""

    def __init__(self, reactor: Any = None) -> None:
        super().__init__(reactor)
        self._buffer = memoryview(bytearray(_BUFFER_SIZE))

    def OnReceive(self, nErrorCode: int) -> None:
        """Answer what is there; the last ReceiveFrom has more announced if there is more."""
        for _ in range(_BATCH):
            nRead, peer = self.ReceiveFrom(self._buffer)
            if nRead == SOCKET_ERROR:
                return
            if self.SendTo(self._buffer, nRead, peer) == SOCKET_ERROR:
                _log.debug("dropped: {n} bytes of {peer}: {why}", n=nRead, peer=peer, why=GetLastError())

    def drain(self, clock: IReactorTime, grace: float) -> Deferred[None]:
        """Answer what has come, within reason; there is nothing to wait for."""
        for _ in range(_LAST_BATCHES):
            self.OnReceive(0)
        self.Close()
        return succeed(None)


echo = SocketService(
    "echo",
    "Send back what comes (RFC 862).",
    stream=EchoListener,
    datagram=DatagramEcho,
    where=("tcp:7007", "udp:7007"),
)
