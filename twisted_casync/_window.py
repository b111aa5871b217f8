"""
The window: what says to sockets that something is ready, whatever it has that from.

MFC gives each thread one hidden window that the notifications of all its sockets are posted to.  Here each reactor has
one.  It keeps the open sockets, delivers what was posted to them, and tells them what the kernel has said: a round for
each answer of the kernel's, and a bounded number of rounds a turn.  Where the kernel is asked is the difference between
the windows of L{_innerset}, and that of the C{casync} reactor.
"""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final
from weakref import ref

from ._connecting import queuedFor
from ._descriptor import SocketDescriptor, tell
from ._readiness import ENDED, READABLE, RELEASED, URGENT, WRITABLE

__all__ = ["MOST", "ROUNDS", "BaseWindow", "Handles", "nobody"]

MOST: Final = 256
"""
How many sockets are told in one turn.  The reactor's timers and its other descriptors have their turn in between; epoll
gives those that were left out first the next time, so that none starves.
"""


ROUNDS: Final = 32
"""
How often the kernel is asked in one turn, which ends when it has nothing more.  A turn of the reactor costs as much as
several times asking; one that is not needed costs little where a single socket is spoken to now and then.
"""

_STRUCK: Final = (-1, 0)
"""What stands in a batch instead of what is no longer true."""


def nobody(fd: int, bits: int) -> None:
    """
    A socket that was in the batch was closed meanwhile.
    """


class Handles:
    """
    The open sockets of a window by their descriptors: those that wait for notifications are kept alive, the others
    are only known.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, SocketDescriptor] = {}
        # A socket that nobody holds any more leaves by itself: it closes itself.
        self.known: dict[int, ref[SocketDescriptor]] = {}

    def __iter__(self) -> Iterator[SocketDescriptor]:
        known = [refer() for refer in self.known.values()]
        return iter([*self.waiting.values(), *(one for one in known if one is not None)])

    def find(self, fd: int) -> SocketDescriptor | None:
        """
        @return: the socket that has the descriptor; L{None} where there is none.
        """
        waiting = self.waiting.get(fd)
        if waiting is None and fd in self.known:
            return self.known[fd]()
        return waiting

    def hold(self, descriptor: SocketDescriptor) -> None:
        """
        It waits from now on.
        """
        fd = descriptor._as_fd
        self.waiting[fd] = descriptor
        if self.known:
            self.known.pop(fd, None)

    def loosen(self, descriptor: SocketDescriptor) -> None:
        """
        It waits no more, or not yet.
        """
        fd = descriptor._as_fd
        self.known[fd] = ref(descriptor)
        self.waiting.pop(fd, None)

    def drop(self, fd: int) -> None:
        """
        Its descriptor is about to be closed, or handed away.
        """
        self.waiting.pop(fd, None)
        if self.known:
            self.known.pop(fd, None)


class BaseWindow:
    """
    What all windows do: keep the handles, deliver what was posted, tell what the kernel has said.

    @ivar thread: the identifier of the thread that the reactor runs in.
    @ivar handles: the open sockets.
    @ivar posted: who is to be told what in the next round, by descriptor.
    """

    _register: Callable[[SocketDescriptor, int, int], None]
    """Has the kernel, or the reactor, say what is ready of an interest, as L{watch} has it."""

    def __init__(self, reactor: Any, thread: int, gone: Callable[[], object]) -> None:
        """
        @param gone: what to call when the last socket has left.
        """
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
        # Who was told what was posted; what the kernel said then, or says next, they are told the next time.
        self._spared: set[int] = set()
        self._call: Any = None
        self._waits: dict[int, Any] = {}
        self._looker = select.poll()
        # The number that it looks at: of whom, poll(2) finds out each time.
        self._looked = -1

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
        # Known before it is registered, and registered no more before it is only known: the set looks sockets up.
        if old == RELEASED:
            self.handles.hold(descriptor)
        if self._batch and (old < 0 or new < 0):
            # It begins to be watched, or ends: what was said until now is about another, or stands no more.
            self._strike(descriptor._as_fd)
        self._register(descriptor, old, new)
        if new == RELEASED:
            self.handles.loosen(descriptor)

    def forget(self, descriptor: SocketDescriptor, interest: int) -> None:
        self._register(descriptor, interest, RELEASED)
        fd = descriptor._as_fd
        if self._batch:
            self._strike(fd)
        if self.posted:
            self.posted.pop(fd, None)
        if self._waits:
            self._cancel(fd)
        self.handles.drop(fd)
        if self._call is not None and not self._isDue():
            self._call.cancel()
            self._call = None
        handles = self.handles
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
        # What is alone in a batch is being told.
        if batch and len(batch) > 1:
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
        if self._call is None and self._batch is None:
            self._call = self.reactor.callLater(0, self.turn)

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
        if wait is not None:
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
        if self.posted and self._batch is None and not self.enough:
            self._begin()
            self.tell([], nobody)
            self._end()

    def tell(self, batch: list[tuple[int, int]], other: Callable[[int, int], None]) -> None:
        """
        One round: tell what was posted, or what the kernel has said.

        A handler may close, drain or replace another socket of the same batch: what then is no longer true is struck
        out of it, and so is what was said of a number that meanwhile is another socket's.  What is posted meanwhile is
        for the next round.

        @param other: what to call with the descriptors that are none of the sockets that wait.
        """
        # A handler can have the reactor make another turn within this one.
        outer = self._batch, self._places
        self._batch, self._places = batch, None
        try:
            if batch:
                tell(self.handles.waiting, batch, other)
            else:
                self._tellPosted()
        finally:
            self._batch, self._places = outer

    def stopped(self) -> None:
        """
        The reactor stops, and nothing else can happen: each socket hears of it.
        """
        for descriptor in self.handles:
            descriptor._as_stopped()

    def _begin(self) -> None:
        """
        A turn begins: no call is needed for it any more.
        """
        self.turns += 1
        self.enough = False
        if self._call is not None:
            if self._call.active():
                self._call.cancel()
            self._call = None
        if threading.get_ident() != self.thread:
            self._moved()

    def rounds(self, ready: Callable[[int], list[tuple[int, int]]], other: Callable[[int, int], None]) -> None:
        """
        One turn: ask the kernel, and tell each socket that something is ready for, or was posted to.

        @param ready: asks the kernel for so many descriptors at the most.
        @param other: as in L{tell}.
        """
        self._begin()
        try:
            left = MOST
            for _ in range(ROUNDS):
                if self.posted:
                    # It was known before the kernel is asked, and is told before.
                    self.tell([], other)
                batch = ready(left)
                if self._spared:
                    # The kernel says it again in the next turn.
                    batch = [event for event in batch if event[0] not in self._spared]
                    self._spared.clear()
                if batch:
                    self.tell(batch, other)
                left -= len(batch)
                if left <= 0 or self.enough or not (batch or self.posted):
                    break
        finally:
            self._end()

    def _end(self) -> None:
        """
        A turn ends: what is left is for the next one.
        """
        if self.posted and self._call is None:
            self._call = self.reactor.callLater(0, self.turn)

    def _tellPosted(self) -> None:
        # What a handler posts is for a later round: this one ends.
        fds = list(self.posted)
        for fd in fds:
            due = self.posted.pop(fd, None)
            if due is not None:
                try:
                    due[0]._as_ready(due[1])
                except BaseException:
                    due[0]._as_crashed()
        if self.enough:
            self._spared.update(fds)

    def overtaken(self, descriptor: SocketDescriptor, bits: int) -> None:
        fd = descriptor._as_fd
        self._strike(fd)
        if fd in self.posted:
            self.posted[fd] = (descriptor, self.posted[fd][1] & ~bits)

    def alone(self) -> bool:
        return self._batch is not None and len(self._batch) == 1

    def look(self, descriptor: SocketDescriptor) -> int:
        fd = descriptor._as_fd
        if fd != self._looked:
            if self._looked >= 0:
                self._looker.unregister(self._looked)
            self._looker.register(fd, READABLE | URGENT | WRITABLE | ENDED)
            self._looked = fd
        found = self._looker.poll(0)
        return found[0][1] if found else 0

    def queued(self, descriptor: SocketDescriptor) -> int:
        sock = descriptor._as_sock
        count = -1 if sock is None else queuedFor(sock, descriptor._as_family)
        return self.look(descriptor) & READABLE if count < 0 else count

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
