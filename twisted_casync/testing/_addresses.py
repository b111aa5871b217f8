"""
HOST and PORT of the scenario language as arguments of the members, and an address as a trace shows it.
"""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from twisted.internet.address import UNIXAddress

from twisted_casync.testing._scenario import Command, ScenarioError, parseNumber
from twisted_casync.testing._session import Session, Subject
from twisted_casync.winsock import AF_INET6, SetLastError, WSAError

__all__ = ["Target", "addressOf", "isReachable", "shownAddress", "targetOf"]

# The scenario says families in Winsock's numbers.
_WINSOCK_AF_INET = 2
_WINSOCK_AF_INET6 = 23


@dataclass(frozen=True)
class Target:
    """
    Where a command points to.

    @ivar host: as written.
    @ivar port: its number, 0 when C{unknown}.
    @ivar unknown: the port was written as a name that nothing has yet.
    @ivar ip6: the address is an IPv6 one; C{*} is what its socket is.
    @ivar family: the family that shall stand in the address instead, or L{None}.
    @ivar length: the length of the address that shall be passed, or L{None}.
    """

    host: str
    port: int
    unknown: bool
    ip6: bool
    family: int | None = None
    length: int | None = None

    def isPlain(self) -> bool:
        """@return: whether the overload that takes host and port can say it; the other one takes the rest."""
        return not self.ip6 and self.family is None and self.length is None

    def text(self) -> str | None:
        """@return: the host for the plain overload, L{None} where none is given."""
        return None if self.host == "*" else self.host

    def isNumeric(self) -> bool:
        """@return: whether the host is an address in numbers, or not given."""
        if self.host == "*":
            return True
        try:
            socket.inet_pton(socket.AF_INET6 if self.ip6 else socket.AF_INET, self.host)
        except OSError:
            return False
        return True

    def sockaddr(self, nobody: str) -> Any:
        """
        @param nobody: the IPv4 address that C{*} stands for.
        @return: the address for the overload that takes a SOCKADDR. A SOCKADDR of Python can't claim a family
            that is not its own, so where the scenario asks for one, it is an address of another family.
        """
        own = _WINSOCK_AF_INET6 if self.ip6 else _WINSOCK_AF_INET
        if self.family is None or self.family == own:
            host = self.host
            if host == "*":
                host = "::" if self.ip6 else nobody
            return (host, self.port, 0, 0) if self.ip6 else (host, self.port)
        if self.family == _WINSOCK_AF_INET:
            return ("127.0.0.1", self.port)
        if self.family == _WINSOCK_AF_INET6:
            return ("::1", self.port, 0, 0)
        return UNIXAddress("/of/another/family")


def targetOf(session: Session, family: int, type: int, host: str, port: str) -> Target:
    """
    Read HOST and PORT for a socket of a family and type.

    @raise ScenarioError: the port is neither a number nor a C{@name}.
    """
    known = session.port(type, port) if port.startswith("@") else parseNumber(port)
    if known is None and not port.startswith("@"):
        raise ScenarioError(f"bad port {port}")
    return Target(host, known or 0, known is None, family == AF_INET6 if host == "*" else ":" in host)


def addressOf(session: Session, command: Command, at: int) -> tuple[Subject, Target]:
    """
    Read the object and the address of C{bind}, C{connect} or C{sendto}.

    @param at: where among the arguments HOST stands; PORT follows it.
    @raise ScenarioError: something is missing, or the port can't be read.
    """
    subject = session.subject(command.argument(0))
    read = targetOf(session, subject.family, subject.type, command.argument(at), command.argument(at + 1))
    family, length = (parseNumber(command.options.get(key)) for key in ("family", "addrlen"))
    return subject, Target(read.host, read.port, read.unknown, read.ip6, family, length)


def isReachable(command: Command, target: Target) -> bool:
    """
    @return: whether C{Connect} or C{SendTo} can be called with this address. A host that is not in numbers
        would be looked up by them; the traces have what MFC says of one that can't be resolved, and so it is
        said here.
    @raise ScenarioError: its port has a name that nothing has yet.
    """
    if target.unknown:
        raise ScenarioError(f"unknown port {command.argument(2)}")
    if target.isNumeric():
        return True
    SetLastError(WSAError.WSAEINVAL)
    return False


def shownAddress(session: Session, type: int, address: Any) -> list[Any]:
    """
    @param type: of the socket whose member gave the address: names of ports are kept apart by it.
    @return: host, and the port by name: C{@?} if it has none, 0 if there is no port.
    """
    host, port = address[:2]
    return [host.partition("%")[0], (session.portName(type, port) or "@?") if port else 0]
