"""
The handle: how an object comes to a socket, hands it on, and gives it up.
"""

from __future__ import annotations

import socket
import sys
import warnings
from collections.abc import Callable, Sequence
from threading import get_ident
from typing import Any

from ._arguments import Rejected, integer
from ._binding import bind
from ._connecting import phaseOf
from ._member import member
from ._notify import OOB, WRITE, Phase
from ._options import Settings
from ._readiness import WRITABLE
from ._sockaddr import ANY, UNIX, SockAddr, isSockAddr, named, portNumber, sized, sockaddr
from ._transfer import Transfer
from ._window import checkedReactor, socketOf, windowOf
from .winsock import (
    AF_INET,
    AF_INET6,
    FD_ALL_EVENTS,
    INVALID_SOCKET,
    PF_INET,
    SOCK_DGRAM,
    SOCK_STREAM,
    GetLastError,
    Option,
    SetLastError,
    WSAError,
)

__all__ = ["Handle"]

_FAMILIES = (AF_INET, AF_INET6, UNIX)


class Handle(Transfer):
    """
    An object that may have a socket.
    """

    __slots__ = ("_asked",)

    def __init__(self, reactor: Any = None) -> None:
        """
        @param reactor: a provider of C{IReactorFDSet}; L{None} for the thread's: the one given to C{AfxSocketInit}, or
            the global one, which is looked for when the socket is created.
        @raise TypeError: the reactor can't watch descriptors.
        """
        super().__init__()
        self._asked = None if reactor is None else checkedReactor(reactor)

    # -- creating and closing

    @member(False)
    def Socket(
        self,
        nSocketType: int = SOCK_STREAM,
        lEvent: int = FD_ALL_EVENTS,
        nProtocolType: int = 0,
        nAddressFormat: int = PF_INET,
    ) -> bool:
        self._open(nAddressFormat, nSocketType, nProtocolType, lEvent)
        self._settleWritable()
        return True

    @member(False)
    def Create(
        self,
        nSocketPort: int = 0,
        nSocketType: int = SOCK_STREAM,
        lEvent: int = FD_ALL_EVENTS,
        lpszSocketAddress: str | None = None,
    ) -> bool:
        port = portNumber(nSocketPort, "nSocketPort")
        self._open(PF_INET, nSocketType, 0, lEvent)
        self._bindOrClose(lambda: self._local(port, lpszSocketAddress))
        self._settleWritable()
        return True

    @member(False)
    def CreateEx(self, pAI: Any, lEvent: int = FD_ALL_EVENTS) -> bool:
        if pAI is None:
            raise Rejected(WSAError.WSAEINVAL)
        if isinstance(pAI, (str, bytes)) or not isinstance(pAI, Sequence) or len(pAI) < 3:
            raise TypeError("pAI must be an entry of getaddrinfo, or its first three fields: family, type, protocol")
        self._open(pAI[0], pAI[1], pAI[2], lEvent)
        if len(pAI) > 4 and pAI[4] is not None:
            self._bindOrClose(lambda: sockaddr(self._family, pAI[4], "pAI"))
        self._settleWritable()
        return True

    def _open(self, family: Any, kind: Any, protocol: Any, lEvent: Any) -> None:
        family = integer(family, "nAddressFormat")
        kind = integer(kind, "nSocketType") or SOCK_STREAM
        protocol = integer(protocol, "nProtocolType")
        selected = integer(lEvent, "lEvent")
        self._closed()
        if family not in _FAMILIES:
            raise Rejected(WSAError.WSAEAFNOSUPPORT if family else WSAError.WSAEINVAL)
        if kind not in (SOCK_STREAM, SOCK_DGRAM):
            raise Rejected(WSAError.WSAESOCKTNOSUPPORT)
        if not 0 <= protocol <= 0xFF:
            raise Rejected(WSAError.WSAEPROTONOSUPPORT)
        window = self._openingWindow()
        sock = socket.socket(family, kind, protocol)
        if family == AF_INET6:
            # Off by default on Linux, on by default on Windows.
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        self._adopt(sock, window, Phase.NEW if kind == SOCK_STREAM else Phase.UNNAMED, selected)
        window.enter(self)

    def _closed(self) -> None:
        """
        @raise Rejected: C{WSAEINVAL}, the object has a socket.  MFC asserts there; nothing is touched here.
        """
        if self._sock is not None:
            raise Rejected(WSAError.WSAEINVAL)

    def _openingWindow(self) -> Any:
        window = windowOf(self._asked)
        if window is None:
            raise Rejected(WSAError.WSANOTINITIALISED)
        return window

    def _bindOrClose(self, address: Callable[[], SockAddr]) -> None:
        try:
            self._bind(address())
        except BaseException:
            self.Close()
            raise

    def Close(self) -> None:
        if self._sock is not None and get_ident() != self._thread:
            SetLastError(WSAError.WSANOTINITIALISED)
            return
        sock = self._release()
        if sock is not None:
            sock.close()

    def __del__(self) -> None:
        if getattr(self, "_sock", None) is not None and not sys.is_finalizing():
            warnings.warn(f"unclosed socket {self!r}", ResourceWarning, stacklevel=2, source=self)
            sock = self._release()
            if sock is not None:
                sock.close()

    def __enter__(self) -> Handle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.Close()

    # -- the handle

    @property
    def m_hSocket(self) -> int:
        """
        The handle, C{INVALID_SOCKET} when there is none (C{Handle::m_hSocket}).
        """
        return self._fd

    def __int__(self) -> int:
        return self._fd

    def __repr__(self) -> str:
        peer = f" with {self._peer!r}" if self._peer else ""
        return f"<{type(self).__name__} {self._phase.name.lower()} {self._fd}{peer}>"

    @member(False)
    def Attach(self, hSocket: Any, lEvent: int = FD_ALL_EVENTS) -> bool:
        selected = integer(lEvent, "lEvent")
        given = hSocket if isinstance(hSocket, socket.socket) else None
        fd = given.fileno() if given is not None else integer(hSocket, "hSocket")
        self._closed()
        window = self._openingWindow()
        if fd < 0:
            raise Rejected(WSAError.WSAENOTSOCK)
        if socketOf(fd) is not None:
            raise Rejected(WSAError.WSAEINVAL)
        sock = socket.socket(fileno=fd)
        try:
            phase = phaseOf(sock)
        except BaseException:
            sock.detach()
            raise
        if given is not None:
            given.detach()
        self._adopt(sock, window, phase, selected)
        if sock.type == SOCK_STREAM and sock.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE):
            self._rules.forbid(OOB)
        try:
            self._peer = sock.getpeername()
        except OSError:
            # It has none.
            self._peer = None
        window.enter(self)
        self._settle()
        return True

    @member(INVALID_SOCKET)
    def Detach(self) -> int:
        self._usable()
        blocking = self._blocking
        sock = self._release()
        if sock is None:
            return INVALID_SOCKET
        if blocking:
            sock.setblocking(True)
        return sock.detach()

    @member(False)
    def Assign(self, rSrc: Handle) -> bool:
        if not isinstance(rSrc, Handle):
            raise TypeError(f"rSrc must be a Handle, not {type(rSrc).__name__}")
        if rSrc is self:
            return True
        source = rSrc._usable()
        duplicate = source.dup()
        self.Close()
        try:
            self._closed()
            self._asked = rSrc._asked
            window = self._openingWindow()
        except Rejected:
            duplicate.close()
            raise
        self._adopt(duplicate, window, rSrc._phase, rSrc._rules.selected)
        self._rules.possible = rSrc._rules.possible
        self._rules.select(rSrc._rules.selected)
        self._sending = rSrc._sending
        self._ended = rSrc._ended
        self._error = rSrc._error
        self._urgent = rSrc._urgent
        self._peer = rSrc._peer
        self._settings = None if rSrc._settings is None else Settings(rSrc._settings)
        self._blocking = rSrc._blocking
        window.enter(self)
        self._rearm()
        return True

    def __copy__(self) -> Handle:
        duplicate = type(self).__new__(type(self))
        Handle.__init__(duplicate, self._asked)
        for name, value in getattr(self, "__dict__", {}).items():
            setattr(duplicate, name, value)
        if self._sock is not None and not duplicate.Assign(self):
            raise OSError(f"the socket can't be duplicated: {GetLastError()}")
        return duplicate

    # -- the local name

    def bound(self) -> tuple[int, SockAddr] | None:
        """
        @return: family and address, where this socket has a name that no other may take: it was bound, or listens.
        """
        if self._sock is None or self._phase not in (Phase.BOUND, Phase.LISTENING):
            return None
        return self._sock.family, self._sock.getsockname()

    def shares(self) -> bool:
        """
        @return: whether it would let another socket have the same name.
        """
        return self._settings is not None and self._settings.isSet(Option.SO_REUSEADDR)

    @member(False)
    def Bind(self, nSocketPort: Any, lpszSocketAddress: Any = None) -> bool:
        self._usable()
        if isSockAddr(nSocketPort):
            sized(self._family, lpszSocketAddress, "nSockAddrLen")
            self._bind(sockaddr(self._family, nSocketPort, "lpSockAddr"))
        else:
            self._bind(self._local(portNumber(nSocketPort, "nSocketPort"), lpszSocketAddress))
        return True

    def _local(self, port: int, host: str | None) -> SockAddr:
        if host is None:
            if self._family == UNIX:
                raise Rejected(WSAError.WSAEINVAL)
            return ANY[self._family], port
        address = named(self._family, host, port, "lpszSocketAddress")
        if address is None:
            raise Rejected(WSAError.WSAEINVAL)
        return address

    def _bind(self, address: SockAddr) -> None:
        sock = self._usable()
        if self._phase is Phase.NEW:
            bind(sock, address, self.shares())
            self._phase = Phase.BOUND
        elif self._phase is Phase.UNNAMED:
            bind(sock, address, self.shares())
            self._phase = Phase.DATAGRAM
        else:
            raise Rejected(WSAError.WSAEINVAL)

    # -- an accepted socket

    def _inherit(self, listener: Handle, connection: socket.socket, window: Any, address: SockAddr) -> None:
        """
        Become the accepted socket: with the listener's properties, and the listener's mask.
        """
        self._asked = listener._asked
        self._adopt(connection, window, Phase.CONNECTED, listener._rules.selected)
        self._peer = address
        if listener._settings is not None:
            self._settings = Settings(listener._settings)
            if self._settings.isSet(Option.SO_OOBINLINE):
                self._rules.forbid(OOB)
        window.enter(self)
        self._settle()

    def _settleWritable(self) -> None:
        """
        Be registered, of a socket that is known to be able to send: that is told without asking the kernel.
        """
        writable = self._rules.enabled & WRITE
        self._rules.tell(writable)
        self._settle()
        if writable and self._window is not None:
            self._rules.reenable(writable)
            self._window.post(self, WRITABLE)
