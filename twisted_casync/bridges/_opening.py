"""
Sockets as C{twisted.internet.tcp} makes them, bound and to be attached.

Winsock knows neither C{SO_REUSEPORT} nor, by default, one socket for IPv4 and IPv6; programs for Twisted count on both.
"""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import error
from twisted.internet.abstract import isIPv6Address

from twisted_casync import AF_INET, WSAError
from twisted_casync._sockaddr import ANY
from twisted_casync._threads import windowOf

from ._names import problemOf, realReactor

__all__ = ["adopted", "bindingOf", "familyOf", "numeric", "opened"]


def familyOf(host: str) -> int:
    """
    The family of an address; of a name, and where there is none, IPv4.
    """
    return socket.AF_INET6 if isIPv6Address(host) else socket.AF_INET


def bindingOf(binding: Any) -> tuple[str, int, bool, bool]:
    """
    @param binding: a pair of an address and a port, or what Twisted's C{makeBinding} makes.
    @return: the address, the port, whether to set C{SO_REUSEADDR}, whether to set C{SO_REUSEPORT}.
    """
    if isinstance(binding, tuple):
        return binding[0], binding[1], False, False
    return binding._address or "", binding._port, binding._reuseAddress, binding._reusePort


def opened(reactor: Any, family: int, binding: tuple[str, int, bool, bool] | None) -> socket.socket:
    """
    A stream socket with a local name, if it is to have one: what the window of the reactor makes its sockets of.

    @param reactor: a reactor, or a view of one.
    @raise OSError: it can't be had; in a thread without sockets none is.
    """
    window = windowOf(realReactor(reactor))
    if window is None:
        raise problemOf(WSAError.WSANOTINITIALISED)
    sock = window.create(family, socket.SOCK_STREAM, 0)
    try:
        if binding is not None:
            host, port, reuseAddress, reusePort = binding
            if "\0" in host:
                # The socket module says so with a TypeError.
                raise problemOf(WSAError.WSAEINVAL)
            if reuseAddress:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if reusePort:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            sock.bind(numeric(host, port) if isIPv6Address(host) else (host or ANY[AF_INET], port))
    except BaseException:
        sock.close()
        raise
    return sock


def numeric(host: str, port: int) -> Any:
    """
    The name of an IPv6 address, which may have a scope (C{fe80::1%eth0}, RFC 4007).

    @raise socket.gaierror: the port, or the scope, is none.
    """
    if "\0" in host:
        # getaddrinfo(3) would read the scope as far as the NUL.
        raise socket.gaierror(socket.EAI_NONAME, "an address has no NUL")
    return socket.getaddrinfo(
        host, port, socket.AF_INET6, socket.SOCK_STREAM, 0, socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
    )[0][4]


def adopted(fileDescriptor: int, addressFamily: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
    """
    @return: a socket of its own on a descriptor, which stays its owner's.
    @raise UnsupportedAddressFamily: it is neither IPv4 nor IPv6.
    """
    if addressFamily not in (socket.AF_INET, socket.AF_INET6):
        raise error.UnsupportedAddressFamily(addressFamily)
    return socket.fromfd(fileDescriptor, addressFamily, kind)
