"""
What goes from one socket of a trace to another: a connection to who accepts it, bytes to who receives them, an end.

Both have to be in the trace.  Which bytes a call received is counted: of a stream, the first that was sent is the first
that is received, so each C{Send} goes to the C{Receive} that took its first byte.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from twisted_casync.trace._reading import Socket, flagsOf
from twisted_casync.winsock import MSG_OOB, MSG_PEEK

__all__ = ["Flow", "Flows"]

_GATE: Final = "CAsyncSocket."
"""Before the name of a call that a C{CSocket} makes to move data."""
_MOST: Final = 64
"""How many calls are kept of a socket whose other end is not known yet, and may never be."""


@dataclass(frozen=True)
class Flow:
    """
    @ivar name: what goes.
    @ivar start: the number of the socket that it comes from, and the nanosecond, in the middle of a call.
    @ivar end: the number of the socket that it goes to, and the nanosecond.
    """

    name: str
    start: tuple[int, int]
    end: tuple[int, int]


@dataclass
class _End:
    """
    One end of a connection.

    @ivar sent: the bytes sent so far.
    @ivar received: the bytes received so far.
    @ivar sends: the calls whose bytes were not received yet: which byte is their first, and when they were made.
    @ivar connected: when it began to connect.
    @ivar ended: when it ended its stream.
    """

    sent: int = 0
    received: int = 0
    sends: deque[tuple[int, int]] = field(default_factory=deque)
    connected: int | None = None
    ended: int | None = None


class Flows:
    """
    Finds them, line by line.
    """

    def __init__(self, sockets: Mapping[int, Socket]) -> None:
        """
        @param sockets: what is known of the sockets; grows with the lines.
        """
        self._sockets = sockets
        self._ends: dict[int, _End] = {}
        self._named: dict[tuple[str, str], int] = {}

    def of(self, line: Mapping[str, Any]) -> Iterator[Flow]:
        """
        @param line: the next line of the trace.
        @return: what ends with it.
        """
        number = line["socket"]
        if "opened" in line:
            # An object that is opened again has another connection.
            self._ends.pop(number, None)
        if "local" in line or "peer" in line:
            socket = self._sockets[number]
            if socket.local and socket.peer:
                self._named[socket.local, socket.peer] = number
        if line.get("told") == "OnClose":
            yield from self._ended(number, line["t"])
        elif "call" in line:
            yield from self._call(number, line, line["t"] + line["d"] // 2)

    def _call(self, number: int, line: Mapping[str, Any], when: int) -> Iterator[Flow]:
        name = line["call"].removeprefix(_GATE)
        # An urgent byte, the last one of a Send, has a way of its own; what is only looked at stays.
        flags = flagsOf(line)
        count = 0 if flags & MSG_PEEK else max(line.get("bytes", 0) - bool(flags & MSG_OOB), 0)
        end = self._ends.setdefault(number, _End())
        if name == "Send" and count:
            end.sends.append((end.sent, when))
            end.sent += count
            if self._other(number) is None and len(end.sends) > _MOST:
                end.sends.popleft()
        elif name == "Receive" and count:
            end.received += count
            yield from self._received(number, end.received, when)
        elif name == "Connect" and "raised" not in line:
            end.connected = when
        elif name == "Accept" and line.get("result"):
            for argument in line.get("args", ()):
                yield from self._accepted(number, argument, when)
        elif name == "ShutDown" and line.get("result") and line.get("args") != [0]:
            end.ended = when
        elif name == "Close":
            end.ended = end.ended or when

    def _received(self, number: int, received: int, when: int) -> Iterator[Flow]:
        other = self._other(number)
        sends = self._ends[other].sends if other in self._ends else deque()
        while other is not None and sends and sends[0][0] < received:
            yield Flow("bytes", (other, sends.popleft()[1]), (number, when))

    def _accepted(self, listener: int, argument: Any, when: int) -> Iterator[Flow]:
        child = argument.get("socket") if isinstance(argument, dict) else None
        client = None if child is None else self._other(child)
        connected = self._ends[client].connected if client in self._ends else None
        if client is not None and connected is not None:
            yield Flow("connection", (client, connected), (listener, when))

    def _ended(self, number: int, when: int) -> Iterator[Flow]:
        other = self._other(number)
        ended = self._ends[other].ended if other in self._ends else None
        if other is not None and ended is not None:
            yield Flow("end of stream", (other, ended), (number, when))

    def _other(self, number: int) -> int | None:
        """
        The other end, as far as it is known.
        """
        socket = self._sockets.get(number)
        if socket is None or not socket.local or not socket.peer:
            return None
        return self._named.get((socket.peer, socket.local))
