"""
The post of a memory network: which datagram socket has which name, and which of them a datagram is for.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from twisted_casync._conduit import failing
from twisted_casync._sockaddr import ANY, SockAddr, isEmpty
from twisted_casync.winsock import WSAError

if TYPE_CHECKING:
    from twisted_casync.testing._mailbox import Mailbox

__all__ = ["Post"]

_REUSEADDR = (socket.SOL_SOCKET, socket.SO_REUSEADDR)
_BROADCAST = (socket.SOL_SOCKET, socket.SO_BROADCAST)

_EVERYBODY = ("255.255.255.255", "127.255.255.255")
"""The addresses of all: there is no other network than that of the loopback device."""
_LOOPBACK = "127.0.0.1"


class Post:
    """
    What brings datagrams to sockets, as Linux does on one machine (udp(7), C{__udp4_lib_lookup()}).
    """

    def __init__(self, clock: Any, delay: float, ports: Iterator[int]) -> None:
        """
        @param clock: a provider of C{IReactorTime}.
        @param delay: seconds that the answer to a datagram takes for which nobody is there.
        @param ports: where the ports that nobody has asked for come from.
        """
        self._clock, self._delay, self._ports = clock, delay, ports
        # By family and port, in the order in which they came.
        self._boxes: dict[tuple[int, int], list[Mailbox]] = {}

    # -- names

    def bind(self, box: Mailbox, address: SockAddr) -> SockAddr:
        """
        @return: the name that a socket has from now on.
        @raise OSError: C{EADDRINUSE}, another has it, and not both of them share it (C{SO_REUSEADDR}).
        """
        host: Any = address[0]
        port: Any = address[1] or self._port(box.family)
        boxes = self._boxes.setdefault((box.family, port), [])
        for other in boxes:
            theirs = other.getsockname()[0]
            meet = host == theirs or ANY[box.family] in (host, theirs)
            if meet and not (box.getsockopt(*_REUSEADDR) and other.getsockopt(*_REUSEADDR)):
                raise failing(WSAError.WSAEADDRINUSE)
        boxes.append(box)
        return (host, port, *address[2:])

    def _port(self, family: int) -> int:
        return next(port for port in self._ports if (family, port) not in self._boxes)

    def leave(self, box: Mailbox) -> None:
        """
        A socket has no name any more.
        """
        for key, boxes in list(self._boxes.items()):
            if box in boxes:
                boxes.remove(box)
            if not boxes:
                del self._boxes[key]

    def sourceOf(self, box: Mailbox, to: SockAddr) -> SockAddr:
        """
        @return: where what a socket sends to an address comes from: who has no address of its own sends from the one
            that it sends to.
        """
        name = box.getsockname()
        if not isEmpty(name):
            return name
        # Of IPv6 its flow is nobody's, and its scope that of the address.
        return (_LOOPBACK if _isBroadcast(to) else to[0], *name[1:3], *to[3:])

    # -- datagrams

    def permit(self, box: Mailbox, to: SockAddr) -> None:
        """
        @raise OSError: C{EACCES}, a broadcast takes C{SO_BROADCAST}.
        """
        if _isBroadcast(to) and not box.getsockopt(*_BROADCAST):
            raise failing(WSAError.WSAEACCES)

    def take(self, box: Mailbox, data: bytes, to: SockAddr) -> None:
        """
        A socket sends a datagram.
        """
        box.out.post(partial(self._arrived, box, data, self.sourceOf(box, to), to), len(data))

    def _arrived(self, box: Mailbox, data: bytes, source: SockAddr, to: SockAddr) -> None:
        """
        A datagram is where it was sent to.
        """
        found = self._receivers(box.family, source, to)
        for one in found:
            one.arrived(data, source)
        if not found and not _isForMany(to):
            # The port is unreachable (RFC 1122, 4.1.3.1), which nobody says of what many may get.
            self._clock.callLater(self._delay, box.unreachable, to)

    def _receivers(self, family: int, source: SockAddr, to: SockAddr) -> list[Mailbox]:
        """
        @return: all that hear a broadcast; of the others the one who has the very address rather than all, who has the
            source for a peer rather than none, and who came last.
        """
        host: Any = to[0]
        port: Any = to[1]
        hear = [
            box
            for box in self._boxes.get((family, port), ())
            if box.getsockname()[0] in (host, ANY[family]) and (box.peer is None or box.peer[:2] == source[:2])
        ]
        if _isBroadcast(to):
            return hear
        return sorted(hear, key=lambda box: (box.getsockname()[0] == host, box.peer is not None))[-1:]


def _isBroadcast(address: SockAddr) -> bool:
    return address[0] in _EVERYBODY


def _isForMany(address: SockAddr) -> bool:
    host: Any = address[0]
    return _isBroadcast(address) or ip_address(host).is_multicast
