"""
What an SSH channel has instead of producers, of the halves of a connection and of an abort (RFC 4254, 5).

It has a window in each direction (5.2): so many bytes the other side may still send.  The connection opens the local
one again as soon as half of it is used up, unless it is told to keep none open; and the channel says when the remote
one is used up.  Either side says that it sends no more by an EOF, and closes the channel by a CLOSE, which is answered
by another (5.3).
"""

from __future__ import annotations

from typing import Any, Final

from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IConsumer, IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

__all__ = ["Channel"]

_HOOKS: Final = ("eofReceived", "closeReceived", "addWindowBytes", "stopWriting")
"""What a channel is told by its connection, and this is in front of."""


@implementer(IPushProducer, IConsumer)
class Channel:
    """
    An SSH channel: the producer of what it receives, the consumer of what it sends, and what ends either.

    @ivar own: nothing is between the channel and who uses it, so that its EOF is the end of the stream.
    """

    def __init__(self, channel: Any, own: bool) -> None:
        """
        @param channel: a C{twisted.conch.ssh.channel.SSHChannel}.
        @param own: see the attribute.
        """
        self.own = own
        self._channel = channel
        self._size: int = channel.localWindowSize
        self._producer: Any = None
        # Who is told of the other side's EOF.
        self._protocol: Any = None
        # EOF was received, and sent; the other side has closed the channel in good order.
        self._heard = self._said = self._whole = False

    # -- the window of what it receives

    def pauseProducing(self) -> None:
        """
        The window is not opened again: when it is used up the other side waits.
        """
        # The connection opens it when less than half of this is left (SSHConnection.ssh_CHANNEL_DATA).
        self._channel.localWindowSize = 0

    def resumeProducing(self) -> None:
        """
        Open the window, as the connection would have done meanwhile.
        """
        channel = self._channel
        channel.localWindowSize = self._size
        if channel.localWindowLeft < self._size // 2:
            channel.conn.adjustWindow(channel, self._size - channel.localWindowLeft)

    def stopProducing(self) -> None:
        """
        Nothing more is wanted.
        """
        self._channel.loseConnection()

    # -- the window of what it sends

    def write(self, data: bytes) -> None:
        """
        Send.
        """
        self._channel.write(data)

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        """
        Pause a producer while the other side's window is used up.

        @param streaming: it is one that is paused and resumed.
        """
        self._producer = producer
        _watch(self._channel.conn)
        # The hooks that a channel has for it, in front of those of its class.
        self._channel.stopWriting, self._channel.addWindowBytes = self._usedUp, self._opened

    def unregisterProducer(self) -> None:
        """
        It sends nothing more.
        """
        self._producer = None
        del self._channel.stopWriting, self._channel.addWindowBytes

    def _usedUp(self) -> None:
        type(self._channel).stopWriting(self._channel)
        self._producer.pauseProducing()

    def _opened(self, count: int) -> None:
        """
        The other side has opened its window by C{count} bytes.
        """
        # startWriting() would be too early: what waits in the channel goes after it, and may use the window up again.
        waited = not self._channel.areWriting
        type(self._channel).addWindowBytes(self._channel, count)
        if waited and not self._channel.buf:
            self._producer.resumeProducing()

    # -- its ends

    def hear(self, protocol: Any) -> None:
        """
        Tell a protocol from now on that the other side's stream has ended.

        @param protocol: an C{IHalfCloseableProtocol}.
        """
        self._protocol = protocol
        self._channel.eofReceived, self._channel.closeReceived = self._eof, self._closed

    def release(self, reason: Failure) -> Failure:
        """
        The channel is closed: leave it as it was.

        @param reason: what its protocol is told.  Conch says C{ConnectionDone} also where the connection that the
            channel belonged to was lost.
        @return: why it is closed.
        """
        self._protocol = self._producer = None
        for hook in _HOOKS:
            self._channel.__dict__.pop(hook, None)
        if self._whole or not reason.check(ConnectionDone):
            return reason
        return Failure(ConnectionLost("the SSH channel was not closed in good order"))

    def loseWriteConnection(self) -> None:
        """
        Send EOF, when all that waits in the channel has gone.
        """
        if self._waiting():
            self._channel.addWindowBytes = self._drained
        else:
            self._say()

    def abortConnection(self) -> None:
        """
        Close the channel at once: what waits in it is not sent.
        """
        self._drop()
        self._channel.loseConnection()

    def _waiting(self) -> bool:
        return bool(self._channel.buf or self._channel.extBuf)

    def _drop(self) -> None:
        self._channel.buf, self._channel.extBuf = b"", []

    def _drained(self, count: int) -> None:
        type(self._channel).addWindowBytes(self._channel, count)
        if not self._waiting():
            del self._channel.addWindowBytes
            self._say()

    def _say(self) -> None:
        self._said = True
        self._channel.conn.sendEOF(self._channel)
        self._both()

    def _eof(self) -> None:
        type(self._channel).eofReceived(self._channel)
        self._heard = True
        self._protocol.readConnectionLost()
        self._both()

    def _both(self) -> None:
        """
        A channel whose streams have both ended stays open until somebody closes it; a TCP connection would be over.
        """
        if self._said and self._heard:
            self._channel.loseConnection()

    def _closed(self) -> None:
        """
        The other side has closed the channel.
        """
        # It takes nothing more and opens no window: what waits would keep the channel, which waits for it to go.
        # All that it had to say has come, if it has said so: what it leaves is its business then, as a command's that
        # does not read all its input.
        self._whole = self._heard or not self._waiting()
        self._drop()
        type(self._channel).closeReceived(self._channel)


def _watch(connection: Any) -> None:
    """
    Have an SSH connection close its channels when what is beneath it is lost.  That of conch's client endpoint does
    not: its transport's C{connectionLost} leaves out what its base class does (C{_CommandTransport}, Twisted 26.10).

    @param connection: a C{twisted.conch.ssh.connection.SSHConnection}.
    """
    transport = connection.transport

    def lost(reason: Failure | None = None) -> None:
        del transport.connectionLost
        transport.connectionLost(reason)
        # Those that are open still: each that is closed takes itself off.
        for channel in list(connection.channelsToRemoteChannel):
            connection.channelClosed(channel)

    # Once for all channels of a connection, and until that is lost.
    if "connectionLost" not in vars(transport):
        transport.connectionLost = lost
