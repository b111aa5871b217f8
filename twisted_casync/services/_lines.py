"""A connection of lines, none of which takes more memory than it may, in either direction."""

from __future__ import annotations

from typing import ClassVar

from twisted_casync import SOCKET_ERROR
from twisted_casync.services._stream import StreamConnection, StreamListener

__all__ = ["LineConnection", "encoded"]

# One for all: what was received is copied at once.
_BUFFER = bytearray(4096)

# Bytes that wait for a peer that does not read, beyond what the kernel keeps for it.
_MOST_QUEUED = 65536


def encoded(line: str) -> bytes:
    """A line as it is sent."""
    return line.encode() + b"\r\n"


class LineConnection(StreamConnection):
    """Receives lines, as text that can do no harm on a terminal; sends lines, and queues what can't be sent yet.

    A subclass has `lineReceived` and `lineLengthExceeded`. Lines end in LF or CR LF, and are sent with CR LF (RFC 854:
    telnet's). What is no UTF-8, as telnet's commands, and what is not printable is left out.

    @param greeting: is sent first.
    """

    __slots__ = ("_leaving", "_partial", "_queue")

    MAX_LENGTH: ClassVar[int] = 1000
    """The most bytes of a line that is received, without its end."""

    def __init__(self, listener: StreamListener, greeting: str) -> None:
        super().__init__(listener)
        self._partial = b""
        # OnSend comes as soon as there is a connection.
        self._queue = bytearray(encoded(greeting))
        self._leaving = False

    def lineReceived(self, line: str) -> None:
        """A line has come."""
        raise NotImplementedError

    def lineLengthExceeded(self) -> None:
        """A line has come that was too long, and was thrown away."""
        raise NotImplementedError

    def sendLine(self, line: bytes) -> None:
        """Have a line sent, after those that wait, by the next `flush`: several lines are sent together.

        @param line: what `encoded` made of it.
        """
        self._queue += line

    def flush(self) -> bool:
        """Send what waits; returns False when the peer leaves too much of it waiting."""
        if self._queue:
            nSent = self.Send(self._queue)
            if nSent != SOCKET_ERROR:
                self.bytesOut += nSent
                del self._queue[:nSent]
            # Else there is no room, and OnSend tells when there is; or there is no connection, and OnClose tells that.
        if self._leaving and not self._queue:
            self.finish()
        return len(self._queue) <= _MOST_QUEUED

    def leave(self) -> None:
        """Receive no more lines, and end when what waits was sent."""
        self._leaving = True
        self.flush()

    def unfinished(self) -> bool:
        return bool(self._queue)

    def OnReceive(self, nErrorCode: int) -> None:
        """Receive once, and take the lines that are complete with that."""
        nRead = self.Receive(_BUFFER)
        if nRead > 0:
            self.bytesIn += nRead
            *lines, rest = (self._partial + _BUFFER[:nRead]).split(b"\n")
            # Of a line that is too long as much as shows that it is.
            self._partial = rest[: self.MAX_LENGTH + 2]
            for line in lines:
                self._take(line)
        elif nRead == SOCKET_ERROR:
            self.wouldBlock()

    def OnSend(self, nErrorCode: int) -> None:
        """The kernel takes more."""
        self.flush()

    def OnClose(self, nErrorCode: int) -> None:
        """The peer has sent all its lines, the last one perhaps without an end; or the connection is lost."""
        if nErrorCode != 0:
            self.end(nErrorCode)
            return
        # Receives nothing, but passes a last urgent byte, which nobody wants: Close would reset the connection for it.
        self.Receive(_BUFFER)
        if self._partial:
            self._take(self._partial)
        self.leave()

    def _take(self, line: bytes) -> None:
        if self._leaving or self.fileno() < 0:
            return  # one before has ended it
        line = line.removesuffix(b"\r")
        if len(line) > self.MAX_LENGTH:
            self.lineLengthExceeded()
        else:
            text = line.decode("utf-8", "ignore").replace("\t", " ")
            self.lineReceived("".join(character for character in text if character.isprintable()).strip())
