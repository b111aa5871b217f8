"""
The destination of a datagram: an address, or a host name, which is looked up first.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any, Final

from ._arguments import Rejected, unmade
from ._descriptor import SocketDescriptor
from ._lookup import Lookup
from ._notify import CONNECTING, DATAGRAM, REENABLED_BY, UNNAMED, WRITE
from ._sendqueue import SendQueue
from ._sockaddr import ANY, HostName, SockAddr, isEmpty, isSockAddr, named, portNumber, sized, sockaddr
from ._threads import isInitialised
from .winsock import AF_INET, AF_INET6, SOCK_DGRAM, WSAError

__all__ = ["Destination"]

_BLOCKED: Final = REENABLED_BY["Send that would have blocked"]
_BROADCAST: Final = "255.255.255.255"
_LONGEST: Final = {AF_INET: 65507, AF_INET6: 65527}
"""The longest datagram in bytes: a length of 16 bits, less the headers (RFC 768, 791, 8200)."""


class Destination(SocketDescriptor):
    """
    A descriptor that sends datagrams, each to its own destination.
    """

    __slots__ = ()

    def _as_usable(self) -> socket.socket:
        """
        @return: the socket.
        @raise Rejected: C{WSAENOTSOCK}, there is none; C{WSANOTINITIALISED}, this is not its thread.
        @raise TypeError: the object was never made: its class has an C{__init__} that calls no other.
        """
        try:
            sock = self._as_sock
        except AttributeError:
            raise unmade(self) from None
        if sock is None:
            raise Rejected(WSAError.WSAENOTSOCK if isInitialised() else WSAError.WSANOTINITIALISED)
        if get_ident() != self._as_thread:
            raise Rejected(WSAError.WSANOTINITIALISED)
        return sock

    def _as_reactor(self) -> Any:
        """
        The reactor of an open socket.
        """
        return self._as_window.reactor if self._as_window is not None else None

    def _as_destination(self, nHostPort: Any, lpszHostAddress: Any) -> SockAddr | HostName:
        """
        The destination of a SendTo, from the arguments of either overload.

        @raise Rejected: the arguments are no address.
        """
        if isSockAddr(nHostPort):
            sized(self._as_family, lpszHostAddress, "nSockAddrLen")
            address = sockaddr(self._as_family, nHostPort, "lpSockAddr")
        else:
            port = portNumber(nHostPort, "nHostPort")
            if lpszHostAddress is None:
                if self._as_family != AF_INET:
                    # Broadcast is IPv4's.
                    raise Rejected(WSAError.WSAEINVAL)
                return _BROADCAST, port
            address = named(self._as_family, lpszHostAddress, port, "lpszHostAddress")
        if not isinstance(address, HostName) and isEmpty(address):
            raise Rejected(WSAError.WSAEADDRNOTAVAIL)
        return address

    # -- in the order in which they were sent

    @staticmethod
    def _as_sendNow(sock: socket.socket, data: bytes, flags: int, to: SockAddr) -> None:
        """
        Send a datagram that has waited.  C{Transfer} overrides it: only that has the calls that could block.
        """
        raise NotImplementedError

    def _as_sendQueue(self, sock: socket.socket) -> SendQueue:
        if self._as_queue is None:
            self._as_queue = SendQueue(self._as_reactor(), sock, self._as_sendNow)
        return self._as_queue

    def _as_inOrder(
        self, sock: socket.socket, view: memoryview, flags: int, to: SockAddr | HostName | None
    ) -> tuple[bool, SockAddr | None]:
        """
        Queue a datagram that can't leave yet: its name is to be looked up, or others wait before it.

        @param to: L{None} for the peer.
        @return: whether it waits; else the address to send it to.
        @raise Rejected: C{WSAEWOULDBLOCK}, too many wait; C{WSAEMSGSIZE}; C{WSAEINVAL}, the text can't be a host name.
        """
        queue = self._as_sendQueue(sock)
        where = queue.addressOf(to) if isinstance(to, HostName) else to
        if not isinstance(where, HostName) and not queue.isWaiting():
            if where is not None and isEmpty(where):
                raise Rejected(WSAError.WSAEADDRNOTAVAIL)
            self._as_sending = self._as_thread
            return False, where
        if len(view) > _LONGEST[self._as_family]:
            raise Rejected(WSAError.WSAEMSGSIZE)
        if not queue.hasRoom(len(view)):
            # The system has room all the time: FD_WRITE waits for room in the queue.
            queue.wanted = len(view)
            self._as_now &= ~WRITE
            self._as_rules.tell(WRITE)
            self._as_settle()
            raise Rejected(WSAError.WSAEWOULDBLOCK)
        if where is None:
            # The present peer: Connect can change it before the datagram leaves.
            where = sock.getpeername()
        if isinstance(where, HostName) and not where.port:
            # As sendto(2) does for port 0.
            raise Rejected(WSAError.WSAEINVAL)
        new = queue.take(bytes(view), flags, where)
        if new and isinstance(where, HostName):
            try:
                self._as_ask(queue, where.host)
            except Rejected:
                queue.giveBack()
                raise
        if self._as_phase is UNNAMED:
            # A socket that has sent is bound, so that it can be answered.
            if not sock.getsockname()[1]:
                sock.bind((ANY[self._as_family], 0))
            self._as_phase = DATAGRAM
        if not queue.isIdle():
            self._as_sending = 0
        return True, None

    def _as_ask(self, queue: SendQueue, host: str, then: Callable[[bool], None] | None = None) -> None:
        """
        Look a name up.

        @param then: called when the lookup has ended, with whether the name has an address.
        @raise Rejected: it can't be looked up.
        """

        def found(lookup: Lookup, addresses: Sequence[SockAddr]) -> None:
            queue.answered(host, addresses)
            queue.flush(self._as_flushed)
            if then is not None and self._as_queue is queue:
                then(bool(addresses))

        Lookup(0, found).start(self._as_reactor(), host, self._as_family, SOCK_DGRAM)

    def _as_flushed(self, queue: SendQueue) -> None:
        """
        The queue has sent datagrams, or given them up.
        """
        if self._as_queue is not queue:
            # Closed, and perhaps open again.
            return
        if queue.failure is not None and self._as_phase is not CONNECTING:
            # FD_READ tells it, as it tells of an unreachable port.
            self._as_taken = self._as_note(queue.failure)
        if queue.wanted is not None and queue.hasRoom(queue.wanted):
            queue.wanted = None
            self._as_rules.reenable(_BLOCKED)
        self._as_rearm()
