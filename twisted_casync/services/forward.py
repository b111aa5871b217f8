"""forward: takes connections on to another place: bytes, urgent bytes, ends, resets, at the pace of the slower side."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.python import usage

from twisted_casync.services._limits import Limits
from twisted_casync.services._options import ServiceOptions, named, seconds
from twisted_casync.services._outgoing import OutgoingConnection
from twisted_casync.services._relay import RelayConnection, RelayListener
from twisted_casync.services._target import EXPECTED, Target

__all__ = ["ForwardConnection", "ForwardListener", "ForwardOptions", "streams"]


class ForwardListener(RelayListener):
    """Accepts connections and takes them on.

    @param target: where to.
    @param connectTimeout: how many seconds it may take to get there.
    """

    def __init__(self, target: Target, connectTimeout: float, reactor: Any = None) -> None:
        super().__init__(ForwardConnection, reactor)
        self.target = target
        self.connectTimeout = connectTimeout


class ForwardConnection(RelayConnection):
    """The accepted end. It receives nothing until the outgoing one is connected."""

    __slots__ = ("_outgoing",)

    listener: ForwardListener

    def __init__(self, listener: ForwardListener) -> None:
        super().__init__(listener)
        self._outgoing: OutgoingConnection | None = None

    def unfinished(self) -> bool:
        return self.other is None or super().unfinished()

    def OnSend(self, nErrorCode: int) -> None:
        """The connection is there: go on to the target. Later, as for any relay."""
        if self._outgoing is None:
            self._outgoing = OutgoingConnection(self, self.listener.target)
            self._outgoing.begin(self.listener.connectTimeout)
        else:
            super().OnSend(nErrorCode)

    def end(self, nErrorCode: int = 0) -> None:
        super().end(nErrorCode)
        # One that is still connecting is not the other end yet.
        outgoing, self._outgoing = self._outgoing, None
        if outgoing is not None:
            outgoing.end(nErrorCode)


def _time(text: str) -> float:
    if not (time := seconds(text)):
        raise ValueError(f"{text!r}: expected a number of seconds, more than 0")
    return time


class ForwardOptions(ServiceOptions):
    """Where to go on to, and how long that may take: `self["to"]`, a Target, and `self["connect-timeout"]`."""

    optParameters: list[list[Any]] = [
        ["to", "t", None, f"Where to: {EXPECTED}.", named("to", Target.parse)],
        ["connect-timeout", None, 10.0, "How many seconds it may take to get there.", named("connect-timeout", _time)],
    ]

    def postOptions(self) -> None:
        if self["to"] is None:
            raise usage.UsageError(f"say where to: --to {EXPECTED}")

    def limits(self) -> Limits:
        limits = super().limits()
        # Each takes two descriptors.
        return replace(limits, connections=limits.most() // 2) if limits.connections is None else limits


def streams(options: Any) -> ForwardListener:
    """
    @param options: a L{ForwardOptions}, parsed.
    @return: a new socket that is to accept.
    """
    return ForwardListener(options["to"], options["connect-timeout"])
