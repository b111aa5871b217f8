"""
What Winsock keeps in a socket, and Linux does not: remembered while no object has the socket.

C{Detach} hands out a descriptor, and C{Attach} takes one: in another object, another thread, a child process.  What was
remembered of the socket meanwhile belongs to the socket, and not to the number: that may soon be another's.  So it is
found by the inode of the socket, which no other has, whatever descriptor it comes back with.
"""

from __future__ import annotations

import os
from typing import Any, Final, NamedTuple

from ._conduit import Conduit, conduitOf
from ._connecting import Attempt
from ._notify import Phase
from ._options import Settings
from ._sockaddr import SockAddr
from .winsock import WSAError

__all__ = ["Kept", "recall", "remember"]

_CONDUIT: Final = -1
_FEW: Final = 64
"""Of so many sockets it is not looked whether they are still open."""


class Kept(NamedTuple):
    """
    What is kept of one socket.

    @ivar phase: where it is in its life.
    @ivar receives: C{ShutDown(receives)} was not called.
    @ivar sends: C{ShutDown(sends)} was not called.
    @ivar error: what is still to be told, and what calls fail with.
    @ivar taken: the same for C{GetSockOpt(SO_ERROR)}.
    @ivar urgent: an urgent byte that had to be taken from the kernel before its time.
    @ivar holed: an urgent byte was taken, whose place in the stream was not passed.
    @ivar peer: the name of the peer.
    @ivar attempt: to connect, unless it is looking a name up.
    @ivar settings: the options that are remembered beside the socket.
    """

    phase: Phase
    receives: bool
    sends: bool
    error: WSAError | None
    taken: WSAError | None
    urgent: bytes
    holed: bool
    peer: SockAddr | None
    attempt: Attempt | None
    settings: Settings | None

    def ofAnother(self) -> Kept:
        """
        @return: what is left of it when the socket was disconnected, or has another connection.
        """
        return Kept(self.phase, True, True, None, self.taken, b"", False, None, None, self.settings)


class _Left(NamedTuple):
    """
    A socket that was detached.

    @ivar kept: what is kept of it.
    @ivar peer: the peer that the kernel knew.
    @ivar values: those of the options that the kernel had.
    """

    kept: Kept
    peer: SockAddr | None
    values: dict[int, Any]


# By the inode of the socket, and the descriptor: duplicates were shut down each for itself.  Each step is one that no
# other thread can come between, and no lock is held when a process forks.
_left: Final[dict[tuple[int, int], dict[int, _Left]]] = {}


class _Bound:
    """
    How many sockets are remembered until it is looked for those that were closed elsewhere.
    """

    most = _FEW


def remember(sock: Any, kept: Kept) -> None:
    """
    An object gives a socket up that stays open.
    """
    if len(_left) >= _Bound.most:
        _forgetClosed()
        _Bound.most = max(_FEW, 2 * len(_left))
    identity = _identityOf(sock)
    if identity is not None:
        values = kept.settings.onPlatform(sock) if kept.settings is not None else {}
        _left.setdefault(identity, {})[sock.fileno()] = _Left(kept, _peerOf(sock), values)


def recall(sock: Any) -> Kept | None:
    """
    What was remembered of a socket that an object takes, as far as nobody has changed it in the meantime.

    @return: L{None} where nothing is known of it.
    """
    identity = _identityOf(sock)
    those = _left.get(identity) if identity is not None else None
    if identity is None or not those:
        return None
    left = those.pop(sock.fileno(), None)
    if not those:
        _left.pop(identity, None)
    elif left is None:
        # It comes back with another descriptor.
        left = next(iter(tuple(those.values())), None)
    if left is None:
        return None
    kept, peer = left.kept, _peerOf(sock)
    if kept.settings is not None:
        kept = kept._replace(settings=kept.settings.since(sock, left.values))
    if peer is not None and peer != left.peer:
        # Connected since, or to another peer.
        kept = kept.ofAnother()
    return kept


def _peerOf(sock: Any) -> SockAddr | None:
    try:
        peer: SockAddr = sock.getpeername()
    except OSError:
        # It has none.
        return None
    return peer


def _identityOf(sock: Any) -> tuple[int, int] | None:
    # The handle of a conduit is used once.
    return (_CONDUIT, sock.fileno()) if isinstance(sock, Conduit) else _identity(sock.fileno())


def _identity(fd: int) -> tuple[int, int] | None:
    """
    @return: what tells a socket from all others, device and inode; L{None} of what is no open descriptor.
    """
    try:
        status = os.fstat(fd)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _forgetClosed() -> None:
    """
    Forget what was closed elsewhere.
    """
    for identity, those in list(_left.items()):
        for fd in list(those):
            if conduitOf(fd) is None if identity[0] == _CONDUIT else _identity(fd) != identity:
                those.pop(fd, None)
        if not those:
            _left.pop(identity, None)
