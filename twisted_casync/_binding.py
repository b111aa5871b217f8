"""
Names as Windows gives and takes them: which sockets can share a port, and how a datagram socket loses its peer.

Windows lets a socket bind over connections in TIME_WAIT, and lets the wildcard and a specific address share a port;
Linux does so only among sockets that have C{SO_REUSEADDR}.  So every TCP socket has it here, and what Linux then allows
and Windows does not, two sockets on the very same address, is refused here for the sockets of this thread.  Linux
itself refuses it as soon as one of them listens, whoever owns it.
"""

from __future__ import annotations

import ctypes
import os
import socket
from typing import Final

from ._arguments import Rejected
from ._conduit import Conduit
from ._sockaddr import UNIX, SockAddr
from ._threads import openSockets
from .winsock import AF_INET6, SOCK_STREAM, WSAError, errorFromErrno

__all__ = ["bind", "dissolve"]

_REUSEADDR: Final = (socket.SOL_SOCKET, socket.SO_REUSEADDR)


def bind(sock: socket.socket, address: SockAddr, reuse: bool) -> None:
    """
    Bind a socket that has no name.

    @param reuse: the program has set C{SO_REUSEADDR}.
    @raise Rejected: C{WSAEADDRINUSE}; C{WSAEACCES} where one of the two sockets would share the address, and the other
        would not.
    @raise OSError: any other failure.
    """
    stream = sock.type == SOCK_STREAM and sock.family != UNIX
    if stream and address[1]:
        _refuse(sock, address, reuse)
        sock.setsockopt(*_REUSEADDR, 1)
    try:
        sock.bind(address)
    except OSError as error:
        if errorFromErrno(error.errno) is WSAError.WSAEADDRINUSE and reuse:
            raise Rejected(WSAError.WSAEACCES) from None
        raise
    if stream:
        # Only now for a port that the system chose, which is one that nobody else has.
        sock.setsockopt(*_REUSEADDR, 1)


def _refuse(sock: socket.socket, address: SockAddr, reuse: bool) -> None:
    """
    @raise Rejected: a socket of this thread has the address, and does not share it.
    """
    for other in openSockets():
        theirs = other._as_bound()
        if theirs is None or theirs[0] != sock.family or theirs[1][:2] != address[:2]:
            continue
        if other._as_shares():
            if not reuse:
                raise Rejected(WSAError.WSAEADDRINUSE)
        else:
            raise Rejected(WSAError.WSAEACCES if reuse else WSAError.WSAEADDRINUSE)


def dissolve(sock: socket.socket | Conduit) -> None:
    """
    Take a datagram socket's peer away: connect(2) to AF_UNSPEC, which Python's C{connect} can't say; a conduit does it
    itself.

    @raise OSError: it could not.
    """
    if isinstance(sock, Conduit):
        sock.dissolve()
        return
    libc = ctypes.CDLL(None, use_errno=True)
    unspecified = ctypes.create_string_buffer(28 if sock.family == AF_INET6 else 16)
    if libc.connect(sock.fileno(), unspecified, len(unspecified)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
