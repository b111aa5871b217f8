"""
WHERE readiness comes from: the socket window.

MFC gives each thread one hidden window that the notifications of all its sockets are posted to.  Here each reactor has
one: an inner epoll set that is itself one ordinary reader of whatever reactor runs, and calls the sockets' doors
directly.  So a message costs no dispatch of the reactor's, the reactor holds one reader however many sockets there
are, and the bits of C{epoll_wait} say what no reactor of Twisted does: urgent data, and how a stream ended.

The window comes into being with the first socket of its reactor and goes with the last, as MFC's does: a program, and a
test, that has closed its sockets leaves nothing behind in the reactor.

Where there is no epoll, or when C{AfxSocketInit(reactor, direct=True)} asks for it, the sockets register with the
reactor itself (L{DirectWindow}).
"""

from __future__ import annotations

import select
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final
from weakref import ref

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from ._descriptor import SocketDescriptor, tell
from ._readiness import ENDED, READABLE, RELEASED, UNWATCHED, URGENT, WRITABLE
from .winsock import WSAError, errorFromErrno

__all__ = ["HAS_EPOLL", "DirectWindow", "SocketWindow"]

HAS_EPOLL: Final = hasattr(select, "epoll")

MOST: Final = 256
"""
How many sockets are told in one turn.  The reactor's timers and its other descriptors have their turn in between; epoll
gives those that were left out first the next time, so that none starves.
"""


ROUNDS: Final = 16
"""
How often the kernel is asked in one turn.  It is asked again when it had more than one socket ready, or when something
was posted meanwhile: more is likely to have come, and a turn of the reactor costs as much as a few messages.
"""

_STRUCK: Final = (-1, 0)
"""What stands in a batch instead of what is no longer true."""


def _nobody(fd: int, bits: int) -> None:
    """
    A socket that was in the batch was closed meanwhile.
    """


class _Handles:
    """
    The open sockets of a window by their descriptors: those that wait for notifications are kept alive, the others
    are only known.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, SocketDescriptor] = {}
        # A socket that nobody holds any more leaves by itself: it closes itself.
        self.known: dict[int, ref[SocketDescriptor]] = {}

    def __len__(self) -> int:
        return len(self.waiting) + len(self.known)

    def __iter__(self) -> Iterator[SocketDescriptor]:
        known = [refer() for refer in self.known.values()]
        return iter([*self.waiting.values(), *(one for one in known if one is not None)])

    def find(self, fd: int) -> SocketDescriptor | None:
        waiting = self.waiting.get(fd)
        if waiting is None and fd in self.known:
            return self.known[fd]()
        return waiting

    def hold(self, descriptor: SocketDescriptor) -> None:
        fd = descriptor.fileno()
        self.waiting[fd] = descriptor
        self.known.pop(fd, None)

    def loosen(self, descriptor: SocketDescriptor) -> None:
        fd = descriptor.fileno()
        self.known[fd] = ref(descriptor)
        self.waiting.pop(fd, None)

    def drop(self, fd: int) -> None:
        self.waiting.pop(fd, None)
        self.known.pop(fd, None)


def _closedBeneath(error: OSError) -> bool:
    """
    Does a poller complain of a descriptor that was closed beneath its object?  Nothing is amiss then: the kernel has
    taken it out of every poller, and what is called of the socket fails by itself.
    """
    # ENOENT: the number is another's already; EPERM: it is that of a file, which no poller takes.
    gone = isinstance(error, (FileNotFoundError, PermissionError))
    return gone or errorFromErrno(error.errno) is WSAError.WSAENOTSOCK


@implementer(IReadDescriptor)
class _InnerSet:
    """
    The inner epoll set: registered sockets, and one reader of the reactor as long as there are any.
    """

    def __init__(self, window: _Window) -> None:
        self._window = window
        self._epoll: select.epoll | None = None
        self._registered = 0

    def open(self) -> None:
        """
        @raise OSError: there is no descriptor for it.
        """
        if self._epoll is None and HAS_EPOLL:
            self._epoll = select.epoll()

    def close(self) -> None:
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None

    def change(self, fd: int, old: int, new: int) -> None:
        """
        @param old: the interest in C{fd} so far, negative where it is not registered.
        @param new: the interest from now on; negative: none.
        """
        if self._epoll is None:
            return
        if not self._registered and new >= 0:
            self._window.reactor.addReader(self)
        try:
            if old < 0 <= new:
                self._epoll.register(fd, new)
            elif old >= 0 > new:
                self._epoll.unregister(fd)
            elif new >= 0:
                self._epoll.modify(fd, new)
        except OSError as error:
            if not _closedBeneath(error):
                raise
        self._registered += (new >= 0) - (old >= 0)
        if not self._registered and old >= 0:
            self._window.reactor.removeReader(self)

    def fileno(self) -> int:
        """
        @return: the descriptor of the set; -1 when it is closed.
        """
        return -1 if self._epoll is None else self._epoll.fileno()

    def logPrefix(self) -> str:
        """
        @return: what names the window in a line of Twisted's log.
        """
        return "CAsyncSocket"

    def doRead(self) -> None:
        """
        One turn: ask the kernel once, and tell each socket that something is ready for.
        """
        self._window.turn()

    def ready(self, most: int) -> list[tuple[int, int]]:
        """
        @param most: how many descriptors at the most.
        @return: those that are ready, and the bits of what for.
        """
        # There is no set any more when who was told has closed the last socket, or when a poll reactor comes for what
        # was removed in this turn.
        return self._epoll.poll(0, most) if self._epoll is not None else []

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor stops, for nothing else can happen to this set: each socket hears of it.

        @param reason: the reactor's.
        """
        for descriptor in self._window.handles:
            descriptor._as_stopped()


class _BesideSet(_InnerSet):
    """
    An inner set beside the reactor's own: it says that something has happened, and the socket looks at all of it.
    """

    def doRead(self) -> None:
        """
        Something has happened that the reactor can't report.
        """
        self._window.deliver()
        sockets = self._window.handles.waiting
        for fd, _ in self.ready(MOST):
            if fd in sockets:
                sockets[fd]._as_entered(URGENT | ENDED)


class _Window:
    """
    What both windows do: keep the handles, and deliver what was posted.

    @ivar thread: the identifier of the thread that the reactor runs in.
    """

    def __init__(self, reactor: Any, thread: int, gone: Callable[[], object]) -> None:
        """
        @param gone: what to call when the last socket has left.
        """
        self.reactor = reactor
        self.thread = thread
        self._gone = gone
        self.handles = _Handles()
        self._inner = self._innerSet()
        # What the kernel said in this round, and where in it each descriptor stands, if anybody has asked.
        self._batch: list[tuple[int, int]] | None = None
        self._places: dict[int, int] | None = None
        self.posted: dict[int, tuple[SocketDescriptor, int]] = {}
        self._call: Any = None
        self._waits: dict[int, Any] = {}
        self._looker = select.poll()

    def _innerSet(self) -> _InnerSet:
        return _InnerSet(self)

    def open(self) -> None:
        """Have what it takes to watch a socket.  @raise OSError: there is no descriptor for it."""
        self._inner.open()

    def enter(self, descriptor: SocketDescriptor) -> None:
        """
        A socket was opened.
        """
        self.handles.loosen(descriptor)

    def watch(self, descriptor: SocketDescriptor, old: int, new: int) -> None:
        # Known before it is registered, and registered no more before it is only known: the set looks sockets up.
        if old == RELEASED:
            self.handles.hold(descriptor)
        if self._batch is not None and (old < 0 or new < 0):
            # It begins to be watched, or ends: what was said until now is about another, or stands no more.
            self._strike(descriptor.fileno())
        self._register(descriptor, old, new)
        if new == RELEASED:
            self.handles.loosen(descriptor)

    def forget(self, descriptor: SocketDescriptor, interest: int) -> None:
        self._register(descriptor, interest, RELEASED)
        fd = descriptor.fileno()
        self._strike(fd)
        if self.posted:
            self.posted.pop(fd, None)
        if self._waits:
            self._cancel(fd)
        self.handles.drop(fd)
        if not self.posted and self._call is not None:
            self._call.cancel()
            self._call = None
        if not self.handles:
            self._inner.close()
            self._gone()

    def _register(self, descriptor: SocketDescriptor, old: int, new: int) -> None:
        raise NotImplementedError

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
        fd = descriptor.fileno()
        if fd in self.posted:
            bits |= self.posted[fd][1]
        self.posted[fd] = (descriptor, bits)
        if self._call is None and self._batch is None:
            self._call = self.reactor.callLater(0, self.turn)

    def later(self, descriptor: SocketDescriptor, seconds: float, call: Callable[[], None]) -> None:
        fd = descriptor.fileno()
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
        self.deliver()

    def deliver(self) -> None:
        """
        Tell what was posted.
        """
        if self.posted and self._batch is None:
            self._begin()
            self.tell([], _nobody)
            self._end()

    def tell(self, batch: list[tuple[int, int]], other: Callable[[int, int], None]) -> None:
        """
        One round: tell what was posted, or what the kernel has said.

        A handler may close, drain or replace another socket of the same batch: what then is no longer true is struck
        out of it, and so is what was said of a number that meanwhile is another socket's.  What is posted meanwhile is
        for the next round.

        @param other: what to call with the descriptors that are none of the sockets that wait.
        """
        self._batch = batch
        try:
            if batch:
                tell(self.handles.waiting, batch, other)
            else:
                self._tellPosted()
        finally:
            self._batch = self._places = None

    def _begin(self) -> None:
        """
        A turn begins: no call is needed for it any more.
        """
        if self._call is not None:
            if self._call.active():
                self._call.cancel()
            self._call = None
        if threading.get_ident() != self.thread:
            self._moved()

    def _end(self) -> None:
        """
        A turn ends: what is left is for the next one.
        """
        if self.posted and self._call is None:
            self._call = self.reactor.callLater(0, self.turn)

    def _tellPosted(self) -> None:
        # What a handler posts is for a later round: this one ends.
        for fd in list(self.posted):
            due = self.posted.pop(fd, None)
            if due is not None:
                due[0]._as_ready(due[1])

    def overtaken(self, descriptor: SocketDescriptor) -> None:
        fd = descriptor.fileno()
        self._strike(fd)
        if fd in self.posted:
            self.posted[fd] = (descriptor, self.posted[fd][1] & ~READABLE)

    def look(self, descriptor: SocketDescriptor) -> int:
        fd = descriptor.fileno()
        self._looker.register(fd, READABLE | URGENT | WRITABLE | ENDED)
        found = self._looker.poll(0)
        self._looker.unregister(fd)
        return found[0][1] if found else 0

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


class SocketWindow(_Window):
    """
    The socket window: the sockets are in the inner epoll set, and nowhere in the reactor.
    """

    def _register(self, descriptor: SocketDescriptor, old: int, new: int) -> None:
        self._inner.change(descriptor.fileno(), old, new)

    def turn(self) -> None:
        """
        Ask the kernel, and tell each socket that something is ready for, or was posted to.
        """
        if self._batch is not None:
            return
        self._begin()
        left = MOST
        for _ in range(ROUNDS):
            if self.posted:
                # It was known before the kernel is asked, and is told before.
                self.tell([], _nobody)
            batch = self._inner.ready(left)
            self.tell(batch, _nobody)
            left -= len(batch)
            if left <= 0 or (len(batch) < 2 and not self.posted):
                break
        self._end()

    def dropped(self, interest: int) -> int:
        # The reactor never had it.
        return interest


class DirectWindow(_Window):
    """
    No window: each socket is a reader and a writer of the reactor itself.

    What a reactor can't report, urgent data and the end of a stream behind unread data, comes from an inner epoll set
    where there is one; elsewhere it is not told.
    """

    def _innerSet(self) -> _InnerSet:
        return _BesideSet(self)

    def _register(self, descriptor: SocketDescriptor, old: int, new: int) -> None:
        self._inner.change(descriptor.fileno(), self._besides(old), self._besides(new))
        reactor = self.reactor
        before, after = max(old, 0), max(new, 0)
        try:
            if after & ~before & READABLE:
                reactor.addReader(descriptor)
            elif before & ~after & READABLE:
                reactor.removeReader(descriptor)
            if after & ~before & WRITABLE:
                reactor.addWriter(descriptor)
            elif before & ~after & WRITABLE:
                reactor.removeWriter(descriptor)
        except OSError as error:
            if not _closedBeneath(error):
                raise

    def dropped(self, interest: int) -> int:
        return interest & ~(READABLE | WRITABLE) or UNWATCHED

    @staticmethod
    def _besides(interest: int) -> int:
        """
        The part of an interest that the inner set is for.  A socket that has none is in no second set, unless it is in
        no first one either: there too a reset is to be heard of.
        """
        if interest < 0 or (interest & (READABLE | WRITABLE) and not interest & (URGENT | ENDED)):
            return UNWATCHED
        return interest & (URGENT | ENDED)
