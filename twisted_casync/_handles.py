"""
The open sockets of a window, by their descriptors.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, cast
from weakref import proxy, ref

from twisted.python.reflect import safe_repr

from ._descriptor import SocketDescriptor

__all__ = ["Handles", "named"]

_NAMED: Final = 10
"""How many sockets a window that is named names."""


class Handles:
    """
    The open sockets of a window by their descriptors: those that wait for notifications are kept alive, the others
    are only known.

    @ivar waiting: those that are watched; in the place of one that is not kept alive stands a weak proxy.
    @ivar known: those that are not kept alive.
    """

    def __init__(self) -> None:
        self.waiting: dict[int, SocketDescriptor] = {}
        # A socket that nobody holds any more leaves by itself: it closes itself.
        self.known: dict[int, ref[SocketDescriptor]] = {}

    def __iter__(self) -> Iterator[SocketDescriptor]:
        kept = [one for fd, one in self.waiting.items() if fd not in self.known]
        known = [refer() for refer in self.known.values()]
        return iter([*kept, *(one for one in known if one is not None)])

    def watched(self) -> list[SocketDescriptor]:
        """
        @return: the sockets that are watched.
        """
        return [one for one in self if one._as_fd in self.waiting]

    def find(self, fd: int) -> SocketDescriptor | None:
        """
        @return: the socket that has the descriptor; L{None} where there is none.
        """
        return self.known[fd]() if fd in self.known else self.waiting.get(fd)

    def hold(self, descriptor: SocketDescriptor) -> None:
        """
        It waits: it is watched, and kept alive.
        """
        fd = descriptor._as_fd
        self.waiting[fd] = descriptor
        self.known.pop(fd, None)

    def weaken(self, descriptor: SocketDescriptor) -> None:
        """
        It is watched, and not kept alive.
        """
        fd = descriptor._as_fd
        if fd not in self.known:
            self.known[fd] = ref(descriptor)
            self.waiting[fd] = cast(SocketDescriptor, proxy(descriptor))

    def loosen(self, descriptor: SocketDescriptor) -> None:
        """
        It waits no more, or not yet.
        """
        fd = descriptor._as_fd
        self.known[fd] = ref(descriptor)
        self.waiting.pop(fd, None)


def named(sockets: Iterable[object]) -> str:
    """
    @return: the sockets, or the first of them, for whoever has left them open.
    """
    names = [safe_repr(one) for one in sockets]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return f"<the window of {', '.join(names[:_NAMED]) or 'no sockets'}{more}>"
