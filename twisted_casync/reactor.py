"""
The C{casync} reactor: Twisted's epoll reactor, whose own epoll set is the socket window.

On a stock reactor the window is a second epoll set in the reactor's first.  Here there is one: the reactor asks the
kernel once for its own descriptors and for the sockets, and tells the sockets in one loop.  Everything else is
Twisted's: its transports, and whatever else the reactor watches, are watched and called as on C{EPollReactor}.

Choose it by C{twistd --reactor=casync}, C{trial --reactor=casync}, or L{install}.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from twisted.internet.epollreactor import EPollReactor
from twisted.internet.main import installReactor
from twisted.python import context, log
from twisted.python.failure import Failure

from ._descriptor import SocketDescriptor
from ._fork import remember, replace
from ._handles import named
from ._innerset import change
from ._readiness import READABLE, UNWATCHED, WRITABLE
from ._window import MOST, BaseWindow

__all__ = ["CAsyncReactor", "ReactorWindow", "install"]


class ReactorWindow(BaseWindow):
    """
    The window of the C{casync} reactor: the sockets are in the reactor's own epoll set.
    """

    reactor: CAsyncReactor

    # Each turn of this reactor is one of the window.
    _callsWithin = False

    def __init__(self, reactor: CAsyncReactor, thread: int, gone: Callable[[], object]) -> None:
        super().__init__(reactor, thread, gone)
        self._register = reactor.watch

    def interestIn(self, fd: int) -> int:
        interest = super().interestIn(fd)
        return self.reactor.interestIn(fd) if interest < 0 else interest

    def dropped(self, interest: int) -> int:
        # The reactor takes out of its set what it drops.
        return UNWATCHED

    def logPrefix(self) -> str:
        """
        @return: what names the sockets in a line of Twisted's log.
        """
        return "CAsyncSocket"


class _Removed:
    """
    The sockets that the reactor watched until it was told to watch nothing any more.
    """

    def __init__(self, window: ReactorWindow, watched: list[SocketDescriptor]) -> None:
        self._window = window
        self._watched = watched

    def logPrefix(self) -> str:
        """
        @return: what names the sockets in a line of Twisted's log.
        """
        return self._window.logPrefix()

    def connectionLost(self, reason: Failure) -> None:
        """
        The reactor stops.

        @param reason: the reactor's.
        """
        self._window.stopped()

    def __repr__(self) -> str:
        return named(self._watched)


class CAsyncReactor(EPollReactor):
    """
    An epoll reactor that tells the sockets by itself.
    """

    def __init__(self) -> None:
        self._window: ReactorWindow | None = None
        self._inherited = False
        # The seconds to wait when the kernel is asked next; negative: for ever.
        self._wait: float = 0
        super().__init__()  # type: ignore[no-untyped-call]
        remember(self)

    # -- the sockets

    def socketWindow(self, thread: int, gone: Callable[[], object]) -> ReactorWindow:
        """
        Make the window of this reactor's sockets.

        @param thread: the identifier of the thread that makes the first of them.
        @param gone: what to call when the last of them has left.
        """

        def left() -> None:
            self._window = None
            gone()

        self._window = ReactorWindow(self, thread, left)
        return self._window

    def watch(self, descriptor: SocketDescriptor, old: int, new: int) -> None:
        """
        Change what a socket is watched for.

        @param old: bits of interest so far, negative where it is not watched.
        @param new: bits of interest from now on; negative: none.
        """
        if self._inherited:
            self.own()
        fd = descriptor._as_fd
        if fd not in self._selectables:
            # Else it was closed beneath its object, and the number is another's.
            change(self._poller, fd, old, new)

    # -- the reactor

    def doPoll(self, timeout: float | None) -> None:
        """
        One turn: wait until something is ready, and tell whom it concerns.

        @param timeout: the seconds to wait at the most; L{None} waits for ever.
        """
        if self._inherited:
            self.own()
        self._wait = -1 if timeout is None else timeout
        if self._window is None:
            for fd, bits in self._ready(MOST):
                self._tell(fd, bits)
            return
        # One context for all sockets of the turn: one for each would cost as much as half a message.
        log.callWithLogger(self._window, self._window.rounds, self._ready, self._tell)

    doIteration = doPoll

    def _ready(self, most: int) -> list[tuple[int, int]]:
        wait, self._wait = self._wait, 0
        found: list[tuple[int, int]] = self._poller.poll(wait, most)
        return found

    def _tell(self, fd: int, bits: int) -> None:
        """
        Something is ready that is none of the sockets.
        """
        selectable = self._selectables.get(fd)
        if selectable is None:
            return
        try:
            system = selectable.logPrefix()
        except Exception:
            # Which says so in the log.
            log.callWithLogger(selectable, self._doReadOrWrite, selectable, fd, bits)
            return
        # What callWithLogger() does, but for asking what context there is already: a third of what an event costs.
        try:
            context.call({log.ILogContext: {"isError": 0, "system": system}}, self._doReadOrWrite, selectable, fd, bits)
        except KeyboardInterrupt:
            raise
        except BaseException:
            log.err(system=system)

    def _watched(self, bit: int) -> list[Any]:
        """
        The sockets that are watched for C{bit}.
        """
        sockets = [] if self._window is None else self._window.handles.waiting.values()
        return [one for one in sockets if one._as_interest >= 0 and one._as_interest & bit]

    def getReaders(self) -> list[Any]:
        return [*super().getReaders(), *self._watched(READABLE)]  # type: ignore[no-untyped-call]

    def getWriters(self) -> list[Any]:
        return [*super().getWriters(), *self._watched(WRITABLE)]  # type: ignore[no-untyped-call]

    def removeAll(self) -> list[Any]:
        """
        Watch nothing any more.

        @return: what was watched; for all sockets of those one, whose C{connectionLost} every open socket hears of.
        """
        removed: list[Any] = super().removeAll()  # type: ignore[no-untyped-call]
        if self._window is not None:
            watched = self._window.removed()
            if watched:
                removed.append(_Removed(self._window, watched))
        return removed

    def disconnectAll(self) -> None:
        super().disconnectAll()
        if self._window is not None:
            # Sockets that wait for nothing hear of it too.
            self._window.stopped()

    # -- a child process

    def forked(self) -> None:
        """
        This process is a child: the set is its parent's, until it is used.
        """
        self._inherited = True

    def own(self) -> None:
        """
        Have a set of this process's own, if it is its parent's.
        """
        if self._inherited:
            self._inherited = False
            replace(self._poller.fileno(), self._inSet())

    def interestIn(self, fd: int) -> int:
        """
        @return: what a descriptor that is none of the sockets is watched for; negative where it is not.
        """
        interest = (fd in self._reads and READABLE) | (fd in self._writes and WRITABLE)
        return interest if fd in self._selectables else UNWATCHED

    def _inSet(self) -> Iterator[tuple[int, int]]:
        for fd in self._selectables:
            yield fd, self.interestIn(fd)
        for one in [] if self._window is None else self._window.handles.waiting.values():
            if one._as_interest >= 0:
                yield one.fileno(), one._as_interest


def install() -> None:
    """
    Make a new C{CAsyncReactor} the global reactor.

    @raise ReactorAlreadyInstalledError: there is one already (C{twisted.internet.error}).
    """
    installReactor(CAsyncReactor())
