"""
The window of conduits: the sockets of a reactor that are no descriptors, told as a poller would tell them.

A conduit says when something may have become ready.  From then on it is asked in each round, as long as it is: level
triggered, as the other windows are.  What the reactor has called for is told inside that call; anything else in the
reactor's next turn, so that no handler runs inside a member.
"""

from __future__ import annotations

from collections.abc import Callable
from threading import get_ident
from typing import Any, cast

from ._conduit import Conduit
from ._descriptor import SocketDescriptor, tell
from ._readiness import FAILED, HUNG_UP, READABLE, WRITABLE
from ._window import BaseWindow, nobody

__all__ = ["ConduitWindow"]


class ConduitWindow(BaseWindow):
    """
    A window that asks conduits what they are ready for.
    """

    def __init__(self, reactor: Any, thread: int, gone: Callable[[], object]) -> None:
        """
        @param reactor: a provider of C{IReactorTime}.
        """
        super().__init__(reactor, thread, gone)
        # Those that may be ready, by handle, in the order in which they became so.
        self._hot: dict[int, Conduit] = {}

    def _register(self, descriptor: SocketDescriptor, old: int, new: int) -> None:
        conduit = cast(Conduit, descriptor._as_sock)
        if new < 0:
            conduit.watcher = None
            self._hot.pop(descriptor._as_fd, None)
        else:
            conduit.watcher = self
            self.changed(conduit, False)

    def changed(self, conduit: Conduit, now: bool) -> None:
        """
        A conduit may have become ready, as L{Watcher.changed} has it.
        """
        self._hot[conduit.handle] = conduit
        if now and self._batch is None:
            self.turn()
        else:
            # Mostly the turn that is under way comes to it before.
            self._callLater()

    def fed(self, conduit: Conduit, now: bool) -> None:
        """
        A conduit has data, as L{Watcher.fed} has it.
        """
        descriptor = self.handles.waiting.get(conduit.handle)
        # Nothing else waits, and the socket is one that takes the short way, in this thread.
        if (
            not now
            or self._batch is not None
            or self._call is not None
            or descriptor is None
            or descriptor._as_fast != get_ident()
        ):
            self.changed(conduit, now)
            return
        # What it is ready for is known: this one alone is the turn's first round, and nearly always its only one.
        self.turns += 1
        self.enough = False
        self._batch = [(conduit.handle, READABLE)]
        try:
            tell(self.handles.waiting, self._batch, nobody)
        finally:
            self._batch = self._places = None
        if self._hot or self.posted or conduit.size:
            self._hot[conduit.handle] = conduit
            if self.enough:
                self._end(False)
            else:
                self.turn()

    def turn(self) -> None:
        self.rounds(self._ready, nobody)

    def _ready(self, most: int) -> list[tuple[int, int]]:
        """
        @return: what C{epoll_wait} would.
        """
        batch: list[tuple[int, int]] = []
        for fd, conduit in list(self._hot.items()):
            if len(batch) == most:
                break
            # Behind the others when it is asked again.
            del self._hot[fd]
            interest = self.interestIn(fd)
            if interest < 0:
                continue
            interest |= FAILED | HUNG_UP
            bits = conduit.ready(interest) & interest
            if bits:
                self._hot[fd] = conduit
                batch.append((fd, bits))
        return batch

    def _stillReady(self, most: int) -> list[tuple[int, int]]:
        # Before the others, for once.
        rest, self._rest = self._rest[:most], self._rest[most:]
        first = {fd: self._hot.pop(fd) for fd in rest if fd in self._hot}
        self._hot = {**first, **self._hot}
        return self._ready(len(first)) if first else []

    def _isDue(self) -> bool:
        return bool(self._hot) or super()._isDue()

    def look(self, descriptor: SocketDescriptor) -> int:
        return cast(Conduit, descriptor._as_sock).ready()

    def reader(self, descriptor: SocketDescriptor) -> tuple[Callable[[int], object], object]:
        return lambda timeout: self.look(descriptor) & ~WRITABLE, READABLE

    def queued(self, descriptor: SocketDescriptor) -> int:
        return self.look(descriptor) & READABLE

    def dropped(self, interest: int) -> int:
        # The reactor never had it.
        return interest
