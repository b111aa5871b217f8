"""How the connections of a listener that was stopped come to their end: answered first, in limited time."""

from __future__ import annotations

from collections.abc import Callable, Set
from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

__all__ = ["LULL", "Drain", "Finishing"]

_log = Logger("casync")

# Seconds without traffic after which a connection with nothing left to send counts as answered. A peer's next
# bytes can be under way at the moment of the stop, so "nothing to read just now" would cut off a live
# transfer.
LULL = 0.25


class Finishing(Protocol):
    """What is drained: a connection that counts its traffic, and that can be ended well or cut off.

    @ivar peer: the name of the other end in the log.
    """

    peer: str
    bytesIn: int
    bytesOut: int

    def unfinished(self) -> bool:
        """Whether something is still to be sent."""

    def finish(self) -> None:
        """End it in good order."""

    def abort(self) -> None:
        """Cut it off."""


class Drain:
    """Waits for connections to finish.

    @param connections: the live set; whoever removes one from it calls `ended`.
    @param clock: what to measure the time with.
    @param grace: seconds after which those that still have something to send are reset, and the others ended.

    @ivar done: a Deferred that fires with None when the set is empty.
    """

    def __init__(self, connections: Set[Finishing], clock: IReactorTime, grace: float) -> None:
        self.done: Deferred[None] = Deferred()
        self._connections = connections
        self._clock = clock
        self._traffic: dict[Finishing, int] = {}
        self._calls: dict[str, IDelayedCall] = {}
        # Those that can't be ended: nobody waits for them, nor do the others.
        self._failed: set[Finishing] = set()
        if connections:
            self._calls["cut off"] = clock.callLater(grace, self._cutOff)
            self._look()
        else:
            self.done.callback(None)

    def ended(self) -> None:
        """A connection has left the set."""
        if self._isLeft() or self.done.called:
            return
        for call in self._calls.values():
            if call.active():
                call.cancel()
        self.done.callback(None)

    def _isLeft(self) -> bool:
        return not self._connections <= self._failed

    def _each(self, what: Callable[[Finishing], None]) -> None:
        for connection in set(self._connections) - self._failed:
            try:
                what(connection)
            except BaseException:
                _log.failure("{peer} can't be ended", peer=connection.peer)
                self._failed.add(connection)
                self.ended()

    def _look(self) -> None:
        self._each(self._finishIfQuiet)
        if self._isLeft():
            self._calls["look"] = self._clock.callLater(LULL, self._look)

    def _finishIfQuiet(self, connection: Finishing) -> None:
        traffic = connection.bytesIn + connection.bytesOut
        if self._traffic.get(connection) == traffic and not connection.unfinished():
            connection.finish()
        self._traffic[connection] = traffic

    def _cutOff(self) -> None:
        late: list[Finishing] = []

        def end(connection: Finishing) -> None:
            if connection.unfinished():
                late.append(connection)
                connection.abort()
            else:
                connection.finish()

        self._each(end)
        if late:
            _log.warn("time is up, connections cut off: {count}", count=len(late))
