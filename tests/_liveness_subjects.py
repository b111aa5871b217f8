"""
Sockets of random programs, which know what they are due: what holds is read from the kernel, what is news from a
history of their own.

Nothing here reads what the class remembers of a socket.  In doubt a socket is due nothing.
"""

from __future__ import annotations

import select
import socket
from collections import deque
from typing import Any, Final

from twisted.internet.defer import Deferred

from twisted_casync import CAsyncSocket, CSocket, WSAError
from twisted_casync._conduit import Conduit
from twisted_casync._ioctl import unread
from twisted_casync.testing._scenario import EVENTS, HandlerRule

__all__ = ["FAILED", "HUNG_UP", "READABLE", "WRITABLE", "Subject", "WaitingSubject", "bitsOf"]

READABLE: Final = select.POLLIN
URGENT: Final = select.POLLPRI
WRITABLE: Final = select.POLLOUT
FAILED: Final = select.POLLERR
HUNG_UP: Final = select.POLLHUP
ENDED: Final = 0x2000  # POLLRDHUP
_ALL: Final = READABLE | URGENT | WRITABLE | ENDED


def bitsOf(sock: Any) -> int:
    """
    @return: what poll(2), or a conduit, says of an open socket.
    """
    if isinstance(sock, Conduit):
        return sock.ready()
    poller = select.poll()
    poller.register(sock.fileno(), _ALL)
    found = poller.poll(0)
    return found[0][1] if found else 0


def _hasUnread(sock: Any, bits: int) -> bool:
    """
    @return: whether a stream has data that a Receive would get.
    """
    if isinstance(sock, Conduit):
        return sock.size > 0
    if bits & FAILED:
        # To look would take the error away.
        return unread(sock) > 0
    try:
        return bool(sock.recv(1, socket.MSG_PEEK))
    except OSError:
        return False


class _Told:
    """
    What both kinds of sockets of a program have.

    @ivar label: its name in the program.
    @ivar isOpen: whether it has a socket, as far as the program knows.
    @ivar stage: C{"unconnected"}, C{"listening"}, C{"connecting"}, C{"connected"}, C{"datagram"}; C{"unknown"} as long
        as that is not certain, C{"another's"} where another object decides it.
    @ivar selected: the events that the program has selected.
    @ivar heard: those that were told and not enabled again since.
    @ivar shut: the directions that it has ended.
    @ivar aborted: it is to be told of its abort.
    @ivar broken: it was told that its connection is lost.
    @ivar accepted: who was accepted last in the present OnAccept.
    @ivar looksUp: it was to connect to a name last.
    @ivar once: what it does the next times that it is told.
    @ivar standing: what it does at any other time.
    """

    def prepare(self, world: Any, label: str) -> None:
        self.world = world
        self.label = label
        self.once: dict[str, deque[HandlerRule]] = {event: deque() for event in EVENTS}
        self.standing: dict[str, HandlerRule] = {}
        self.aborted = False
        self.accepted: Any = None
        self.looksUp = False
        self.begin("unconnected", set())
        self.isOpen = False

    def prepareNothing(self) -> None:
        """
        It does nothing any more when it is told something.
        """
        for waiting in self.once.values():
            waiting.clear()
        self.standing.clear()

    def begin(self, stage: str, selected: set[str]) -> None:
        """
        It has a socket from now on, or another one.
        """
        self.isOpen = True
        self.stage = stage
        self.selected = selected
        self.heard: set[str] = set()
        self.shut: set[str] = set()
        self.broken = False

    def end(self) -> None:
        """
        It has no socket any more.
        """
        self.isOpen = False

    def isLeft(self) -> None:
        """
        Its reactor was told to watch nothing any more: it hears nothing until it selects anew.
        """
        self.selected = set()
        if self.stage == "connecting":
            self.stage = "unknown"

    def aborts(self, told: bool = False) -> None:
        """
        An exception costs it its socket.

        @param told: OnClose was.
        """
        if self.isOpen:
            self.isOpen, self.aborted = False, not told

    def hears(self, event: str, code: int) -> None:
        """
        A handler is called.
        """
        world: Any = self.world
        world.told(self, event, code)
        if event == "OnClose" and self.aborted:
            self.aborted = False
            if code != WSAError.WSAECONNABORTED:
                world.fault(f"{self.label} was aborted and is told OnClose({code})")
        elif not self.isOpen:
            world.fault(f"{self.label} is closed and is told {event}({code})")
        elif event == "OnConnect":
            self.stage = "unconnected" if code else "connected"
            self.heard = set()
        else:
            self.heard.add(event)
            # Of a duplicate the other object may know why.
            dead = event == "OnClose" and (code or bitsOf(self._as_sock) & HUNG_UP)  # type: ignore[attr-defined]
            self.broken = self.broken or bool(dead)
        if event == "OnAccept":
            self.accepted = None
        waiting = self.once[event]
        rule = waiting.popleft() if waiting else self.standing.get(event)
        if rule is not None:
            world.react(self, event, rule)

    def holding(self) -> set[str]:
        """
        @return: the events that hold now.
        """
        sock: Any = self._as_sock  # type: ignore[attr-defined]  # a CAsyncSocket's
        bits = bitsOf(sock)
        if self.stage == "listening":
            return {"OnAccept"} if bits & READABLE else set()
        if self.stage == "connecting":
            return {"OnConnect"} if bits & (WRITABLE | FAILED | HUNG_UP) else set()
        if self.stage == "datagram":
            return self._possible(
                {"OnReceive"} if bits & (READABLE | FAILED) else set(), {"OnSend"} if bits & WRITABLE else set()
            )
        if self.stage != "connected":
            return set()
        dead, more = bool(bits & (FAILED | HUNG_UP)), _hasUnread(sock, bits)
        receiving = {"OnReceive"} if more else set()
        if bits & URGENT and not dead:
            receiving.add("OnOutOfBandData")
        holds = self._possible(receiving, {"OnSend"} if bits & WRITABLE and not dead else set())
        # The end waits for the data before it, where somebody is told of that, as long as this object has not received,
        # also where a duplicate has; a reset waits for nothing.
        waits = (more or "OnReceive" in self.heard) and "OnReceive" in self.selected and "receives" not in self.shut
        # What comes behind both ends of the stream is no news.
        if (bits & FAILED and "sends" not in self.shut) or (bits & (ENDED | HUNG_UP) and not waits):
            holds.add("OnClose")
        # Only a reset hangs up what this side has not ended: whoever waits to send is told, after OnClose(0) too.
        if dead and "sends" not in self.shut and not self.broken and "OnSend" in self.selected - self.heard:
            self.heard.discard("OnClose")
        return holds

    def _possible(self, receiving: set[str], sending: set[str]) -> set[str]:
        return (receiving if "receives" not in self.shut else set()) | (sending if "sends" not in self.shut else set())

    def missing(self) -> set[str]:
        """
        @return: the events that are to be told: they are selected, they hold, and they were not told.
        """
        if not self.isOpen:
            return {"OnClose(WSAECONNABORTED)"} if self.aborted else set()
        if self._as_sock is None:  # type: ignore[attr-defined]
            # Somebody has closed it, which is found elsewhere.
            return set()
        return (self.holding() & self.selected) - self.heard

    def rests(self) -> None:
        """
        Nothing more is told: what was unknown before is known by now.
        """
        if self.isOpen and self.stage == "unknown" and self.hasPeer():
            self.stage = "connected"

    def hasPeer(self) -> bool:
        """
        @return: whether the kernel knows one.
        """
        try:
            self._as_sock.getpeername()  # type: ignore[attr-defined]
        except OSError:
            return False
        return True


class Subject(_Told, CAsyncSocket):
    """
    A C{CAsyncSocket} of a program.
    """

    def OnAccept(self, nErrorCode: int) -> None:
        self.hears("OnAccept", nErrorCode)

    def OnConnect(self, nErrorCode: int) -> None:
        self.hears("OnConnect", nErrorCode)

    def OnReceive(self, nErrorCode: int) -> None:
        self.hears("OnReceive", nErrorCode)

    def OnSend(self, nErrorCode: int) -> None:
        self.hears("OnSend", nErrorCode)

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        self.hears("OnOutOfBandData", nErrorCode)

    def OnClose(self, nErrorCode: int) -> None:
        self.hears("OnClose", nErrorCode)


class WaitingSubject(_Told, CSocket):
    """
    A C{CSocket} of a program: what its calls wait for is to come; of its handlers nothing is asked.

    @ivar calls: those that wait, by what readiness ends each.
    """

    def prepare(self, world: Any, label: str) -> None:
        super().prepare(world, label)
        self.calls: list[tuple[int, Deferred[Any]]] = []

    def wait(self, bits: int, call: Deferred[Any]) -> None:
        """
        A call was made, which ends when something of C{bits} is so.
        """
        self.calls.append((bits, call))

        def ended(result: object) -> None:
            # Its failure is one of its results.
            self.calls = [(bits, each) for bits, each in self.calls if each is not call]

        call.addBoth(ended)

    def isLeft(self) -> None:
        super().isLeft()
        # That they have ended is asked for only where it is closed.
        self.calls = [(0, call) for _, call in self.calls]

    def cancel(self) -> None:
        """
        Cancel what waits.
        """
        for _, call in list(self.calls):
            call.cancel()

    def missing(self) -> set[str]:
        if not self.isOpen:
            return super().missing() | ({"the end of its calls"} if self.calls else set())
        sock: Any = self._as_sock
        bits = 0 if sock is None else bitsOf(sock)
        return {"the end of a call" for ends, _ in self.calls if ends and bits & (ends | FAILED | HUNG_UP)}

    def OnAccept(self, nErrorCode: int) -> None:
        self.hears("OnAccept", nErrorCode)

    def OnConnect(self, nErrorCode: int) -> None:
        self.hears("OnConnect", nErrorCode)

    def OnReceive(self, nErrorCode: int) -> None:
        self.hears("OnReceive", nErrorCode)

    def OnSend(self, nErrorCode: int) -> None:
        self.hears("OnSend", nErrorCode)

    def OnOutOfBandData(self, nErrorCode: int) -> None:
        self.hears("OnOutOfBandData", nErrorCode)

    def OnClose(self, nErrorCode: int) -> None:
        self.hears("OnClose", nErrorCode)
