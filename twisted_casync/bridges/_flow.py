"""
What a transport that knows no producers has instead, as a producer and a consumer.

An SSH channel has windows, and more that is a transport's under other names (L{Channel}).  A transport that only hands
on to another one is paused where that is.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from ._channel import Channel

__all__ = ["abortable", "endsOf", "flowOf"]


def flowOf(transport: Any, own: bool = True) -> Any:
    """
    Who is to be paused, and who wants to pause a producer, where a transport is used.

    @param own: nothing is between the transport and who uses it.
    @return: what has the methods of C{IPushProducer} and of C{IConsumer}, as far as there is anything that does: the
        transport itself, or what stands for it; what has none of them where nobody can be paused.
    """
    if not hasattr(transport, "pauseProducing"):
        for attribute, made in _INSTEAD.items():
            # Its own: what wraps a transport has all attributes of that.
            if attribute in getattr(transport, "__dict__", ()):
                return made(transport, own)
    return transport


def endsOf(transport: Any, flow: Any) -> Any:
    """
    Who ends a transport's connection, or a half of it.

    @param flow: what L{flowOf} has found for the transport.
    @return: what stands for the transport; where something is between the two, as TLS, which has an end of its own, or
        nothing stands for it: the transport itself.
    """
    return flow if isinstance(flow, Channel) and flow.own else transport


def abortable(transport: Any) -> Any:
    """
    A transport that has C{abortConnection}, as TLS over it needs.

    @return: the transport itself where it has one.
    """
    return transport if hasattr(transport, "abortConnection") else _Abortable(transport)


class _Abortable:
    """
    A transport that is aborted by what stands for it, or else ended.
    """

    def __init__(self, transport: Any) -> None:
        # By this name flowOf() finds it.
        self.transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def abortConnection(self) -> None:
        ends: Any = flowOf(self.transport)
        getattr(ends, "abortConnection", self.transport.loseConnection)()


_INSTEAD: Final[dict[str, Callable[[Any, bool], Any]]] = {
    # SSHChannel.
    "localWindowSize": Channel,
    # SSHSessionProcessProtocol, the transport of what serves a session: the session is the channel.
    "session": lambda transport, own: flowOf(transport.session, own),
    # TelnetTransport, and whatever else hands on to a transport and keeps nothing itself.
    "transport": lambda transport, own: flowOf(transport.transport, False),
}
"""By an attribute that only such a transport has, so that nothing of what is not used has to be imported."""
