"""
Datagrams that wait for the address of a host name.

MFC blocks in C{gethostbyname} and sends then.  Here a C{SendTo} takes the datagram.  Later datagrams wait behind it,
so that all leave in the order in which they were sent.  A socket that is closed meanwhile keeps its descriptor until
the last datagram has left: the program was told that they were sent.
"""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, TypeAlias

from ._sockaddr import HostName, SockAddr, isEmpty
from .winsock import WSAError, errorFromErrno

__all__ = ["SendQueue"]

Send: TypeAlias = "Callable[[socket.socket, bytes, int, SockAddr], object]"
"""A function that sends a datagram: the socket, the data, the flags and the address."""

_DATAGRAMS: Final = 64
_BYTES: Final = 1 << 18
"""The most bytes that wait: at least three datagrams of any size."""
_ADDRESSES: Final = 256
"""The most addresses that are kept: those that were found last."""
_AGAIN: Final = 0.01
"""Seconds after which the queue tries again to send where the system had no room."""


class _Datagram:
    """
    A datagram that waits.

    @ivar to: its destination: an address, the name that is looked up, or the error of the lookup.
    """

    __slots__ = ("data", "flags", "to")

    def __init__(self, data: bytes, flags: int, to: SockAddr | HostName) -> None:
        self.data = data
        self.flags = flags
        self.to: SockAddr | HostName | WSAError = to


class SendQueue:
    """
    The datagrams of one socket that wait, in order, and the addresses of the names that it has sent to.

    The queue has no reference to the object that has the socket: a cycle would be left to the garbage collector.

    @ivar failure: the error of the last datagram that could not be sent, until a call has failed with it.
    @ivar wanted: the size in bytes of the last datagram that was refused for lack of room; L{None} where none was.
    """

    __slots__ = (
        "_addresses",
        "_again",
        "_bytes",
        "_datagrams",
        "_ends",
        "_reactor",
        "_send",
        "_sock",
        "failure",
        "wanted",
    )

    def __init__(self, reactor: Any, sock: socket.socket, send: Send) -> None:
        """
        @param reactor: an C{IReactorTime}.
        """
        self.failure: WSAError | None = None
        self.wanted: int | None = None
        self._reactor = reactor
        self._sock = sock
        self._send = send
        self._datagrams: deque[_Datagram] = deque()
        self._bytes = 0
        self._addresses: dict[str, SockAddr] = {}
        # A call of _tryAgain is scheduled.
        self._again = False
        # The queue owns the socket.
        self._ends = False

    def isWaiting(self) -> bool:
        """
        @return: whether datagrams wait.
        """
        return bool(self._datagrams)

    def isIdle(self) -> bool:
        """
        @return: whether the next datagram can leave at once: none waits, and no failure is to be reported.
        """
        return not self._datagrams and self.failure is None

    def hasRoom(self, size: int) -> bool:
        """
        @return: whether there is room for a datagram of C{size} bytes.
        """
        return len(self._datagrams) < _DATAGRAMS and self._bytes + size <= _BYTES

    def take(self, data: bytes, flags: int, to: SockAddr | HostName) -> bool:
        """
        Append a datagram.

        @return: whether its name is to be looked up: no other datagram waits for that name.
        """
        new = isinstance(to, HostName) and not self._waitingFor(to.host)
        self._datagrams.append(_Datagram(data, flags, to))
        self._bytes += len(data)
        return new

    def _waitingFor(self, host: str) -> list[_Datagram]:
        return [one for one in self._datagrams if isinstance(one.to, HostName) and one.to.host == host]

    def giveBack(self) -> None:
        """
        Remove the datagram that was taken last.
        """
        self._bytes -= len(self._datagrams.pop().data)

    # -- addresses

    def addressOf(self, name: HostName) -> SockAddr | HostName:
        """
        @return: the address of a name, where it is known; else the name.
        """
        known = self._addresses.get(name.host)
        return name if known is None else (known[0], name.port, *known[2:])

    def answered(self, host: str, found: Sequence[SockAddr]) -> None:
        """
        The lookup of a name has ended.

        @param found: its addresses, of which the first is used, as in MFC; empty where it has none.
        """
        if found:
            if len(self._addresses) >= _ADDRESSES:
                del self._addresses[next(iter(self._addresses))]
            self._addresses[host] = found[0]
        for one in self._waitingFor(host):
            if isinstance(one.to, HostName):
                one.to = self.addressOf(one.to) if found else WSAError.WSAHOST_NOT_FOUND

    # -- sending

    def flush(self, moved: Callable[[SendQueue], None]) -> None:
        """
        Send the datagrams whose addresses are known, up to the first that waits.

        @param moved: called afterwards, and again after each later try.
        """
        while self._datagrams:
            one = self._datagrams[0]
            if isinstance(one.to, HostName):
                break
            code = one.to if isinstance(one.to, WSAError) else self._sent(one, one.to)
            if code is WSAError.WSAEWOULDBLOCK:
                if not self._again:
                    self._again = True
                    self._reactor.callLater(_AGAIN, self._tryAgain, moved)
                break
            self._datagrams.popleft()
            self._bytes -= len(one.data)
            self.failure = code or self.failure
        if self._ends and not self._datagrams:
            self._sock.close()
        moved(self)

    def _tryAgain(self, moved: Callable[[SendQueue], None]) -> None:
        self._again = False
        self.flush(moved)

    def _sent(self, one: _Datagram, to: SockAddr) -> WSAError:
        """
        @return: the error, or C{NO_ERROR}.
        """
        if isEmpty(to):
            return WSAError.WSAEADDRNOTAVAIL
        for _ in range(2):
            try:
                self._send(self._sock, one.data, one.flags, to)
            except OSError as error:
                code = errorFromErrno(error.errno)
                if code is not WSAError.WSAECONNREFUSED:
                    return code
                # The error is of an earlier datagram, whose port was unreachable; this one was not sent.
                self.failure = WSAError.WSAECONNRESET
            else:
                break
        return WSAError.NO_ERROR

    # -- the end of the socket

    def outlive(self, sock: socket.socket, ends: bool) -> None:
        """
        The object gives up its socket; the datagrams that wait are still sent.

        @param sock: a socket with the same name.
        @param ends: the queue owns it, and closes it after the last datagram.
        """
        self._sock, self._ends = sock, ends

    def __del__(self) -> None:
        # The reactor has stopped before the lookup has ended.
        if self._ends:
            self._sock.close()
