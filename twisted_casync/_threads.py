"""
What MFC keeps per thread: which reactor a thread's sockets belong to, their windows, and which object a handle is.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, cast
from weakref import WeakKeyDictionary

from twisted.internet.interfaces import IReactorFDSet
from twisted.python import threadable

from ._conduit import Conduit
from ._descriptor import SocketDescriptor
from ._innerset import HAS_EPOLL, DirectWindow, SocketWindow
from ._window import BaseWindow

__all__ = [
    "AfxSocketInit",
    "AfxSocketTerm",
    "checkedReactor",
    "conduitWindowOf",
    "isInitialised",
    "openSockets",
    "reactorOf",
    "reactorOfThread",
    "socketOf",
    "windowOf",
]

_secondary: Final[set[int]] = set()
"""The threads that have a reactor of their own, which is not the global one: none of them is the primary thread."""


class _Thread(threading.local):
    """
    What MFC keeps per thread.
    """

    def __init__(self) -> None:
        self.reactor: Any = None
        self.direct: WeakKeyDictionary[Any, bool] = WeakKeyDictionary()
        # By the identity of the reactor, and whether the sockets are descriptors.
        self.windows: dict[tuple[int, bool], BaseWindow] = {}
        self.ended = False


_thread = _Thread()


def isInitialised() -> bool:
    """
    May this thread use sockets?  The thread of the reactor may, as MFC's primary thread may; another one after
    AfxSocketInit.
    """
    if _thread.ended:
        return False
    if _thread.reactor is not None:
        return True
    # Twisted says which thread ran a reactor last, whichever reactor that was.
    primary = threadable.ioThread
    if primary is None or primary in _secondary:
        # The global reactor has not run yet, as far as can be told.
        primary = threading.main_thread().ident
    return threading.get_ident() == primary


def reactorOf(reactor: Any) -> Any:
    """
    @param reactor: a provider of C{IReactorFDSet}; L{None} for this thread's, or the global one.
    @return: which it is.
    """
    if reactor is None:
        reactor = _thread.reactor
    if reactor is None:
        from twisted.internet import reactor as default

        reactor = default
    return reactor


def windowOf(reactor: Any) -> BaseWindow | None:
    """
    The socket window of a reactor, in this thread.

    @param reactor: a provider of C{IReactorFDSet}; L{None} for this thread's, or the global one.
    @return: the window; L{None} in a thread that was not initialised (C{WSANOTINITIALISED}).
    """
    if not isInitialised():
        return None
    reactor = reactorOf(reactor)
    key = id(reactor), True
    window = _thread.windows.get(key)
    if window is None:
        if not IReactorFDSet.providedBy(reactor):
            return _conduitWindow(reactor)
        direct = _thread.direct.get(reactor, not HAS_EPOLL)
        gone = partial(_thread.windows.pop, key, None)
        # A reactor may have a window of its own.
        make = (
            partial(DirectWindow, reactor)
            if direct
            else getattr(reactor, "socketWindow", partial(SocketWindow, reactor))
        )
        window = _thread.windows[key] = make(threading.get_ident(), gone)
    return window


def conduitWindowOf(conduit: Conduit) -> BaseWindow | None:
    """
    The window of a conduit's reactor, in this thread.

    @return: the window; L{None} in a thread that was not initialised (C{WSANOTINITIALISED}).
    """
    if not isInitialised():
        return None
    return _conduitWindow(conduit.reactor)


def _conduitWindow(reactor: Any) -> BaseWindow:
    key = id(reactor), False
    window = _thread.windows.get(key)
    if window is None:
        from ._conduitwindow import ConduitWindow

        gone = partial(_thread.windows.pop, key, None)
        make = partial(ConduitWindow, reactor)
        if not IReactorFDSet.providedBy(reactor):
            # One that watches no descriptors, and may have a window of its own for what it has instead.
            make = getattr(reactor, "socketWindow", make)
        window = _thread.windows[key] = make(threading.get_ident(), gone)
    return window


def socketOf(fd: int) -> SocketDescriptor | None:
    """
    The socket of this thread that has the handle C{fd}; L{None} if there is none.
    """
    for window in _thread.windows.values():
        found = window.handles.find(fd)
        if found is not None:
            return found
    return None


def openSockets() -> Iterator[Any]:
    """
    The open sockets of this thread.
    """
    for window in list(_thread.windows.values()):
        yield from window.handles


def AfxSocketInit(reactor: Any = None, *, direct: bool = False) -> bool:
    """
    Initialise the calling thread for the use of sockets (C{AfxSocketInit}).

    The thread that the reactor runs in needs no call.  Another thread that runs a reactor of its own calls this
    with it; sockets that it makes then belong to that reactor.

    @param reactor: a provider of C{IReactorFDSet}; L{None} leaves the global reactor, which is its own thread's alone.
    @param direct: make the sockets of this reactor register with the reactor itself instead of through the socket
        window; it counts for sockets made while the reactor has no other.
    @return: L{True}.
    @raise TypeError: C{reactor} does not provide C{IReactorFDSet}.
    """
    if reactor is None:
        from twisted.internet import reactor as default

        chosen: Any = default
    else:
        chosen = _thread.reactor = checkedReactor(reactor)
        if chosen is sys.modules.get("twisted.internet.reactor"):
            _secondary.discard(threading.get_ident())
        else:
            _secondary.add(threading.get_ident())
    _thread.ended = False
    _thread.direct[chosen] = direct or not HAS_EPOLL
    return True


@contextmanager
def reactorOfThread(reactor: Any) -> Iterator[None]:
    """
    Give the calling thread's sockets another reactor for a while.

    @param reactor: what a socket belongs to that is given none, as after C{AfxSocketInit(reactor)}.
    """
    before = _thread.reactor, _thread.ended
    _thread.reactor, _thread.ended = checkedReactor(reactor), False
    try:
        yield
    finally:
        _thread.reactor, _thread.ended = before


def AfxSocketTerm() -> None:
    """
    End the calling thread's use of sockets (C{AfxSocketTerm}, C{WSACleanup}): its sockets are closed without a
    notification, and until the next L{AfxSocketInit} every member fails with C{WSANOTINITIALISED}.
    """
    for window in list(_thread.windows.values()):
        for descriptor in window.handles:
            descriptor._as_discard()
    _thread.reactor = None
    _thread.direct.clear()
    _thread.ended = True


def checkedReactor(reactor: Any) -> Any:
    """
    @raise TypeError: C{reactor} can't watch descriptors (the IOCP reactor of Windows can't), and has no window of its
        own that would make its sockets of something else.
    """
    if not (IReactorFDSet.providedBy(reactor) or hasattr(reactor, "socketWindow")):
        raise TypeError(f"reactor must provide IReactorFDSet, which {type(reactor).__name__} does not")
    return cast(Any, reactor)
