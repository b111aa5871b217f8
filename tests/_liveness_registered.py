"""
What a reactor, its windows and its epoll sets have registered, beside the sockets that are open.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterator
from typing import Any

from twisted_casync._threads import openSockets

__all__ = ["misregistered"]


def misregistered(reactor: Any, goesOn: Callable[[], bool]) -> Iterator[str]:
    """
    What is registered and closed, or ready for ever, or should be registered and is not.

    @param reactor: one that rests.
    @param goesOn: makes a turn; whether anybody was told anything then.
    """
    sockets = [one for one in openSockets() if one._as_window.reactor is reactor]
    descriptors = {one.m_hSocket for one in sockets}
    windows = {one._as_window for one in sockets}
    for window in windows:
        for fd, one in window.handles.waiting.items():
            if one.m_hSocket != fd:
                yield f"the window keeps {one!r} as {fd}"
        for fd in (*window.handles.waiting, *window.posted):
            if fd not in descriptors:
                yield f"the window has the handle {fd}, which is closed"
    if not hasattr(reactor, "getReaders"):
        return
    readers = reactor.getReaders()
    inner = {window: window._inner for window in windows if hasattr(window, "_inner")}
    for window, epoll in inner.items():
        if epoll not in readers and any(window.watchedFor(one._as_interest) >= 0 for one in window.handles):
            yield f"the reactor does not have {epoll!r}"
    watched = [(one, select.POLLIN) for one in readers] + [(one, select.POLLOUT) for one in reactor.getWriters()]
    for one, event in watched:
        if one.fileno() < 0:
            yield f"the reactor has {one!r}, which is closed"
        elif _spins(one, event, goesOn):
            yield f"the reactor spins for {one!r}"
    known = descriptors | {one.fileno() for one in (*(one for one, _ in watched), *_ofReactor(reactor))}
    for poller in (*inner.values(), *_pollersOf(reactor)):
        for registered in _registeredIn(poller.fileno()) - known:
            yield f"an epoll set has the descriptor {registered}, which is nobody's"


def _spins(one: Any, event: int, goesOn: Callable[[], bool]) -> bool:
    """
    @return: whether the reactor comes to what it watches again and again, and nobody is told anything.
    """
    poller = select.poll()
    for _ in range(8):
        fd = one.fileno()
        if fd < 0:
            return False
        poller.register(fd, event)
        ready = poller.poll(0)
        poller.unregister(fd)
        if not ready or goesOn():
            return False
    return True


def _ofReactor(reactor: Any) -> list[Any]:
    """
    @return: what a reactor watches for itself.
    """
    pipe = getattr(getattr(reactor, "_asyncioEventloop", None), "_ssock", None)
    return [*reactor._internalReaders, *([] if pipe is None else [pipe])]


def _pollersOf(reactor: Any) -> list[select.epoll]:
    """
    @return: the epoll sets of a reactor.
    """
    selector = getattr(getattr(reactor, "_asyncioEventloop", None), "_selector", None)
    pollers = (getattr(reactor, "_poller", None), getattr(selector, "_selector", None))
    return [poller for poller in pollers if isinstance(poller, select.epoll)]


def _registeredIn(fd: int) -> set[int]:
    """
    @return: the descriptors that an epoll set has (proc(5)).
    """
    with open(f"/proc/self/fdinfo/{fd}", encoding="ascii") as info:
        return {int(line.split()[1]) for line in info if line.startswith("tfd:")}
