"""
What a child process has of its parent's epoll sets.

An epoll set is one, however many processes have a descriptor of it: what a child takes out, its parent does not hear
of any more.  So each set that this process watches sockets with is replaced in a child by one of the child's own, under
the same descriptor, so that whoever looks at it need not know.  It is replaced when it is used: most children use none,
they become another program.

Twisted's own reactors take no such care; what they watch with C{epoll} is lost to one of the two.
"""

from __future__ import annotations

import os
import select
from typing import Final, Protocol
from weakref import WeakSet

__all__ = ["Inheritable", "remember", "replace"]


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


def replace(poller: select.epoll) -> None:
    """
    Make an epoll set that is shared with the parent a new, empty one of this process's own.

    @raise OSError: there is no descriptor, or no memory, for it.
    """
    with select.epoll() as new:
        os.dup2(new.fileno(), poller.fileno(), inheritable=False)


def _forked() -> None:
    for one in list(_known):
        one.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
