"""
How a socket comes to its peer: one attempt, through all the addresses that a name has.

An attempt begins with a name, which is looked up first, or with an address.  Each address is tried in turn until one
answers, on the same socket, as C{Connect} is on one.
"""

from __future__ import annotations

import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Final

from ._conduit import Conduit
from ._lookup import Lookup
from ._notify import BOUND, DATAGRAM, NEW, UNNAMED, Phase
from ._sockaddr import UNIX, HostName, SockAddr, isEmpty
from .winsock import AF_INET, SOCK_STREAM, WSAError, errorFromErrno

__all__ = ["UNDER_WAY", "Attempt", "failureOf", "queuedFor", "unconnected"]

UNDER_WAY: Final = (WSAError.NO_ERROR, WSAError.WSAEWOULDBLOCK)
"""What is left by a connect(2) that has not failed."""

_BROKEN: Final = (WSAError.WSAECONNRESET, WSAError.WSAECONNABORTED)
"""Only a connection that was made can have these (tcp_reset() in Linux): it was lost before anybody looked."""

_UNACKED: Final = 24
"""Where C{tcpi_unacked} is in TCP_INFO: of a listener the length of its queue (tcp_get_info() in Linux)."""


class Attempt:
    """
    One call of C{Connect}, until it ends.

    @ivar lookup: the lookup under way; L{None} before and after.
    @ivar peer: the address that is being tried, or was tried last.
    """

    __slots__ = ("_left", "_sock", "lookup", "peer")

    def __init__(self, sock: socket.socket, addresses: Sequence[SockAddr] = ()) -> None:
        self._sock = sock
        self._left = list(addresses)
        self.lookup: Lookup | None = None
        self.peer: SockAddr | None = None

    def on(self, sock: socket.socket, alone: bool = True) -> Attempt:
        """
        @param alone: no other object goes on with it, to the addresses that are left.
        @return: the same attempt, of another object that has the socket.
        """
        other = Attempt(sock, self._left if alone else ())
        other.peer = self.peer
        return other

    def lookUp(self, reactor: Any, name: HostName, then: Callable[[Attempt], None]) -> None:
        """
        Find the addresses of a name.

        @param then: what to call with this attempt when they, or that there are none, are known.  It may be called
            before this returns.
        @raise Rejected: it can't be looked up.
        """

        def found(lookup: Lookup, addresses: Sequence[SockAddr]) -> None:
            self.lookup = None
            self._left = list(addresses)
            then(self)

        self.lookup = Lookup(name.port, found)
        self.lookup.start(reactor, name.host, int(self._sock.family), self._sock.type)

    def next(self) -> WSAError:
        """
        Try the addresses that are left.

        @return: one of L{UNDER_WAY}, where C{NO_ERROR} is a connection that was made at once; else the error of the
            last address.
        """
        code = WSAError.WSAHOST_NOT_FOUND
        while self._left:
            self.peer = self._left.pop(0)
            code = self._connect(self.peer)
            if code in UNDER_WAY:
                break
        return code

    def _connect(self, address: SockAddr) -> WSAError:
        if isEmpty(address) or (isinstance(address, tuple) and not address[1] and self._sock.type == SOCK_STREAM):
            # Linux goes to this machine for zeros, which some resolvers answer for names that are to be blocked.
            return WSAError.WSAEADDRNOTAVAIL
        code = errorFromErrno(self._sock.connect_ex(address))
        if code is WSAError.WSAECONNABORTED:
            # Linux says this once, of the attempt before.
            code = errorFromErrno(self._sock.connect_ex(address))
        if code is WSAError.WSAEWOULDBLOCK and self._sock.family == UNIX:
            # The listener's queue is full, and Linux does not wait: nothing is under way.
            code = WSAError.WSAECONNREFUSED
        if code is WSAError.WSAEADDRNOTAVAIL and self._sock.family == AF_INET:
            # Of IPv4 Linux says this only where the local port has a connection to there already, or none is free.
            code = WSAError.WSAEADDRINUSE
        return code

    def conclude(self, failure: WSAError | None) -> WSAError | None:
        """
        Something has happened to the address that is being tried.

        @param failure: the error of the socket, if it has one.
        @return: how the attempt has ended, C{NO_ERROR} with a connection; L{None} while it goes on.
        """
        if failure is None:
            return WSAError.NO_ERROR if self.arrived() else None
        if failure in _BROKEN and not (isinstance(self._sock, Conduit) and not self._sock.wasConnected()):
            return WSAError.NO_ERROR
        code = self.next() if self._left else failure
        return None if code in UNDER_WAY else code

    def arrived(self) -> bool:
        """
        @return: whether the connection is there; the reactor may still be to say so.
        """
        if self.lookup is not None:
            return False
        try:
            self.peer = self._sock.getpeername()
        except OSError:
            # Not yet, or never.
            return False
        return True


def unconnected(sock: socket.socket) -> Phase:
    """
    The phase of a socket that has no peer and does not listen.
    """
    try:
        name = sock.getsockname()
    except OSError:
        # The descriptor was closed beneath it.
        name = ""
    named = bool(name[1]) if isinstance(name, tuple) else bool(name)
    if sock.type == SOCK_STREAM:
        return BOUND if named else NEW
    return DATAGRAM if named else UNNAMED


def failureOf(sock: socket.socket | Conduit) -> WSAError:
    """
    @return: the error of a socket, which the kernel says only once.
    """
    if isinstance(sock, Conduit):
        # Why a name has no address, say, is no errno.
        return sock.failure()
    try:
        return errorFromErrno(sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
    except OSError as error:
        # The descriptor was closed beneath it, and may be that of a file by now.
        return errorFromErrno(error.errno)


def queuedFor(sock: socket.socket, family: int) -> int:
    """
    How many connections wait for a listener: of TCP one call says so, of more than one at once.

    @return: as many at least, 0 where there is none; -1 where nothing is said of it.
    """
    if family == UNIX or sys.platform != "linux":
        return -1
    try:
        found: bytes = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _UNACKED + 4)
    except OSError:
        return -1
    if len(found) < _UNACKED + 4:
        return -1
    # Its lowest bytes: if they happen to be 0, the kernel names the listener again.
    return found[_UNACKED] or found[_UNACKED + 1]
