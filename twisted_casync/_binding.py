"""
Names as Windows gives and takes them: which sockets can share a port, and how a datagram socket loses its peer.

Windows lets a socket bind over connections in TIME_WAIT, and lets the wildcard and a specific address share a port;
Linux does so only among sockets that have C{SO_REUSEADDR}, and of them only one may listen.  So every TCP socket has
that option here.  Linux then allows two sockets on the very same address, and Windows does not: it is refused here for
the sockets of this thread, and by Linux as soon as one of them listens.  Where Windows allows two sockets to share a
port and Linux does not, the sockets have an option for that during the call only: as long as they have it any other
program of the same user could take a share of the port.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import socket
from collections.abc import Callable, Sequence
from typing import Any, Final

from ._arguments import Rejected
from ._conduit import Conduit
from ._sockaddr import ANY, UNIX, SockAddr, hostAndPort
from ._threads import openSockets
from .winsock import AF_INET, AF_INET6, SOCK_STREAM, Option, WSAError, errorFromErrno

__all__ = ["bind", "dissolve", "listen"]

_REUSEADDR: Final = (socket.SOL_SOCKET, socket.SO_REUSEADDR)
_REUSEPORT: Final = (socket.SOL_SOCKET, socket.SO_REUSEPORT)
_V6ONLY: Final = (socket.IPPROTO_IPV6, socket.IPV6_V6ONLY)
_FREEBIND: Final = (socket.IPPROTO_IPV6, 78)
"""Bind to an address that is not this machine's (ipv6(7)); the C{socket} module has no name for it."""
_UNUSED: Final = ((AF_INET6, "100::1"), (AF_INET, "127.255.255.254"))
"""Addresses that no socket has: in IPv6 one of the discard prefix (RFC 6666)."""


def bind(owner: Any, address: SockAddr) -> None:
    """
    Bind a socket that has no name.

    @param owner: the object that has the socket.
    @raise Rejected: C{WSAEADDRINUSE}, C{WSAEACCES}: a socket of this thread does not share the address.
    @raise OSError: any other failure.
    """
    sock = owner._as_sock
    stream = sock.type == SOCK_STREAM and sock.family != UNIX
    if stream and address[1]:
        _sharing(owner, address)
        sock.setsockopt(*_REUSEADDR, 1)
    try:
        _together(owner, address, lambda: sock.bind(address))
    except OSError as error:
        if errorFromErrno(error.errno) is WSAError.WSAEADDRINUSE and owner._as_hasSet(Option.SO_REUSEADDR):
            raise Rejected(WSAError.WSAEACCES) from None
        raise
    if stream:
        # Only now for a port that the system chose, which is one that nobody else has.
        sock.setsockopt(*_REUSEADDR, 1)


def listen(owner: Any, backlog: int) -> None:
    """
    Let a bound socket listen.

    @param owner: the object that has the socket.
    @raise Rejected: C{WSAEADDRINUSE}: a socket of this thread does not share the address.
    @raise OSError: any other failure.
    """
    sock = owner._as_sock
    try:
        _together(owner, sock.getsockname(), lambda: sock.listen(backlog))
    except Rejected:
        # Listen has one code for each refusal; only Bind has WSAEACCES too.
        raise Rejected(WSAError.WSAEADDRINUSE) from None


def _sharing(owner: Any, address: SockAddr) -> list[socket.socket]:
    """
    @return: the other sockets of this thread that share the port of an address.
    @raise Rejected: one of them does not.
    """
    sock = owner._as_sock
    sharing = []
    for other in openSockets():
        theirs = other._as_bound() if other is not owner and other._as_sock.type == sock.type else None
        if theirs is None or theirs[1] != address[1] or not _meet(sock, address, other._as_sock, theirs):
            continue
        code = _refusal(owner, address, other, theirs)
        if code is not None:
            raise Rejected(code)
        sharing.append(other._as_sock)
    return sharing


def _meet(sock: socket.socket, address: SockAddr, other: socket.socket, theirs: SockAddr) -> bool:
    """
    Would both sockets receive at one of the addresses?
    """
    if sock.family == other.family:
        return hostAndPort(address) == hostAndPort(theirs) or ANY[sock.family] in (address[0], theirs[0])
    six, its = (sock, address) if sock.family == AF_INET6 else (other, theirs)
    # At the wildcard a socket of both families has the IPv4 port too.
    return six.family == AF_INET6 and its[0] == ANY[AF_INET6] and not six.getsockopt(*_V6ONLY)


def _refusal(owner: Any, address: SockAddr, other: Any, theirs: SockAddr) -> WSAError | None:
    """
    Windows' table ("Using SO_REUSEADDR and SO_EXCLUSIVEADDRUSE", and "Sharing Transport Addresses", Win32 and driver
    documentation), for one user's sockets.

    @return: the error of a socket that asks for an address, because of another socket; L{None} when they can share.
    """
    wide, theirsIsWide = address[0] in ANY.values(), theirs[0] in ANY.values()
    if wide is not theirsIsWide:
        if wide:
            return WSAError.WSAEADDRINUSE if owner._as_hasSet(Option.SO_EXCLUSIVEADDRUSE) else None
        return WSAError.WSAEACCES if other._as_hasSet(Option.SO_EXCLUSIVEADDRUSE) else None
    if not owner._as_hasSet(Option.SO_REUSEADDR):
        return WSAError.WSAEADDRINUSE
    return None if other._as_hasSet(Option.SO_REUSEADDR) else WSAError.WSAEACCES


def _together(owner: Any, address: SockAddr, call: Callable[[], None]) -> None:
    """
    Make a call that Linux refuses where sockets share a port, and Windows does not.

    @raise Rejected: a socket of this thread does not share the address.
    @raise OSError: the call fails, for a socket of another program or thread too.
    """
    try:
        call()
        return
    except OSError as error:
        if errorFromErrno(error.errno) is not WSAError.WSAEADDRINUSE or owner._as_sock.family == UNIX:
            raise
        sharing = _sharing(owner, address)
        if not sharing:
            raise
    _sharingFor([owner._as_sock, *sharing], call)


def _sharingFor(socks: Sequence[socket.socket], call: Callable[[], None]) -> None:
    stream = socks[0].type == SOCK_STREAM
    # With SO_REUSEPORT datagram sockets would be a group, among which Linux distributes the datagrams.
    option = _REUSEPORT if stream else _REUSEADDR
    before = [sock.getsockopt(*option) for sock in socks]
    try:
        for sock in socks:
            sock.setsockopt(*option, 1)
        call()
    finally:
        for sock, value in zip(socks, before, strict=True):
            sock.setsockopt(*option, value)
        if stream and not isinstance(socks[0], Conduit):
            _reserve(socks[0].getsockname()[1])


def _reserve(port: int) -> None:
    """
    Linux remembers of a port that the last socket bound to it has C{SO_REUSEPORT}, and lets others with that option
    bind, until a socket without it is bound (C{inet_csk_update_fastreuse()}).  So such a socket is bound here, in the
    other family, and closed.  Where the wildcards of both families are taken that can't be done; then a program of the
    same user that sets C{SO_REUSEPORT} can share the port.
    """
    for family, host in _UNUSED:
        with contextlib.suppress(OSError), socket.socket(family, socket.SOCK_STREAM) as other:
            if family == AF_INET6:
                other.setsockopt(*_V6ONLY, 1)
                other.setsockopt(*_FREEBIND, 1)
            other.bind((host, port))
            return


def dissolve(sock: socket.socket | Conduit) -> None:
    """
    Take a datagram socket's peer away: connect(2) to AF_UNSPEC, which Python's C{connect} can't say; a conduit does it
    itself.

    @raise OSError: it could not.
    """
    if isinstance(sock, Conduit):
        sock.dissolve()
        return
    port = sock.getsockname()[1]
    libc = ctypes.CDLL(None, use_errno=True)
    unspecified = ctypes.create_string_buffer(28 if sock.family == AF_INET6 else 16)
    if libc.connect(sock.fileno(), unspecified, len(unspecified)):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    name = sock.getsockname()
    if name[1] != port:
        # Linux takes away a port that the system chose too (__udp_disconnect()); Windows does not.
        sock.bind((name[0], port, *name[2:]))
