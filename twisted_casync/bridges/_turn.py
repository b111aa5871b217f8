"""
What the transports of one reactor share: a buffer to receive into, and who has something left to do in this turn.

A transport does not send inside C{write}, nor does it ask to be told that it can.  What a protocol writes while a
transport tells it something is sent, in one piece, as soon as the protocol returns; what is written at another time,
at the reactor's next turn.  So a reply costs one system call, the second of two small pieces does not wait for the
peer's acknowledgement of the first (Nagle's algorithm, RFC 896), and nobody is called from inside their own C{write}.

That a protocol is told more has to wait: with Twisted's own transports, what a protocol leaves to C{callLater(0)} is
done before it is told the next thing, be it the end that it has asked for itself, and there are protocols that count on
it (Twisted's FTP server).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol
from weakref import WeakKeyDictionary

__all__ = ["ROOM", "Concluding", "Turn", "turnOf"]

ROOM: Final = 65536
"""How many bytes are received at most at a time, where nobody says otherwise; Twisted's number."""


class Concluding(Protocol):
    """
    Who can have something left to do at the end of a turn.
    """

    def conclude(self) -> None:
        """
        Do it.  No exception leaves this.
        """


class Turn:
    """
    One reactor's, or more exactly the thread's that it runs in.

    @ivar buffer: what to receive into, L{ROOM} bytes.  It is everybody's: what is in it is copied before anybody is
        called.
    @ivar telling: a protocol is being told something; at the end of that L{conclude} is called.
    @ivar due: who has something left to do.
    @ivar late: the reactor's own calls have had their turn since those were left.
    """

    __slots__ = ("__weakref__", "_all", "_call", "buffer", "due", "late", "telling")

    def __init__(self) -> None:
        self.buffer = self._all = memoryview(bytearray(ROOM))
        self.telling = False
        self.late = False
        self.due: list[Concluding] = []
        self._call: Any = None

    def room(self, size: int) -> memoryview:
        """
        @return: what to receive into where it is to be another number of bytes.
        """
        if size > len(self._all):
            self._all = memoryview(bytearray(size))
            self.buffer = self._all[:ROOM]
        return self._all[:size]

    def during(self, who: Any, what: Callable[..., object], *args: Any) -> None:
        """
        Tell a protocol something, and L{conclude}.  Where it is told of data this is written out, to save a call.

        @param who: the socket that tells it, and whose window tells no more in this turn of the reactor.
        @param what: tells it.
        """
        self.telling = True
        if who._as_window is not None:
            who._as_window.enough = True
        try:
            what(*args)
        finally:
            self.telling = False
            if self.due:
                self.conclude(who.reactor)

    def add(self, reactor: Any, who: Concluding) -> None:
        """
        Call C{who.conclude} at the end of what is being told, or in the reactor's next turn.
        """
        self.due.append(who)
        if not self.telling and self._call is None:
            self._call = reactor.callLater(0, self._begin, reactor)

    def _begin(self, reactor: Any) -> None:
        self._call = None
        self.late = True
        self.conclude(reactor)

    def conclude(self, reactor: Any) -> None:
        """
        Let all who have something left do it.  What that makes others leave is for the next turn: this one ends.
        """
        if self._call is not None:
            self._call.cancel()
            self._call = None
        due, self.due = self.due, []
        self.telling = True
        try:
            for who in due:
                who.conclude()
        finally:
            self.telling = self.late = False
            if self.due:
                self._call = reactor.callLater(0, self._begin, reactor)


_turns: WeakKeyDictionary[Any, Turn] = WeakKeyDictionary()


def turnOf(reactor: Any) -> Turn:
    """
    The turn that the transports of a reactor share.
    """
    turn = _turns.get(reactor)
    if turn is None:
        turn = _turns[reactor] = Turn()
    return turn
