"""
A conduit: what stands in the place of a socket where there is no descriptor.

The members of a C{CAsyncSocket} call a C{socket.socket}.  A conduit has the methods of that which they call, with the
same results and the same errors, over anything that can carry data: a Twisted transport, TLS, the memory of a test.
So the members, the rules and the handlers are the same whatever is beneath.
"""

from __future__ import annotations

import socket
from itertools import count
from typing import Any, ClassVar, Final, Protocol
from weakref import WeakValueDictionary

from ._sockaddr import UNIX, SockAddr
from .winsock import AF_INET, SOCK_STREAM, WSAError, errnoFromError, errorFromErrno

__all__ = ["EVERYTHING", "Conduit", "Watcher", "conduitOf", "failing"]

_HANDLES: Final = count(0x40000000)
"""Handles that no descriptor has: Linux gives at most 2**30 (fs.nr_open, proc(5))."""

_detached: Final[WeakValueDictionary[int, Conduit]] = WeakValueDictionary()
"""Those that are known by their handles alone: one that an object has, that object knows."""

_TYPE: Final = (socket.SOL_SOCKET, socket.SO_TYPE)

EVERYTHING: Final = -1
"""All that can be ready: every bit of L{_readiness}."""


def failing(code: WSAError) -> OSError:
    """
    What a system call would raise.
    """
    return OSError(errnoFromError(code), code.message)


def conduitOf(handle: int) -> Conduit | None:
    """
    @return: the conduit that was detached with a handle; L{None} if there is none.
    """
    return _detached.get(handle)


class Watcher(Protocol):
    """
    Who watches conduits.
    """

    def changed(self, conduit: Conduit, now: bool) -> None:
        """
        A conduit may have become ready.

        @param now: the reactor has called, and no member of a socket is under way: whoever watches may tell its socket
            inside this call.
        """

    def fed(self, conduit: Conduit, now: bool) -> None:
        """
        The same of one that data has come to, and nothing else that was not told.
        """


class Conduit:
    """
    What every conduit has: a handle, options, and whoever watches it.

    @cvar type: C{SOCK_STREAM}, or what else it is, as the socket module has it.
    @ivar family: that of its names.
    @ivar reactor: a provider of C{IReactorTime}, in whose turns its socket is told.
    @ivar watcher: who is to hear when something may have become ready.
    @ivar handle: what it has instead of a descriptor; -1 when it is closed.
    @ivar size: how many bytes can be received, as far as it is one that data comes to.
    """

    # There may be very many of them, and nearly all have nothing but what they need: options come with the first one.
    __slots__ = ("__weakref__", "_name", "_options", "handle", "reactor", "size", "watcher")

    type: ClassVar[int] = SOCK_STREAM

    def __init__(self, reactor: Any, name: SockAddr = "") -> None:
        """
        @param name: the local name: an address tuple, or a string for what has no address.
        """
        self.reactor = reactor
        self.watcher: Watcher | None = None
        self.handle = next(_HANDLES)
        self.size = 0
        self._name = name
        self._options: dict[tuple[int, int], Any] | None = None

    @property
    def family(self) -> int:
        """
        The family of its names; that of UNIX sockets where they are no addresses.
        """
        if not isinstance(self._name, tuple):
            return UNIX
        return AF_INET if len(self._name) == 2 else int(socket.AF_INET6)

    def ready(self, wanted: int = EVERYTHING) -> int:
        """
        @param wanted: the bits that somebody wants to know of: the others need not be found out.
        @return: what is ready at this moment, of L{_readiness.READABLE} and its kin.
        """
        raise NotImplementedError

    def changed(self, now: bool = False) -> None:
        """
        Something may have become ready.

        @param now: the reactor has called, and no member of a socket is under way: whoever watches may be told inside
            this call.
        """
        if self.watcher is not None:
            self.watcher.changed(self, now)

    def unread(self) -> int:
        """
        @return: how many bytes the next receive gets at most (C{FIONREAD}).
        """
        return self.size

    def atMark(self) -> bool:
        """
        @return: whether the next byte stands where an urgent byte stands, or stood (C{SIOCATMARK}).
        """
        return False

    def failure(self) -> WSAError:
        """
        @return: why the connection was lost, or was not made; once.
        """
        return errorFromErrno(self.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))

    def wasConnected(self) -> bool:
        """
        @return: whether it has, or has had, a peer.
        """
        return True

    # -- what a socket has

    def fileno(self) -> int:
        """
        @return: the handle, which no system call takes.
        """
        return self.handle

    def setblocking(self, flag: bool) -> None:
        """
        It never blocks.
        """

    def getsockname(self) -> SockAddr:
        """
        @return: the local name.
        """
        return self._name

    def named(self, name: SockAddr) -> None:
        """
        Its local name is known.
        """
        self._name = name

    def getpeername(self) -> SockAddr:
        """
        @raise OSError: C{ENOTCONN}.
        """
        raise failing(WSAError.WSAENOTCONN)

    def getsockopt(self, level: int, option: int) -> int:
        """
        @return: what was set; 0 of an option that was not.
        """
        if (level, option) == _TYPE:
            return self.type
        return int((self._options or {}).get((level, option), 0))

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """
        Remember an option.
        """
        if self._options is None:
            self._options = {}
        self._options[level, option] = value

    def dup(self) -> Any:
        """
        @raise OSError: C{EOPNOTSUPP}, there is nothing to duplicate.
        """
        raise failing(WSAError.WSAEOPNOTSUPP)

    def listen(self, backlog: int) -> None:
        """
        @raise OSError: C{EOPNOTSUPP}.
        """
        raise failing(WSAError.WSAEOPNOTSUPP)

    def accept(self) -> tuple[Conduit, SockAddr]:
        """
        @raise OSError: C{EOPNOTSUPP}.
        """
        raise failing(WSAError.WSAEOPNOTSUPP)

    def bind(self, address: SockAddr) -> None:
        """
        @raise OSError: C{EOPNOTSUPP}, its name is given.
        """
        raise failing(WSAError.WSAEOPNOTSUPP)

    def connect_ex(self, address: SockAddr) -> int:
        """
        @return: C{EOPNOTSUPP}: where it leads is given.
        """
        return errnoFromError(WSAError.WSAEOPNOTSUPP)

    def dissolve(self) -> None:
        """
        Have no peer any more: C{connect(2)} to C{AF_UNSPEC}.

        @raise OSError: C{EOPNOTSUPP}, only datagrams go to others afterwards.
        """
        raise failing(WSAError.WSAEOPNOTSUPP)

    def detach(self) -> int:
        """
        Leave it open, and nobody's, until another socket is attached to its handle.

        @return: the handle.
        """
        _detached[self.handle] = self
        return self.handle

    def close(self) -> None:
        """
        Give it up: its handle is nobody's.
        """
        self.watcher = None
        _detached.pop(self.handle, None)
        self.handle = -1
