"""
What a SOCKADDR is in Python.

An address is a tuple as the C{socket} module writes it, a path for a UNIX socket, or one of Twisted's address objects;
here each of them becomes what a system call takes, checked so that no system call looks a name up: Python's own
C{connect}, C{bind} and C{sendto} would, and block.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress

from ._arguments import Rejected, inPlace, integer
from .winsock import WSAError

__all__ = [
    "ANY",
    "SIZE",
    "UNIX",
    "HostName",
    "SockAddr",
    "addressIn",
    "entry",
    "hostAndPort",
    "isEmpty",
    "isSockAddr",
    "inNumbers",
    "named",
    "numeric",
    "portNumber",
    "sized",
    "sockaddr",
]

SockAddr: TypeAlias = "tuple[Any, ...] | str | bytes"

UNIX: Final = int(socket.AF_UNIX)
SIZE: Final = {int(socket.AF_INET): 16, int(socket.AF_INET6): 28, UNIX: 110}
"""The bytes of each family's C structure in Winsock."""

ANY: Final[dict[int, str]] = {int(socket.AF_INET): "0.0.0.0", int(socket.AF_INET6): "::"}


@dataclass(frozen=True)
class HostName:
    """
    An address that has a host name: it becomes a SOCKADDR when the name was looked up.
    """

    host: str
    port: int


def inNumbers(address: SockAddr | HostName) -> SockAddr:
    """
    The address of a member that looks no name up.

    @raise Rejected: C{WSAEINVAL}, it is a host name.
    """
    if isinstance(address, HostName):
        raise Rejected(WSAError.WSAEINVAL)
    return address


def isSockAddr(value: object) -> bool:
    """
    Tell the two overloads of an address apart: is this a SOCKADDR, and not a port?
    """
    return isinstance(value, (tuple, str, bytes, IPv4Address, IPv6Address, UNIXAddress, HostnameAddress))


def numeric(host: str) -> tuple[int, str, int] | None:
    """
    Read a "dotted number", or an IPv6 address in its usual text form.

    @return: the family, the address in its canonical form, and its scope, which is 0 where none is said; L{None} for
        any other text, which may be a name.
    """
    if "\0" in host:
        # getaddrinfo(3) would read the text as far as the NUL.
        return None
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return int(family), socket.inet_ntop(family, socket.inet_pton(family, host)), 0
        except (OSError, ValueError):
            # Not of this family; ValueError: a lone surrogate.
            continue
    # The rarer forms: "127.1", "fe80::1%eth0".  AI_NUMERICHOST never asks anybody.
    try:
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return None
    address: tuple[Any, ...] = found[0][4]
    return int(found[0][0]), address[0], address[3] if len(address) > 2 else 0


def named(family: int, host: str, port: int, parameter: str) -> SockAddr | HostName:
    """
    The SOCKADDR of a host given as text and a port.

    @param family: the socket's family.
    @param host: text; for a UNIX socket the path.
    @param port: a checked port.
    @return: the address; a L{HostName} when C{host} is no address but may be a name.
    @raise Rejected: C{WSAEAFNOSUPPORT}, the address is of another family; for a UNIX socket as L{_path} says.
    """
    if not isinstance(host, str):
        inPlace(host, parameter)
        raise TypeError(f"{parameter} must be a str, not {type(host).__name__}")
    if family == UNIX:
        return _path(host)
    found = numeric(host)
    if found is None:
        return HostName(host, port)
    if found[0] != family:
        raise Rejected(WSAError.WSAEAFNOSUPPORT)
    return (found[1], port, 0, found[2]) if found[2] else (found[1], port)


def sockaddr(family: int, value: Any, parameter: str) -> SockAddr | HostName:
    """
    The SOCKADDR that a program passes; its host may be a name, as in the C{socket} module.

    @param family: the socket's family.
    @param value: a tuple, a path, or an address object of Twisted.
    @param parameter: what to call it in a L{TypeError}.
    @return: the address; a L{HostName} where its host is no address but may be a name.
    @raise Rejected: C{WSAEAFNOSUPPORT} for one of another family; C{WSAEINVAL} for a port that is none, and for a name
        with a scope, which only an address has.
    """
    if isinstance(value, UNIXAddress):
        if family != UNIX:
            raise Rejected(WSAError.WSAEAFNOSUPPORT)
        return _path(value.name or b"")
    if isinstance(value, (str, bytes)):
        if family != UNIX:
            raise Rejected(WSAError.WSAEAFNOSUPPORT)
        return _path(value)
    if isinstance(value, IPv4Address):
        value = (value.host, value.port)
    elif isinstance(value, IPv6Address):
        value = (value.host, value.port, value.flowInfo, value.scopeID)
    elif isinstance(value, HostnameAddress):
        # Bytes that are no ASCII become surrogates, which no host name can have.
        value = (value.hostname.decode("ascii", "surrogateescape"), value.port)
    if not isinstance(value, tuple):
        raise TypeError(
            f"{parameter} must be a SOCKADDR (a tuple, a path, or a Twisted address), not {type(value).__name__}"
        )
    if family == UNIX:
        raise Rejected(WSAError.WSAEAFNOSUPPORT)
    if not 2 <= len(value) <= 4 or not isinstance(value[0], str):
        raise TypeError(f"{parameter} must be a tuple (host, port) or (host, port, flowinfo, scope_id)")
    port = portNumber(value[1], parameter)
    flow, scope, *_ = *(integer(part, parameter) for part in value[2:]), 0, 0
    found = numeric(value[0]) if value[0] else (family, ANY[family], 0)
    if (found is not None and found[0] != family) or (len(value) > 2 and family != socket.AF_INET6):
        raise Rejected(WSAError.WSAEAFNOSUPPORT)
    if not 0 <= flow <= 0xFFFFF or not 0 <= scope <= 0xFFFFFFFF:
        raise Rejected(WSAError.WSAEINVAL)
    if found is None:
        if flow or scope:
            raise Rejected(WSAError.WSAEINVAL)
        return HostName(value[0], port)
    scope = scope or found[2]
    return (found[1], port, flow, scope) if flow or scope else (found[1], port)


def _path(value: str | bytes) -> bytes:
    """
    The path of a UNIX socket, or its name in Linux' abstract namespace, which begins with a NUL.

    @raise Rejected: C{WSAEFAULT}, longer than the structure has room for; C{WSAEINVAL}, no path can be that.
    """
    try:
        path = os.fsencode(value)
    except UnicodeError:
        raise Rejected(WSAError.WSAEINVAL) from None
    abstract = path.startswith(b"\0")
    if len(path) > SIZE[UNIX] - 2 - (not abstract):
        # Two bytes are the family's, and a path ends with a NUL.
        raise Rejected(WSAError.WSAEFAULT)
    if b"\0" in path and not abstract:
        raise Rejected(WSAError.WSAEINVAL)
    return path


def portNumber(value: Any, parameter: str) -> int:
    """
    @raise Rejected: C{WSAEINVAL} for a number that is no port.
    """
    number = integer(value, parameter)
    if not 0 <= number <= 0xFFFF:
        raise Rejected(WSAError.WSAEINVAL)
    return number


def entry(pAI: Any) -> Sequence[Any]:
    """
    The entry of C{getaddrinfo} that a program passes, or its first three fields: family, type, protocol.

    @raise Rejected: C{WSAEINVAL} for L{None}, which is NULL.
    """
    if pAI is None:
        raise Rejected(WSAError.WSAEINVAL)
    if isinstance(pAI, (str, bytes, memoryview)) or not isinstance(pAI, Sequence) or len(pAI) < 3:
        raise TypeError("pAI must be an entry of getaddrinfo, or its first three fields: family, type, protocol")
    return pAI


def addressIn(pAI: Any) -> Any:
    """
    The SOCKADDR of such an entry.

    @raise Rejected: C{WSAEINVAL} as of L{entry}; C{WSAEFAULT}, it has none.
    """
    given = entry(pAI)
    if len(given) < 5 or given[4] is None:
        raise Rejected(WSAError.WSAEFAULT)
    return given[4]


def hostAndPort(name: SockAddr) -> tuple[str, int]:
    """
    A host and a port, the two results of C{GetPeerName} and C{GetSockName} in C++.

    @param name: as the C{socket} module writes it.
    @return: the host, with the scope of an IPv6 address (C{fe80::1%3}, RFC 4007), so that the members that take a host
        take it; of a UNIX socket the path, and port 0.
    """
    if not isinstance(name, tuple):
        return os.fsdecode(name), 0
    host, port = name[:2]
    scope = name[3] if len(name) > 3 else 0
    return (f"{host}%{scope}" if scope and "%" not in host else host), port


def sized(family: int, length: Any, parameter: str) -> None:
    """
    Check the room for a SOCKADDR that a program says it has, or the length of the one it gives.

    @param length: in bytes; L{None} where the program does not say.
    @raise Rejected: C{WSAEFAULT}, too small for the family's structure.
    """
    if length is not None and integer(length, parameter) < SIZE.get(family, 0):
        raise Rejected(WSAError.WSAEFAULT)


def isEmpty(address: SockAddr) -> bool:
    """
    Is this an address of zeros, which no Connect can go to?
    """
    return isinstance(address, tuple) and address[0] in ("0.0.0.0", "::")
