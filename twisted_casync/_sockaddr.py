"""
What a SOCKADDR is in Python.

An address is a tuple as the C{socket} module writes it, a path for a UNIX socket, or one of Twisted's address objects;
here each of them becomes what a system call takes, checked so that no system call looks a name up: Python's own
C{connect}, C{bind} and C{sendto} would, and block.
"""

from __future__ import annotations

import socket
from typing import Any, Final, TypeAlias

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress

from ._arguments import Rejected, integer
from .winsock import WSAError

__all__ = ["ANY", "SIZE", "UNIX", "SockAddr", "isEmpty", "isSockAddr", "named", "numeric", "sized", "sockaddr"]

SockAddr: TypeAlias = "tuple[Any, ...] | str | bytes"

UNIX: Final = int(socket.AF_UNIX)
SIZE: Final = {int(socket.AF_INET): 16, int(socket.AF_INET6): 28, UNIX: 110}
"""The bytes of each family's C structure in Winsock."""

ANY: Final[dict[int, str]] = {int(socket.AF_INET): "0.0.0.0", int(socket.AF_INET6): "::"}


def isSockAddr(value: object) -> bool:
    """
    Tell the two overloads of an address apart: is this a SOCKADDR, and not a port?
    """
    return isinstance(value, (tuple, str, bytes, IPv4Address, IPv6Address, UNIXAddress))


def numeric(host: str) -> tuple[int, str] | None:
    """
    Read a "dotted number", or an IPv6 address in its usual text form.

    @return: the family and the address in its canonical form; L{None} for any other text, which may be a name.
    """
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            return int(family), socket.inet_ntop(family, socket.inet_pton(family, host))
        except (OSError, ValueError):
            # Not of this family; ValueError: a NUL inside.
            continue
    # The rarer forms: "127.1", "fe80::1%eth0".  AI_NUMERICHOST never asks anybody.
    try:
        found = socket.getaddrinfo(host, None, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return None
    return int(found[0][0]), str(found[0][4][0])


def named(family: int, host: str, port: int, parameter: str) -> SockAddr | None:
    """
    The SOCKADDR of a host given as text and a port.

    @param family: the socket's family.
    @param host: text; for a UNIX socket the path.
    @param port: a checked port.
    @return: the address; L{None} when C{host} is no address but may be a name.
    @raise Rejected: C{WSAEAFNOSUPPORT}, the address is of another family.
    """
    if not isinstance(host, str):
        raise TypeError(f"{parameter} must be a str, not {type(host).__name__}")
    if family == UNIX:
        return host
    found = numeric(host)
    if found is None:
        return None
    if found[0] != family:
        raise Rejected(WSAError.WSAEAFNOSUPPORT)
    return found[1], port


def sockaddr(family: int, value: Any, parameter: str) -> SockAddr:
    """
    The SOCKADDR that a program gave as such.

    @param family: the socket's family.
    @param value: a tuple, a path, or an address object of Twisted.
    @param parameter: what to call it in a L{TypeError}.
    @raise Rejected: C{WSAEAFNOSUPPORT} for one of another family; C{WSAEADDRNOTAVAIL} for text that is no address,
        C{WSAEINVAL} for a port that is none.
    """
    if isinstance(value, UNIXAddress):
        if family != UNIX:
            raise Rejected(WSAError.WSAEAFNOSUPPORT)
        return value.name or b""
    if isinstance(value, (str, bytes)):
        if family != UNIX:
            raise Rejected(WSAError.WSAEAFNOSUPPORT)
        return value
    if isinstance(value, (IPv4Address, IPv6Address)):
        value = (value.host, value.port)
    if not isinstance(value, tuple):
        raise TypeError(
            f"{parameter} must be a SOCKADDR (a tuple, a path, or a Twisted address), not {type(value).__name__}"
        )
    if family == UNIX:
        raise Rejected(WSAError.WSAEAFNOSUPPORT)
    if not 2 <= len(value) <= 4 or not isinstance(value[0], str):
        raise TypeError(f"{parameter} must be a tuple (host, port) or (host, port, flowinfo, scope_id)")
    port = portNumber(value[1], parameter)
    rest = tuple(integer(part, parameter) for part in value[2:])
    found = numeric(value[0]) if value[0] else (family, ANY[family])
    if found is None:
        raise Rejected(WSAError.WSAEADDRNOTAVAIL)
    if found[0] != family or (rest and family != socket.AF_INET6):
        raise Rejected(WSAError.WSAEAFNOSUPPORT)
    if any(not 0 <= part <= 0xFFFFFFFF for part in rest):
        raise Rejected(WSAError.WSAEINVAL)
    return (found[1], port, *rest)


def portNumber(value: Any, parameter: str) -> int:
    """
    @raise Rejected: C{WSAEINVAL} for a number that is no port.
    """
    number = integer(value, parameter)
    if not 0 <= number <= 0xFFFF:
        raise Rejected(WSAError.WSAEINVAL)
    return number


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
