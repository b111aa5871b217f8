"""
Flow control where a transport knows no producers: what it has instead, as a producer and a consumer.

An SSH channel has a window in each direction (RFC 4254, 5.2): so many bytes the other side may still send.  The
connection opens the local one again as soon as half of it is used up, unless it is told to keep none open; and the
channel says when the remote one is used up.  A transport that only hands on to another one is paused where that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from twisted.internet.interfaces import IConsumer, IPushProducer
from zope.interface import implementer

__all__ = ["flowOf"]


def flowOf(transport: Any) -> Any:
    """
    Who is to be paused, and who wants to pause a producer, where a transport is used.

    @return: what has the methods of C{IPushProducer} and of C{IConsumer}, as far as there is anything that does: the
        transport itself, or what stands for it; what has none of them where nobody can be paused.
    """
    if not hasattr(transport, "pauseProducing"):
        for attribute, made in _INSTEAD.items():
            # Its own: what wraps a transport has all attributes of that.
            if attribute in getattr(transport, "__dict__", ()):
                return made(transport)
    return transport


@implementer(IPushProducer, IConsumer)
class _Channel:
    """
    An SSH channel: the producer of what it receives, and the consumer of what it sends.
    """

    def __init__(self, channel: Any) -> None:
        """
        @param channel: a C{twisted.conch.ssh.channel.SSHChannel}.
        """
        self._channel = channel
        self._size: int = channel.localWindowSize
        self._producer: Any = None

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


_INSTEAD: Final[dict[str, Callable[[Any], Any]]] = {
    # SSHChannel.
    "localWindowSize": _Channel,
    # SSHSessionProcessProtocol, the transport of what serves a session: the session is the channel.
    "session": lambda transport: flowOf(transport.session),
    # TelnetTransport, and whatever else hands on to a transport and keeps nothing itself.
    "transport": lambda transport: flowOf(transport.transport),
}
"""By an attribute that only such a transport has, so that nothing of what is not used has to be imported."""
