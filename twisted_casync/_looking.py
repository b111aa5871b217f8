"""
What a socket is ready for at this moment: asked of the kernel where no poller has said it.
"""

from __future__ import annotations

import select
from collections.abc import Callable, Iterable

from ._connecting import queuedFor
from ._descriptor import SocketDescriptor
from ._readiness import ENDED, READABLE, URGENT, WRITABLE

__all__ = ["Looking"]


class Looking:
    """
    Asks of one socket, or of a few, whatever they are watched for.
    """

    def __init__(self) -> None:
        self._looker = select.poll()
        # The number that it looks at: whose that is, poll(2) finds out each time.
        self._looked = self._readerOf = -1
        self._reader: tuple[Callable[[int], object], object] = self._looker.poll, None

    def look(self, descriptor: SocketDescriptor) -> int:
        fd = descriptor._as_fd
        if fd != self._looked:
            if self._looked >= 0:
                self._looker.unregister(self._looked)
            self._looker.register(fd, READABLE | URGENT | WRITABLE | ENDED)
            self._looked = fd
        found = self._looker.poll(0)
        return found[0][1] if found else 0

    @staticmethod
    def readyOf(interests: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """
        @param interests: descriptors, and what is to be asked of each; negative: nothing.
        @return: those that are ready, and the bits of what for.
        """
        poller = select.poll()
        for fd, interest in interests:
            if interest >= 0:
                poller.register(fd, interest)
        return [(fd, bits) for fd, bits in poller.poll(0) if not bits & select.POLLNVAL]

    def reader(self, descriptor: SocketDescriptor) -> tuple[Callable[[int], object], object]:
        fd = descriptor._as_fd
        if fd != self._readerOf:
            # Another one each time: a handler may have the old one's reader called on.
            looker = select.poll()
            looker.register(fd, READABLE | URGENT | ENDED)
            self._readerOf, self._reader = fd, (looker.poll, [(fd, READABLE)])
        return self._reader

    def queued(self, descriptor: SocketDescriptor) -> int:
        sock = descriptor._as_sock
        count = -1 if sock is None else queuedFor(sock, descriptor._as_family)
        return self.look(descriptor) & READABLE if count < 0 else count
