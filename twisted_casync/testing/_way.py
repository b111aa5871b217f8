"""
One direction of a connection in memory: what is sent is on its way until the clock has it arrive.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from twisted_casync.testing._faults import Faults
from twisted_casync.winsock import SOCK_STREAM, WSAError

if TYPE_CHECKING:
    from twisted_casync.testing._memorysocket import MemorySocket

__all__ = ["Way"]


class _Limits:
    """
    How much goes at once: a limit for all, or for the first ones.
    """

    def __init__(self, limits: int | Sequence[int]) -> None:
        self._each = limits if isinstance(limits, int) else None
        self._first = deque(() if isinstance(limits, int) else limits)

    def now(self, most: int) -> int:
        """
        @return: no more than C{most}, and than the present limit.
        """
        limit = self._first[0] if self._first else self._each
        return most if limit is None else min(most, limit)

    def passed(self) -> None:
        """
        Something went: the next limit is in force.
        """
        if self._first:
            self._first.popleft()


class Way:
    """
    One direction of a connection: from the C{Send} of one socket to the C{Receive} of the other, in order.

    It is what carries the stream of the socket that sends.

    @ivar source: who sends.
    @ivar target: who receives; L{None} as long as there is nobody.
    @ivar flying: how many bytes are on their way.
    @ivar carried: how many bytes were sent.
    """

    def __init__(self, clock: Any, source: MemorySocket, delay: float) -> None:
        """
        @param clock: a provider of C{IReactorTime}.
        @param delay: seconds that anything takes.
        """
        self.source = source
        self.target: MemorySocket | None = None
        self.flying = self.carried = 0
        self._clock, self._delay = clock, delay
        self._flight: deque[tuple[float, int, Callable[[], None]]] = deque()
        self._call: Any = None
        self._held = False
        self._ended = False
        self._cut = False
        self.script(Faults())

    # -- what a test says

    def script(self, faults: Faults) -> None:
        """
        What is to go wrong from now on.

        @param faults: they replace those before; bytes are counted from now on.
        @raise ValueError: they are said of datagrams.
        """
        if not isinstance(faults, Faults):
            raise TypeError(f"faults must be Faults, not {type(faults).__name__}")
        self._faults = faults.saidOf(SOCK_STREAM)
        self._sends, self._pieces = _Limits(faults.shortSends), _Limits(faults.pieces)
        self._from = self.carried
        self._open = self._clock.seconds() + faults.blocked
        if faults.blocked:
            self._clock.callLater(faults.blocked, self.source.roomy)

    def hold(self) -> None:
        """
        Nothing arrives until L{release}.
        """
        self._held = True
        if self._call is not None:
            self._call.cancel()
            self._call = None

    def release(self) -> None:
        """
        What was held arrives, when the network goes on.
        """
        self._held = False
        self._schedule()

    # -- what carries a stream

    def room(self) -> int:
        """
        @return: how many bytes a C{Send} takes now.
        """
        if self.target is None or self._clock.seconds() < self._open:
            return 0
        waiting = 0 if self.target.isClosed() else self.target.size
        return max(0, self._sends.now(self.source.sendBuffer() - self.flying - waiting))

    def carry(self, data: bytes, urgent: bool) -> int:
        """
        Send.

        @return: how many bytes it takes.
        @raise OSError: a test wants it so.
        """
        room = self.room()
        if not room:
            return 0
        urgent = urgent and len(data) <= room
        data = data[:room]
        self.source.mayFail("Send")
        self._sends.passed()
        self.carried += len(data)
        end, left = self._faults.end(), len(data)
        if end is not None:
            left = max(0, end[0] - (self.carried - len(data) - self._from))
        plain, byte = (data[:-1], data[-1:]) if urgent else (data, b"")
        self._pass(plain[:left])
        if byte and len(plain) < left and not self._cut:
            self.post(partial(self._arrived, byte, True), 1)
        if end is not None and left <= len(data) and not self._cut:
            self._cut = True
            self.post(self._finished if end[1] is None else partial(self._broken, end[1]))
        return len(data)

    def _pass(self, data: bytes) -> None:
        while data and not self._cut:
            size = self._pieces.now(len(data))
            self._pieces.passed()
            self.post(partial(self._arrived, data[:size], False), size)
            data = data[size:]

    def taken(self) -> None:
        """
        The source has received something: there is room on the way back.
        """
        if self.target is not None:
            self.target.roomy()

    def finish(self) -> None:
        """
        The source's stream ends.
        """
        if not (self._ended or self._cut):
            self._ended = True
            self.post(self._finished)

    def close(self, abort: bool) -> None:
        """
        Nobody uses the source any more.  Who closes with something unread resets the connection, as TCP does (RFC 2525,
        2.17).
        """
        source = self.source
        if self.target is not None and not source.isLost():
            if abort or not source.isDrained():
                self.reset()
            else:
                self.finish()
        source.left()

    def reset(self, code: WSAError = WSAError.WSAECONNRESET) -> None:
        """
        Tell the target that there is no connection any more.
        """
        if self.target is not None:
            self.post(partial(self.target.lost, code))

    # -- what is on its way

    def post(self, arrive: Callable[[], None], size: int = 0) -> None:
        """
        Send something along.

        @param arrive: what to call when it is there.
        @param size: how many bytes it is.
        """
        due = self._clock.seconds() + self._delay + self._faults.delay
        if self._flight:
            # In order, also behind what was sent when the way was longer.
            due = max(due, self._flight[-1][0])
        self.flying += size
        self._flight.append((due, size, arrive))
        self._schedule()

    def _schedule(self) -> None:
        if self._flight and self._call is None and not self._held:
            self._call = self._clock.callLater(max(0.0, self._flight[0][0] - self._clock.seconds()), self._arrive)

    def _arrive(self) -> None:
        self._call = None
        _, size, arrive = self._flight.popleft()
        self.flying -= size
        arrive()
        # Behind what that has brought about, so that each piece is told by itself to who receives at once.
        self._schedule()

    def _arrived(self, data: bytes, urgent: bool) -> None:
        target = self.target
        if target is None:
            return
        if target.isClosed():
            # Nobody is there to receive it.
            self.source.roomy()
            if not target.isLost():
                target.out.reset()
        elif urgent:
            target.feedUrgent(data)
        else:
            target.feed(data)

    def _finished(self) -> None:
        if self.target is not None:
            self.target.finished()

    def _broken(self, code: WSAError) -> None:
        self.source.lost(code)
        if self.target is not None:
            self.target.lost(code)
