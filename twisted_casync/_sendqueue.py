"""
Datagrams that wait for the address of a host name.

MFC blocks in C{gethostbyname} and sends then.  Here a C{SendTo} takes the datagram, and what is sent after it waits
behind it, so that all leave in the order in which they were sent.  A socket that is closed meanwhile stays open
underneath until its last datagram has left: the program was told that they were sent.
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
"""What sends a datagram: the socket, the data, the flags and the address."""

_DATAGRAMS: Final = 64
_BYTES: Final = 1 << 18
"""The most that waits: at least three datagrams of any size."""
_ADDRESSES: Final = 256
"""The most addresses that are remembered, those that were found last."""
_AGAIN: Final = 0.01
"""Seconds after which a datagram is tried again that the system had no room for."""


class _Datagram:
    """
    One that waits.

    @ivar to: where it goes: an address, the name that is looked up, or why there is no address.
    """

    __slots__ = ("data", "flags", "to")

    def __init__(self, data: bytes, flags: int, to: SockAddr | HostName) -> None:
        self.data = data
        self.flags = flags
        self.to: SockAddr | HostName | WSAError = to


class SendQueue:
    """
    The datagrams of one socket that wait, in order, and the addresses of names that it has sent to.

    It does not know the object that has the socket: the two would be left to the garbage collector.

    @ivar failure: why the last datagram that has not left has not, until a call has failed with it.
    @ivar wanted: the bytes of the last datagram that there was no room for; L{None} where none was refused.
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
        # It will be tried again soon.
        self._again = False
        # Nobody else has the socket any more.
        self._ends = False

    def isWaiting(self) -> bool:
        """
        @return: whether datagrams wait.
        """
        return bool(self._datagrams)

    def isIdle(self) -> bool:
        """
        @return: whether the next datagram can leave at once, and nothing is to be said before.
        """
        return not self._datagrams and self.failure is None

    def hasRoom(self, size: int) -> bool:
        """
        @return: whether a datagram of so many bytes can wait too.
        """
        return len(self._datagrams) < _DATAGRAMS and self._bytes + size <= _BYTES

    def take(self, data: bytes, flags: int, to: SockAddr | HostName) -> bool:
        """
        Let a datagram wait behind the others.

        @return: whether its name is to be looked up: no other datagram waits for it.
        """
        new = isinstance(to, HostName) and not self._waitingFor(to.host)
        self._datagrams.append(_Datagram(data, flags, to))
        self._bytes += len(data)
        return new

    def _waitingFor(self, host: str) -> list[_Datagram]:
        return [one for one in self._datagrams if isinstance(one.to, HostName) and one.to.host == host]

    def giveBack(self) -> None:
        """
        The datagram that was taken last is not sent.
        """
        self._bytes -= len(self._datagrams.pop().data)

    # -- addresses

    def addressOf(self, name: HostName) -> SockAddr | HostName:
        """
        @return: the address of a name that was looked up before; else the name.
        """
        known = self._addresses.get(name.host)
        return name if known is None else (known[0], name.port, *known[2:])

    def answered(self, host: str, found: Sequence[SockAddr]) -> None:
        """
        The addresses of a name are known, or that it has none; the first one is taken, as MFC does.
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
        Send what need not wait any more.

        @param moved: called afterwards, and each time that more was sent later.
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
        @return: how that has ended.
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
                # That is said of an earlier one, which nobody was there for; this one was not sent.
                self.failure = WSAError.WSAECONNRESET
            else:
                break
        return WSAError.NO_ERROR

    # -- the end of the socket

    def outlive(self, sock: socket.socket, ends: bool) -> None:
        """
        The object gives its socket up, and what waits is still to be sent.

        @param sock: a socket with the same name.
        @param ends: it is closed with the last datagram: nobody else has it.
        """
        self._sock, self._ends = sock, ends

    def __del__(self) -> None:
        # The reactor has stopped before a name was found.
        if self._ends:
            self._sock.close()
