"""
What can be ready, and what a descriptor needs of whoever says so.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, Protocol

from ._notify import ACCEPT, ALL, CLOSE, OOB, READ, WRITE

__all__ = [
    "ENDED",
    "FAILED",
    "HUNG_UP",
    "INTEREST",
    "READABLE",
    "RELEASED",
    "UNWATCHED",
    "URGENT",
    "WRITABLE",
    "Watched",
    "Window",
]

# What can be ready.  The numbers are epoll's (epoll_ctl(2)), so that the window hands them through as they come.
READABLE: Final = 0x0001
URGENT: Final = 0x0002
WRITABLE: Final = 0x0004
FAILED: Final = 0x0008
HUNG_UP: Final = 0x0010
ENDED: Final = 0x2000

UNWATCHED: Final = -1
"""The interest of a socket that is due notifications of which no poller needs to tell."""
RELEASED: Final = -2
"""The interest of a socket that is due no notification: nothing keeps it alive but its application."""

# The end of a stream makes it readable too, and is to be told from data whether FD_CLOSE is selected or not.  No urgent
# data comes after it.
_WANTED: Final = {READABLE: READ | ACCEPT, URGENT: OOB, WRITABLE: WRITE, ENDED: READ | OOB | CLOSE}
INTEREST: Final = tuple(sum(bit for bit, of in _WANTED.items() if events & of) for events in range(ALL + 1))
"""What is of interest for each set of enabled events, so that no path computes it bit by bit."""


class Watched(Protocol):
    """
    A descriptor, as a window sees it.
    """

    def fileno(self) -> int:
        """
        @return: its number.
        """

    def _as_ready(self, bits: int) -> None:
        """
        @param bits: what is ready; 0 asks it to look again at what it knows.
        """


class Window(Protocol):
    """
    Where readiness comes from: what a descriptor needs of the socket window of its reactor.

    @ivar reactor: the reactor.
    @ivar thread: the identifier of the thread that it runs in.
    @ivar turns: another number in each turn of the reactor.
    @ivar enough: somebody who was told something counts on the reactor's own calls, C{callLater(0)}, having their turn
        before more is told: this round is to be the turn's last.
    """

    reactor: Any
    thread: int
    turns: int
    enough: bool

    def open(self) -> None:
        """
        A socket is about to come: what that needs is had now, so that nothing that the socket does later can fail
        for want of a descriptor.

        @raise OSError: there is none.
        """

    def watch(self, descriptor: Watched, old: int, new: int) -> None:
        """
        Call C{descriptor._as_ready} when something of C{new} is ready, and keep the descriptor alive.

        @param old: the interest that was given last, L{RELEASED} at first.
        @param new: bits of interest (L{FAILED} and L{HUNG_UP} are always of interest), L{UNWATCHED}, or L{RELEASED}.
        """

    def keep(self, descriptor: Watched, alive: bool) -> None:
        """
        Keep a descriptor that is watched alive, or leave that to its application.
        """

    def forget(self, descriptor: Watched, interest: int) -> None:
        """
        The descriptor is about to be closed or handed away: nothing that is on its way to it may arrive.
        """

    def dropped(self, interest: int) -> int:
        """
        The reactor has let go of a descriptor, as it does before it calls C{connectionLost}.

        @return: what is left of the interest in it.
        """

    def post(self, descriptor: Watched, bits: int) -> None:
        """
        Call C{descriptor._as_ready(bits)} in a later turn.
        """

    def deliver(self) -> None:
        """
        Call now what was posted, for it was known before what the kernel says next; unless C{enough} is set.
        """

    def spares(self, descriptor: Watched) -> bool:
        """
        @return: whether the descriptor is to be told the next time what the kernel says: C{enough} is set, and it was
            told something a moment ago, or is to be before.
        """

    def later(self, descriptor: Watched, seconds: float, call: Callable[[], None]) -> None:
        """
        Call C{call} after some time, unless the descriptor is given up before.
        """

    def overtaken(self, descriptor: Watched, bits: int) -> None:
        """
        What the kernel said of the descriptor in this turn, and was not delivered yet, is out of date.

        @param bits: what was posted of it and does not stand any more.
        """

    def alone(self) -> bool:
        """
        @return: whether a single descriptor was found ready in this round: nobody waits meanwhile.
        """

    def reader(self, descriptor: Watched) -> tuple[Callable[[int], object], object]:
        """
        @return: a function to be called again and again, with the milliseconds that it may wait, and what it returns as
            long as there is something to receive, and nothing else to tell but that more can be sent.
        """

    def queued(self, descriptor: Watched) -> int:
        """
        @return: how many connections wait for C{Accept} at least; 0 where none does, as far as is known.
        """

    def look(self, descriptor: Watched) -> int:
        """
        @return: what is ready at this moment, whatever is of interest.
        """
