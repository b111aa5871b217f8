"""
What a child process has of its parent's epoll sets.

An epoll set is one, however many processes have a descriptor of it: what one takes out, the other does not hear of any
more, and what one puts in its place is not watched.  So each set that this process watches sockets with is replaced in
a child by one of the child's own, under the same descriptor, so that whoever looks at it need not know.  That is done
before the child's reactor waits, or when a socket is used: most children do neither, they become another program.

Twisted's own reactors take no such care, but what watches the sockets there is watched by them.  So theirs are
replaced with it.
"""

from __future__ import annotations

import os
import select
import selectors
from collections.abc import Iterable, Iterator
from typing import Any, Final, Protocol
from weakref import WeakSet

from twisted.internet.pollreactor import PollReactor
from twisted.internet.selectreactor import SelectReactor

from ._readiness import READABLE, WRITABLE
from .winsock import WSAError, errorFromErrno

__all__ = ["Inheritable", "closedBeneath", "ownPoller", "remember", "replace"]


class Inheritable(Protocol):
    """
    What has an epoll set.
    """

    def forked(self) -> None:
        """
        This process is a child now, and the set is its parent's.
        """


_known: Final[WeakSet[Inheritable]] = WeakSet()


def remember(one: Inheritable) -> None:
    """
    Have C{one} told when this process is a child.
    """
    _known.add(one)


def closedBeneath(error: OSError) -> bool:
    """
    Does a poller complain of a descriptor that was closed beneath its object?  Nothing is amiss then: the kernel has
    taken it out of every poller, and what is called of the socket fails by itself.
    """
    # ENOENT: the number is another's already; EPERM: it is that of a file, which no poller takes.
    gone = isinstance(error, (FileNotFoundError, PermissionError))
    return gone or errorFromErrno(error.errno) is WSAError.WSAENOTSOCK


def replace(number: int, watched: Iterable[tuple[int, int]]) -> None:
    """
    Make an epoll set that is shared with the parent a new one of this process's own.

    @param number: its descriptor.
    @param watched: what is to be in it: descriptors, and the bits of interest in each.
    @raise OSError: there is no descriptor, or no memory, for it.
    """
    with select.epoll() as new:
        for fd, interest in watched:
            try:
                new.register(fd, interest)
            except OSError as error:
                if not closedBeneath(error):
                    raise
        os.dup2(new.fileno(), number, inheritable=False)


def ownPoller(reactor: Any) -> bool:
    """
    Make the set that a reactor watches all its descriptors with this process's own.

    @return: whether it is now, as far as is known of a reactor of that kind.
    """
    if reactor in _known:
        # It has the sockets in its own set, and does this by itself but where it has them as descriptors.
        reactor.own()
        return True
    if isinstance(reactor, (SelectReactor, PollReactor)):
        # It tells the kernel anew each time.
        return True
    # Neither Twisted nor asyncio has a name in public for it.
    poller = getattr(reactor, "_poller", None)
    selector: Any = getattr(getattr(reactor, "_asyncioEventloop", None), "_selector", None)
    if isinstance(poller, select.epoll):
        replace(poller.fileno(), _ofReactor(reactor))
    elif hasattr(selectors, "EpollSelector") and isinstance(selector, selectors.EpollSelector):
        replace(selector.fileno(), _ofSelector(selector))
    else:
        return False
    return True


def _ofReactor(reactor: Any) -> Iterator[tuple[int, int]]:
    for fd in reactor._selectables:
        yield fd, (fd in reactor._reads and READABLE) | (fd in reactor._writes and WRITABLE)


def _ofSelector(selector: selectors.BaseSelector) -> Iterator[tuple[int, int]]:
    for key in selector.get_map().values():
        reading, writing = key.events & selectors.EVENT_READ, key.events & selectors.EVENT_WRITE
        yield key.fd, (reading and READABLE) | (writing and WRITABLE)


def _forked() -> None:
    for one in list(_known):
        one.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
