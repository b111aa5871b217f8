"""
The window: what says to sockets that something is ready, whatever it has that from.

MFC gives each thread one hidden window that the notifications of all its sockets are posted to.  Here each reactor has
one.  It keeps the open sockets, delivers what was posted to them, and tells them what the kernel has said: a round for
each answer of the kernel's, and a bounded number of rounds a turn.  Where the kernel is asked is the difference between
the windows of L{_innerset}, and that of the C{casync} reactor.
"""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from itertools import islice
from typing import Any, ClassVar, Final

from ._descriptor import SocketDescriptor, tell
from ._failures import logFailure
from ._handles import Handles
from ._looking import Looking
from ._readiness import RELEASED, UNWATCHED

__all__ = ["LONGEST", "MOST", "PATIENCE", "ROUNDS", "SLICE", "STRIDE", "BaseWindow", "nobody"]

MOST: Final = 256
"""
How many sockets are told in one turn, half of them at the most what was posted.  The reactor's timers and its other
descriptors have their turn in between; epoll gives those that were left out first the next time, so that none starves.
"""

LONGEST: Final = 0.02
"""How many seconds a turn may last, as far as that is up to the window: a handler is not interrupted."""

SLICE: Final = 8
"""How many sockets a turn tells in any case, and after how many the clock is looked at, where they take their time."""

STRIDE: Final = 16
"""After how many sockets the clock is looked at otherwise: a look costs a twentieth of a message."""

ROUNDS: Final = 32
"""
How often the kernel is asked in one turn, which ends when it has nothing more.  A turn of the reactor costs as much as
several times asking; one that is not needed costs little where a single socket is spoken to now and then.
"""

PATIENCE: Final = 16
"""
How often the kernel is asked again in vain, after a single socket was told, before that is left to the reactor's next
turn: where one peer is spoken to, which waits for each answer, it is a tenth of all.
"""

_STRUCK: Final = (-1, 0)
"""What stands in a batch instead of what is no longer true."""

_LOOK: Final = -2
"""What stands in the place of a descriptor where the clock is to be looked at."""


def nobody(fd: int, bits: int) -> None:
    """
    A socket that was in the batch was closed meanwhile.
    """


class BaseWindow(Looking):
    """
    What all windows do: keep the handles, deliver what was posted, tell what the kernel has said.

    @ivar thread: the identifier of the thread that the reactor runs in.
    @ivar handles: the open sockets.
    @ivar posted: who is to be told what in the next round, by descriptor.
    """

    _register: Callable[[SocketDescriptor, int, int], None]
    """Has the kernel, or the reactor, say what is ready of an interest, as L{watch} has it."""

    _callsWithin: ClassVar[bool] = True
    """What is posted within a turn needs a call all the same: a handler can have the reactor turn meanwhile."""

    _said: ClassVar[int] = 0
    """But for what the kernel says as well, and so brings the turn within: the bits of that."""

    def __init__(self, reactor: Any, thread: int, gone: Callable[[], object]) -> None:
        """
        @param gone: what to call when the last socket has left.
        """
        super().__init__()
        self.reactor = reactor
        self.thread = thread
        self.turns = 0
        self._gone = gone
        self.handles = Handles()
        # What the kernel said in this round, and where in it each descriptor stands, if anybody has asked.
        self._batch: list[tuple[int, int]] | None = None
        self._places: dict[int, int] | None = None
        self.posted: dict[int, tuple[SocketDescriptor, int]] = {}
        self.enough = False
        # Those that a turn had no time for: they come first in the next one.
        self._rest: list[int] = []
        # Who was told what was posted; what the kernel said then, or says next, they are told the next time.
        self._spared: set[int] = set()
        # How often, one after the other, nothing more was found to be ready than a single socket.
        self._vain = 0
        # It has lasted long enough, as far as its clock was read.
        self.late = False
        self._until: float | None = None
        # After how many sockets it is looked at.
        self._stride = STRIDE
        self._call: Any = None
        self._waits: dict[int, Any] = {}

    def open(self) -> None:
        """
        Have what it takes to watch a socket.

        @raise OSError: there is no descriptor for it.
        """

    def close(self) -> None:
        """
        The last socket has left: give up what L{open} had.
        """

    def create(self, family: int, kind: int, protocol: int) -> socket.socket:
        """
        @return: a new socket, or what stands in the place of one here.
        @raise OSError: as C{socket(2)}.
        """
        return socket.socket(family, kind, protocol)

    def adopted(self, fd: int) -> socket.socket:
        """
        @return: the socket of a descriptor.
        @raise OSError: it is none that can be watched here.
        """
        return socket.socket(fileno=fd)

    def enter(self, descriptor: SocketDescriptor) -> None:
        """
        A socket was opened.
        """
        self.handles.loosen(descriptor)

    def watch(self, descriptor: SocketDescriptor, old: int, new: int) -> None:
        fd, handles, batch = descriptor._as_fd, self.handles, self._batch
        # Known before it is registered, and registered no more before it is only known: the set looks sockets up.
        if old == RELEASED:
            handles.waiting[fd] = descriptor
            if handles.known:
                handles.known.pop(fd, None)
        if batch and len(batch) > 1 and (old < 0 or new < 0):
            # It begins to be watched, or ends: what was said until now is about another, or stands no more.
            self._strike(fd)
        if self.posted and fd in self.posted:
            self._callWithin()
        self._register(descriptor, old, new)
        if new == RELEASED:
            handles.loosen(descriptor)

    def keep(self, descriptor: SocketDescriptor, alive: bool) -> None:
        (self.handles.hold if alive else self.handles.weaken)(descriptor)

    def forget(self, descriptor: SocketDescriptor, interest: int) -> None:
        self._register(descriptor, interest, RELEASED)
        fd, handles, batch = descriptor._as_fd, self.handles, self._batch
        # What is alone in a batch is being told.
        if batch and len(batch) > 1:
            self._strike(fd)
        if self.posted:
            self.posted.pop(fd, None)
        if self._waits:
            self._cancel(fd)
        handles.waiting.pop(fd, None)
        if handles.known:
            handles.known.pop(fd, None)
        if self._call is not None and not self._isDue():
            self._uncall()
        if not (handles.waiting or handles.known):
            self.close()
            self._gone()

    def _isDue(self) -> bool:
        """
        @return: whether there is anything left to tell for which the window has to be given a turn.
        """
        return bool(self.posted)

    def _strike(self, fd: int) -> None:
        """
        What was said in this round of a descriptor, and not told yet, does not stand any more.
        """
        batch = self._batch
        if batch:
            if self._places is None:
                # Made only in a round in which it is needed.
                self._places = {fd: place for place, (fd, _) in enumerate(batch)}
            place = self._places.get(fd)
            if place is not None:
                batch[place] = _STRUCK

    def post(self, descriptor: SocketDescriptor, bits: int) -> None:
        fd = descriptor._as_fd
        if fd in self.posted:
            bits |= self.posted[fd][1]
        self.posted[fd] = (descriptor, bits)
        said = bits & self._said and descriptor._as_interest > 0 and bits & descriptor._as_interest & self._said
        if self._batch is None or (self._call is None and self._callsWithin and not said):
            self._callLater()

    def _callLater(self) -> None:
        """
        Have another turn.
        """
        # Not active: somebody has cancelled it, as trial does with what a test leaves behind.
        if self._call is None or not self._call.active():
            self._call = self.reactor.callLater(0, self.turn)

    def _callWithin(self) -> None:
        """
        No poller says any more what was posted.
        """
        if self._call is None and self._callsWithin:
            self._callLater()

    def _uncall(self) -> None:
        call, self._call = self._call, None
        if call is not None and call.active():
            call.cancel()

    def spares(self, descriptor: SocketDescriptor) -> bool:
        fd = descriptor._as_fd
        if fd in self._spared:
            self._spared.discard(fd)
            return True
        return self.enough and fd in self.posted

    def later(self, descriptor: SocketDescriptor, seconds: float, call: Callable[[], None]) -> None:
        fd = descriptor._as_fd
        self._cancel(fd)

        def due() -> None:
            del self._waits[fd]
            call()

        self._waits[fd] = self.reactor.callLater(seconds, due)

    def _cancel(self, fd: int) -> None:
        wait = self._waits.pop(fd, None)
        if wait is not None and wait.active():
            wait.cancel()

    def turn(self) -> None:
        """
        The reactor gives the window its turn.
        """
        self.enough = False
        self.deliver()

    def deliver(self) -> None:
        """
        Tell what was posted.
        """
        self.turns += 1
        if self.posted and not self.enough:
            enough = self._begin()
            try:
                self.tellPosted(MOST)
            finally:
                self._end(enough)

    def tell(self, batch: list[tuple[int, int]], other: Callable[[int, int], None]) -> None:
        """
        One round: tell what the kernel has said.

        A handler may close, drain or replace another socket of the same batch: what then is no longer true is struck
        out of it, and so is what was said of a number that meanwhile is another socket's.  What is posted meanwhile is
        for the next round.

        @param other: what to call with the descriptors that are none of the sockets that wait.
        """
        # A handler can have the reactor make another turn within this one.
        outer = self._batch, self._places
        self._batch, self._places = batch, None
        try:
            tell(self.handles.waiting, batch, other)
        finally:
            self._batch, self._places = outer

    def tellPosted(self, most: int) -> int:
        """
        One round: tell what was posted.  What a handler posts is for a later round.

        @param most: how many sockets at the most.
        @return: how many were told.
        """
        outer = self._batch, self._places
        self._batch, self._places = [], None
        fds = list(islice(self.posted, most))
        told = 0
        try:
            for fd in fds:
                due = self.posted.pop(fd, None)
                if due is None:
                    continue
                told += 1
                try:
                    due[0]._as_ready(due[1])
                except BaseException:
                    due[0]._as_crashed()
                if not told % SLICE and self._isLate():
                    break
        finally:
            self._batch, self._places = outer
        if self.enough:
            self._spared.update(fds)
        return told

    def removed(self) -> list[SocketDescriptor]:
        """
        The reactor was told to watch nothing any more, as trial tells it after the tests of a class: so it is with all
        sockets, until they ask for something anew.  None is kept alive, as no transport of Twisted's is then.

        @return: those that were watched.
        """
        watched = [one for one in self.handles.watched() if one._as_interest >= 0]
        for one in watched:
            self._register(one, one._as_interest, RELEASED)
            one._as_interest, one._as_stalled, one._as_fast = RELEASED, True, 0
            self.posted.pop(one._as_fd, None)
            self.handles.loosen(one)
        return watched

    def stopped(self) -> None:
        """
        The reactor stops, and nothing else can happen: each socket hears of it.
        """
        for descriptor in self.handles:
            try:
                descriptor._as_stopped()
            except BaseException:
                # Its own, and that of a subclass; the others are still to hear of it.
                logFailure("{socket!r} failed when the reactor stopped", socket=descriptor)

    def _begin(self) -> bool:
        """
        A turn begins: no call is needed for it any more.

        @return: what L{_end} is to be told: whether this is to be the last round of the turn around this one.
        """
        self.turns += 1
        enough = self.enough and self._batch is not None
        self.enough = self.late = False
        self._until = None
        if self._call is not None:
            self._uncall()
        if threading.get_ident() != self.thread:
            self._moved()
        if self._batch is not None:
            self._turnWithin(self._batch)
        return enough

    def _turnWithin(self, batch: list[tuple[int, int]]) -> None:
        """
        A handler has the reactor turn, within the turn that it is called in.  The kernel says again what is left of
        that one; and whoever is being told something, and has not used it, is not told the same again.
        """
        batch[:] = [_STRUCK] * len(batch)
        for descriptor in list(self.handles.waiting.values()):
            if descriptor._as_fresh:
                descriptor._as_untold()

    def _isLate(self) -> bool:
        """
        A slice of sockets was told: has the turn lasted long enough?  The clock of one that tells few is not read.
        """
        now = self.reactor.seconds()
        if self._until is None:
            self._until = now + LONGEST
        self.late = now >= self._until
        return self.late

    def _strided(self, batch: list[tuple[int, int]], other: Callable[[int, int], None]) -> Callable[[int, int], None]:
        """
        Have the clock looked at while a long batch is told.

        @return: what to call with the descriptors that are none of the sockets that wait.
        """
        place = self._stride
        while place < len(batch):
            batch.insert(place, (_LOOK, place + 1))
            place += self._stride + 1
        seconds = self.reactor.seconds
        until = self._until = self._until or seconds() + LONGEST

        def look(fd: int, rest: int) -> None:
            if fd != _LOOK:
                other(fd, rest)
            elif seconds() >= until:
                # The kernel would name them behind all others, and some would never have their turn.
                self._rest[:0] = [fd for fd, _ in batch[rest:] if fd >= 0]
                del batch[rest:]
                self._places = None

        return look

    def rounds(self, ready: Callable[[int], list[tuple[int, int]]], other: Callable[[int, int], None]) -> None:
        """
        One turn: ask the kernel, and tell each socket that something is ready for, or was posted to.

        @param ready: asks the kernel for so many descriptors at the most.
        @param other: as in L{tell}.
        """
        enough = self._begin()
        left, unread, alone = MOST, 0, False
        if self._rest:
            # The clock of a turn that tells few is not read; but this is one of many.
            self._until = self.reactor.seconds() + LONGEST
        try:
            for _ in range(ROUNDS):
                # What was posted was known before the kernel is asked, and is told before.
                told = self.tellPosted(max(left // 2, 1)) if self.posted else 0
                # Who has something posted all the time, or is slow, keeps nobody else from being told.
                most = SLICE if self.late else max(left - told, 1)
                batch = (self._rest and self._stillReady(most)) or ready(most)
                if alone:
                    self._vain = 0 if batch else self._vain + 1
                if self._spared:
                    # The kernel says it again in the next turn.
                    batch = [event for event in batch if event[0] not in self._spared]
                    self._spared.clear()
                told += len(batch)
                unread += len(batch)
                if batch:
                    self.tell(batch, other if len(batch) <= self._stride else self._strided(batch, other))
                if unread >= SLICE:
                    unread = 0
                    self._isLate()
                left -= told
                if left <= 0 or self.late or self.enough or not (batch or self.posted):
                    break
                alone = len(batch) == 1 and not self.posted
                if alone and self._vain >= PATIENCE:
                    # Now and then, for that may have changed.
                    self._vain += 1
                    if self._vain % PATIENCE:
                        break
        finally:
            self._end(enough)

    def _stillReady(self, most: int) -> list[tuple[int, int]]:
        """
        @return: what those are ready for that the turn before had no time for, if they are.
        """
        rest, self._rest = self._rest[:most], self._rest[most:]
        return self.readyOf((fd, self.interestIn(fd)) for fd in rest)

    def interestIn(self, fd: int) -> int:
        """
        @return: what a descriptor is watched for; negative where it is not.
        """
        descriptor = self.handles.waiting.get(fd)
        return UNWATCHED if descriptor is None else descriptor._as_interest

    def _end(self, enough: bool) -> None:
        """
        A turn ends: what is left is for the next one.

        @param enough: what L{_begin} said.
        """
        self.enough = self.enough or enough
        if self.late or self._stride != STRIDE:
            self._stride = SLICE if self.late else min(self._stride * 2, STRIDE)
        if self._isDue():
            self._callLater()
        elif self._call is not None:
            self._uncall()

    def overtaken(self, descriptor: SocketDescriptor, bits: int) -> None:
        fd = descriptor._as_fd
        self._strike(fd)
        if fd in self.posted:
            self.posted[fd] = (descriptor, self.posted[fd][1] & ~bits)
            self._callWithin()

    def alone(self) -> bool:
        return self._batch is not None and len(self._batch) == 1

    def _moved(self) -> None:
        """
        The reactor runs in this thread: one that was not running yet when the first socket was opened may have been
        started in another.
        """
        thread = threading.get_ident()
        if thread != self.thread:
            self.thread = thread
            for descriptor in self.handles:
                descriptor._as_moved(thread)
