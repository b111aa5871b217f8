"""
WHETHER an event is news: the rules of C{WSAAsyncSelect}, as tables and one small machine of bit masks.

The rules, in the words of the C{WSAAsyncSelect} page of the Win32 documentation and of what Windows does:

 - An application selects events.  An event that holds is told once; it is told again only after the application
   has called that event's re-enabling function and the event still, or again, holds (L{REENABLED_BY}).  Any call of
   that function counts, also one that fails or peeks.
 - C{FD_WRITE} is told once when sending becomes possible, and then again only after a C{Send} that would have
   blocked.  A C{Send} that succeeds neither takes a due C{FD_WRITE} away nor brings one about.
 - C{FD_CONNECT} and C{FD_CLOSE} have no re-enabling function: each is told once.
 - Selecting again replaces what was selected, and tells anew whatever holds at that moment; only C{FD_CONNECT} is
   never repeated, because it is possible in no phase but that of connecting.
 - Each phase of a socket's life knows some of the events only (L{POSSIBLE}).

The machine decides which events I{would} be news (L{Notifications.enabled}).  Whether an event holds is the business
of its feeder, which may be a descriptor, a TLS layer or a test: the machine knows no socket, no reactor, no clock.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final

from .winsock import Event

__all__ = [
    "ACCEPT",
    "ALL",
    "BOUND",
    "CLOSE",
    "CLOSED",
    "CONNECT",
    "CONNECTED",
    "CONNECTING",
    "DATAGRAM",
    "FIRST",
    "HANDLERS",
    "LISTENING",
    "NEW",
    "OOB",
    "ORDER",
    "POSSIBLE",
    "READ",
    "REENABLED_BY",
    "UNNAMED",
    "WRITE",
    "Notifications",
    "Phase",
]

# Plain integers: an IntFlag makes an object for each operation, and these are operated on with every message.
READ: Final = int(Event.FD_READ)
WRITE: Final = int(Event.FD_WRITE)
OOB: Final = int(Event.FD_OOB)
ACCEPT: Final = int(Event.FD_ACCEPT)
CONNECT: Final = int(Event.FD_CONNECT)
CLOSE: Final = int(Event.FD_CLOSE)
ALL: Final = int(Event.FD_ALL_EVENTS)


class Phase(IntEnum):
    """
    Where a socket is in its life.
    """

    CLOSED = 0
    """No descriptor."""
    NEW = 1
    """A stream socket without a local name."""
    BOUND = 2
    """A stream socket with a local name; also after a connect that failed."""
    LISTENING = 3
    CONNECTING = 4
    """Looking a name up, or waiting for the peer."""
    CONNECTED = 5
    """Until it is closed: an end of stream or a reset does not leave this phase."""
    UNNAMED = 6
    """A datagram socket without a local name."""
    DATAGRAM = 7
    """A datagram socket with a local name."""


# Names of the module: to get a member of an enumeration by its class is a call of Python's before 3.12.
CLOSED: Final = Phase.CLOSED
NEW: Final = Phase.NEW
BOUND: Final = Phase.BOUND
LISTENING: Final = Phase.LISTENING
CONNECTING: Final = Phase.CONNECTING
CONNECTED: Final = Phase.CONNECTED
UNNAMED: Final = Phase.UNNAMED
DATAGRAM: Final = Phase.DATAGRAM

POSSIBLE: Final = {
    CLOSED: 0,
    NEW: 0,
    BOUND: 0,
    LISTENING: ACCEPT,
    CONNECTING: CONNECT,
    CONNECTED: READ | WRITE | OOB | CLOSE,
    UNNAMED: READ | WRITE,
    DATAGRAM: READ | WRITE,
}

_WRITE_OR_CLOSE: Final = WRITE | CLOSE

REENABLED_BY: Final = {
    "Receive": READ | OOB,
    "Receive of urgent data": OOB,
    "Accept": ACCEPT,
    "Send that would have blocked": WRITE,
}

# The order in which events that hold at the same moment are told.  A connection is announced before anything
# that happens on it.  Data comes before an urgent byte because it stands before it in the stream: data that stands
# behind the urgent byte the feeder does not report while that byte is due.  FD_CLOSE is the last word.
ORDER: Final = (CONNECT, ACCEPT, READ, OOB, WRITE, CLOSE)
FIRST: Final = tuple(next((event for event in ORDER if event & due), 0) for due in range(ALL + 1))
"""The one to tell first of each set of events; 0 of none."""


HANDLERS: Final = {
    READ: "OnReceive",
    WRITE: "OnSend",
    OOB: "OnOutOfBandData",
    ACCEPT: "OnAccept",
    CONNECT: "OnConnect",
    CLOSE: "OnClose",
}


class Notifications:
    """
    What is selected on one socket, and what would be news to it.

    @ivar selected: the events that the application selected.
    @ivar possible: the events that the socket's phase, and what was done to it, leave possible.
    @ivar enabled: the events that are news as soon as they hold; always a subset of C{selected}.
    """

    __slots__ = ("enabled", "possible", "selected")

    def __init__(self, selected: int = 0) -> None:
        self.selected = selected
        self.possible = 0
        self.enabled = 0

    def select(self, events: int) -> None:
        """
        C{AsyncSelect}: replace what is selected; whatever is possible and holds is news again.
        """
        due = self.enabled & CONNECT
        self.selected = events & ALL
        self.enabled = self.selected & (self.possible | due)

    def enter(self, phase: Phase) -> None:
        """
        The socket has entered C{phase}: all that is possible there is news.  The result of a connection attempt
        that is still to be told stays due: it is told after the phase that it is about.
        """
        due = self.enabled & CONNECT if phase else 0
        self.possible = POSSIBLE[phase]
        self.enabled = self.selected & self.possible | due

    def forbid(self, events: int) -> None:
        """
        C{events} can't happen any more in this phase: the direction was shut down, or urgent data is received in line.
        """
        self.possible &= ~events
        self.enabled &= ~events

    def allow(self, events: int) -> None:
        """
        Take L{forbid} back: what was forbidden is news again, as far as it is selected.
        """
        events &= ~self.possible
        self.possible |= events
        self.enabled |= self.selected & events

    def tell(self, event: int) -> None:
        """
        C{event} is told: it is no news until it is re-enabled.
        """
        self.enabled &= ~event

    def reenable(self, events: int) -> None:
        """
        The re-enabling function of C{events} (an entry of L{REENABLED_BY}) was called.
        """
        self.enabled |= events & self.selected & self.possible

    def waits(self) -> bool:
        """
        @return: whether FD_WRITE is due after FD_CLOSE was told: a Send waits on a stream that the peer has ended.
        """
        return self.enabled & _WRITE_OR_CLOSE == WRITE and bool(self.selected & self.possible & CLOSE)

    def news(self, holding: int) -> int:
        """
        The first event to tell.

        @param holding: the events that hold now.
        @return: one event, or 0 when none of those that hold is news.
        """
        return FIRST[holding & self.enabled]
