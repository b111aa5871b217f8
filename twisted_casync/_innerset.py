"""
WHERE readiness comes from on any reactor: an inner epoll set.

In the socket window the inner set is one ordinary reader of whatever reactor runs, and calls the sockets' doors
directly.  So a message costs no dispatch of the reactor's, the reactor holds one reader however many sockets there
are, and the bits of C{epoll_wait} say what no reactor of Twisted does: urgent data, and how a stream ended.

The set comes into being with the first socket of its reactor and goes with the last, as MFC's window does: a program,
and a test, that has closed its sockets leaves nothing behind in the reactor.

Where there is no epoll, or when C{AfxSocketInit(reactor, direct=True)} asks for it, the sockets register with the
reactor itself (L{DirectWindow}).
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import Any, Final

from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_LOST
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from ._descriptor import SocketDescriptor
from ._failures import logFailure
from ._fork import closedBeneath, ownPoller, remember, replace
from ._handles import named
from ._readiness import ENDED, READABLE, UNWATCHED, URGENT, WRITABLE
from ._window import MOST, BaseWindow, nobody

__all__ = ["HAS_EPOLL", "DirectWindow", "InnerSet", "SocketWindow", "change"]

HAS_EPOLL: Final = hasattr(select, "epoll")

_log = Logger("casync")

_lost: Final[list[select.epoll]] = []
"""Sets that were closed beneath their objects, which would close their numbers when they are freed."""


def change(poller: select.epoll, fd: int, old: int, new: int) -> None:
    """
    Change what an epoll set watches a descriptor for.

    @param old: the interest in C{fd} so far, negative where it is not registered.
    @param new: the interest from now on; negative: none.
    """
    try:
        if old < 0 <= new:
            poller.register(fd, new)
        elif old >= 0 > new:
            poller.unregister(fd)
        elif new >= 0:
            poller.modify(fd, new)
    except OSError as error:
        if not closedBeneath(error):
            raise


def _isReading(reactor: Any, reader: InnerSet | SocketDescriptor) -> bool:
    """
    @return: whether a reactor watches a reader.
    """
    # What Twisted's reactors keep, the readers or their numbers: getReaders() makes a list of all there are.
    kept = getattr(reactor, "_reads", None) or getattr(reactor, "_readers", None) or reactor.getReaders()
    return reader in kept or reader.fileno() in kept


def _isOpen(poller: select.epoll) -> bool:
    """
    @return: whether the descriptor is that of an epoll set still.
    """
    try:
        poller.poll(0, 1)
    except OSError:
        return False
    return True


@implementer(IReadDescriptor)
class InnerSet:
    """
    The inner epoll set: registered sockets, and one reader of the reactor as long as there are any.
    """

    def __init__(self, window: _InnerWindow) -> None:
        self._window = window
        self._epoll: select.epoll | None = None
        self._registered = 0
        # It is the parent's, and this process its child.
        self.inherited = False

    def open(self) -> None:
        """
        @raise OSError: there is no descriptor for it.
        """
        if self._epoll is None and HAS_EPOLL:
            self._epoll = select.epoll()

    def close(self) -> None:
        """
        Give the descriptor up.
        """
        if self._epoll is not None:
            self._epoll.close()
            self._epoll = None

    def own(self) -> None:
        """
        Become a set of this process's own, under the same descriptor, where it was the parent's.
        """
        self.inherited = False
        if self._epoll is not None:
            replace(self._epoll.fileno(), self._watched())

    def _watched(self) -> Iterator[tuple[int, int]]:
        for one in self._window.handles.waiting.values():
            interest = self._window.watchedFor(one._as_interest)
            if interest >= 0:
                yield one.fileno(), interest

    def change(self, descriptor: SocketDescriptor, old: int, new: int) -> None:
        """
        @param old: the interest in the socket so far, negative where it is not registered.
        @param new: the interest from now on; negative: none.
        """
        if self._epoll is None:
            return
        if self.inherited:
            self._window.own()
        if old < 0 <= new:
            self._window.check()
            if not self._registered:
                self._window.reactor.addReader(self)
        change(self._epoll, descriptor._as_fd, old, new)
        self._registered += (new >= 0) - (old >= 0)
        if not self._registered and old >= 0:
            self._window.reactor.removeReader(self)

    def isRead(self) -> bool:
        """
        @return: whether the reactor is to watch the set.
        """
        return self._registered > 0

    def isRemoved(self) -> bool:
        """
        @return: whether the reactor does not watch the set any more, though sockets are in it.
        """
        return self._registered > 0 and not _isReading(self._window.reactor, self)

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
        One turn of the window.  No exception leaves this: the reactor would drop the set, and with it all sockets.
        """
        try:
            self.turn()
        except BaseException:
            logFailure("the window of {reactor} failed; it goes on", reactor=self._window.reactor)

    def turn(self) -> None:
        """
        Ask the kernel, and tell each socket that something is ready for.
        """
        self._window.turn()

    def ready(self, most: int) -> list[tuple[int, int]]:
        """
        @param most: how many descriptors at the most.
        @return: those that are ready, and the bits of what for.
        """
        if self._epoll is None:
            # Who was told has closed the last socket; or a poll reactor comes for what was removed in this turn.
            return []
        if self.inherited:
            self._window.own()
        return self._epoll.poll(0, most)

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor stops, and each socket hears of it; or it has dropped the set, which somebody has closed beneath it.

        @param reason: the reactor's.
        """
        if reason.value is CONNECTION_LOST or self._epoll is None or _isOpen(self._epoll):
            self._window.stopped()
        else:
            self._renew(self._epoll)

    def _renew(self, closed: select.epoll) -> None:
        """
        Go on with a new set: that of all sockets has not become the end of them.
        """
        _log.warn("the epoll set of the sockets was closed by somebody else; they go on with another")
        # Its number may be another's by now, which must not be closed with it.
        _lost.append(closed)
        self._epoll = select.epoll()
        replace(self._epoll.fileno(), self._watched())
        self._window.reactor.addReader(self)

    def __repr__(self) -> str:
        return named(one for one in self._window.handles.watched() if one._as_interest >= 0)


class _BesideSet(InnerSet):
    """
    An inner set beside the reactor's own: it says that something has happened, and the socket looks at all of it.
    """

    def turn(self) -> None:
        """
        Something has happened that the reactor can't report.
        """
        self._window.deliver()
        sockets = self._window.handles.waiting
        for fd, _ in self.ready(MOST):
            if fd in sockets:
                sockets[fd]._as_entered(URGENT | ENDED)


class _InnerWindow(BaseWindow):
    """
    A window with an inner set.
    """

    _said = READABLE

    def __init__(self, reactor: Any, thread: int, gone: Callable[[], object]) -> None:
        super().__init__(reactor, thread, gone)
        self._inner = self._innerSet()
        remember(self)

    def _innerSet(self) -> InnerSet:
        return InnerSet(self)

    def open(self) -> None:
        self.check()
        self._inner.open()

    def forked(self) -> None:
        """
        This process is a child.
        """
        self._inner.inherited = True
        if self.handles.waiting:
            # Before the reactor waits: the parent may take out of its sets whatever is in them.
            self.reactor.callLater(0, self.own)

    def own(self) -> None:
        """
        Have the sockets watched by this process alone, where they are watched by its parent's means.
        """
        if not self._inner.inherited:
            return
        self._inner.own()
        if not ownPoller(self.reactor):
            _log.warn(
                "{reactor} may share with the parent process what it watches its descriptors with: sockets of that one "
                "may not be heard of here",
                reactor=self.reactor,
            )
            if self._inner.isRead():
                self.reactor.removeReader(self._inner)
                self.reactor.addReader(self._inner)

    def check(self) -> None:
        """
        A socket is about to come: that the reactor was told to watch nothing any more is found out now, when this would
        hear nothing and when what was left open would be in its way.
        """
        if self._batch is None and self._isRemoved():
            self.removed()

    def _isRemoved(self) -> bool:
        return self._inner.isRemoved()

    def close(self) -> None:
        self._inner.close()

    def watchedFor(self, interest: int) -> int:
        """
        The part of an interest that the inner set is for.
        """
        return interest


class SocketWindow(_InnerWindow):
    """
    The socket window: the sockets are in the inner epoll set, and nowhere in the reactor.
    """

    def __init__(self, reactor: Any, thread: int, gone: Callable[[], object]) -> None:
        super().__init__(reactor, thread, gone)
        self._register = self._inner.change

    def turn(self) -> None:
        self.rounds(self._inner.ready, nobody)

    def dropped(self, interest: int) -> int:
        # The reactor never had it.
        return interest


class DirectWindow(_InnerWindow):
    """
    No window: each socket is a reader and a writer of the reactor itself.

    What a reactor can't report, urgent data and the end of a stream behind unread data, comes from an inner epoll set
    where there is one; elsewhere it is not told.
    """

    def _innerSet(self) -> InnerSet:
        return _BesideSet(self)

    def _register(self, descriptor: SocketDescriptor, old: int, new: int) -> None:
        self._inner.change(descriptor, self.watchedFor(old), self.watchedFor(new))
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
            if not closedBeneath(error):
                raise

    def _isRemoved(self) -> bool:
        # If one is not watched any more, none is.
        for one in self.handles.waiting.values():
            if one._as_interest >= 0 and one._as_interest & READABLE:
                return not _isReading(self.reactor, one)
        return super()._isRemoved()

    def dropped(self, interest: int) -> int:
        return interest & ~(READABLE | WRITABLE) or UNWATCHED

    def watchedFor(self, interest: int) -> int:
        """
        The part of an interest that the inner set is for.  A socket that has none is in no second set, unless it is in
        no first one either: there too a reset is to be heard of.
        """
        if interest < 0 or (interest & (READABLE | WRITABLE) and not interest & (URGENT | ENDED)):
            return UNWATCHED
        return interest & (URGENT | ENDED)
