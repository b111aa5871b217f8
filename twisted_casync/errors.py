"""
What an awaited call raises: one exception class for each family of Winsock's errors.

Each is an C{OSError}, and the builtin exception that a Python program would catch there, where there is one: a
refused connection is a C{ConnectionRefusedError} too.  So C{except ConnectionError} and C{except OSError} do what they
always do.
"""

from __future__ import annotations

import socket
from typing import Any, Final

from .winsock import WSAError, errnoFromError

__all__ = [
    "IncompleteRead",
    "LimitExceeded",
    "WinsockAccessDenied",
    "WinsockAddressError",
    "WinsockArgumentError",
    "WinsockBusy",
    "WinsockConnectionAborted",
    "WinsockConnectionRefused",
    "WinsockConnectionReset",
    "WinsockError",
    "WinsockInterrupted",
    "WinsockNameError",
    "WinsockResourceError",
    "WinsockShutDown",
    "WinsockStateError",
    "WinsockTimedOut",
    "WinsockUnreachable",
    "winsockError",
]


class WinsockError(OSError):
    """
    A call failed with an error of Winsock.  L{winsockError} makes the exception of the error's family.

    @ivar code: the error, a L{WSAError}.
    @ivar winerror: its number, as C{OSError} has it on Windows.
    @ivar name: its name, such as C{"WSAECONNREFUSED"}.
    @ivar errno: what this platform calls it.
    @ivar strerror: Microsoft's sentence.
    @ivar partial: the beginning of a datagram that was longer than the buffer (C{WSAEMSGSIZE}); else empty.
    """

    def __init__(self, code: int, partial: bytes = b"") -> None:
        """
        @param code: a number of Winsock.
        @param partial: what was received before the call failed.
        @raise ValueError: C{code} is none of L{WSAError}.
        """
        self.code = WSAError(code)
        super().__init__(errnoFromError(self.code), self.code.message)
        self.winerror = int(self.code)
        self.name = self.code.name
        self.partial = partial

    def __str__(self) -> str:
        return f"[{self.name} {self.winerror}] {self.strerror}"

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.winerror, self.partial)


class WinsockInterrupted(WinsockError, InterruptedError):
    """
    The wait was ended from this side: by C{CancelBlockingCall}, C{Close} or C{Detach}.
    """


class WinsockBusy(WinsockError, BlockingIOError):
    """
    Another call of this kind is under way.
    """


class WinsockConnectionRefused(WinsockError, ConnectionRefusedError):
    """
    Nobody listens there.
    """


class WinsockConnectionReset(WinsockError, ConnectionResetError):
    """
    The peer, or the network, has broken the connection.
    """


class WinsockConnectionAborted(WinsockError, ConnectionAbortedError):
    """
    The connection timed out, or was aborted on this side.
    """


class WinsockShutDown(WinsockError, BrokenPipeError):
    """
    This direction of the socket was shut down.
    """


class WinsockTimedOut(WinsockError, TimeoutError):
    """
    The peer did not answer the attempt to connect.  (What C{Deferred.addTimeout} raises is Twisted's C{TimeoutError}.)
    """


class WinsockUnreachable(WinsockError):
    """
    There is no way to the peer.
    """


class WinsockNameError(WinsockError, socket.gaierror):
    """
    A host name was not found.
    """


class WinsockAddressError(WinsockError):
    """
    The address can't be had, or is none for this socket.
    """


class WinsockAccessDenied(WinsockError, PermissionError):
    """
    It is not allowed.
    """


class WinsockArgumentError(WinsockError, ValueError):
    """
    The call was wrong, or is none for such a socket.
    """


class WinsockStateError(WinsockError):
    """
    The socket is not in a state for this call: closed, not connected, connected already.
    """


class WinsockResourceError(WinsockError):
    """
    The system, or the process, has no more of something.
    """


_FAMILIES: Final[dict[type[WinsockError], tuple[str, ...]]] = {
    WinsockInterrupted: ("EINTR",),
    WinsockBusy: ("EWOULDBLOCK", "EINPROGRESS", "EALREADY"),
    WinsockConnectionRefused: ("ECONNREFUSED",),
    WinsockConnectionReset: ("ECONNRESET", "ENETRESET"),
    WinsockConnectionAborted: ("ECONNABORTED",),
    WinsockShutDown: ("ESHUTDOWN",),
    WinsockTimedOut: ("ETIMEDOUT",),
    WinsockUnreachable: ("ENETDOWN", "ENETUNREACH", "EHOSTDOWN", "EHOSTUNREACH"),
    WinsockNameError: ("HOST_NOT_FOUND", "TRY_AGAIN", "NO_RECOVERY", "NO_DATA"),
    WinsockAddressError: ("EADDRINUSE", "EADDRNOTAVAIL", "EAFNOSUPPORT", "EPFNOSUPPORT", "EDESTADDRREQ"),
    WinsockAccessDenied: ("EACCES",),
    WinsockArgumentError: (
        *("EFAULT", "EINVAL", "EMSGSIZE", "ENOPROTOOPT", "EOPNOTSUPP"),
        *("EPROTOTYPE", "EPROTONOSUPPORT", "ESOCKTNOSUPPORT"),
    ),
    WinsockStateError: ("EBADF", "ENOTSOCK", "ENOTCONN", "EISCONN", "NOTINITIALISED"),
    WinsockResourceError: ("EMFILE", "ENOBUFS", "EPROCLIM", "SYSNOTREADY", "VERNOTSUPPORTED", "SYSCALLFAILURE"),
}
"""Each error of Winsock, without the C{WSA} of its name, in its family."""

_FAMILY_OF: Final = {WSAError["WSA" + name]: family for family, names in _FAMILIES.items() for name in names}


def winsockError(code: int, partial: bytes = b"") -> WinsockError:
    """
    Make the exception for an error.

    @param code: a number of Winsock.
    @param partial: what was received before the call failed.
    @return: an exception of the class of its family.
    @raise ValueError: C{code} is none of L{WSAError}.
    """
    return _FAMILY_OF.get(WSAError(code), WinsockError)(code, partial)


class IncompleteRead(ConnectionError):
    """
    The stream has ended before what was asked for was there.  Nothing is lost: the next C{Receive} gives C{partial}.

    @ivar partial: the bytes up to the end of the stream; empty when it ended where it may.
    @ivar expected: how many were asked for; L{None} where a delimiter was.
    """

    def __init__(self, partial: bytes, expected: int | None) -> None:
        super().__init__(partial, expected)
        self.partial = partial
        self.expected = expected

    def __str__(self) -> str:
        wanted = "a delimiter was" if self.expected is None else f"{self.expected} bytes were"
        return f"the stream ended after {len(self.partial)} bytes, and {wanted} asked for"


class LimitExceeded(ValueError):
    """
    There is no delimiter in as many bytes as it was looked for in.  Nothing is lost: the next C{Receive} gives them.

    @ivar limit: that number of bytes.
    """

    def __init__(self, limit: int) -> None:
        super().__init__(limit)
        self.limit = limit

    def __str__(self) -> str:
        return f"no delimiter in {self.limit} bytes"
