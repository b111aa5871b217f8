"""
The handle: how an object comes to a socket, hands it on, and gives it up.
"""

from __future__ import annotations

import socket
import sys
import warnings
from collections.abc import Callable
from contextlib import suppress
from threading import get_ident
from typing import Any, TypeVar, cast

from ._arguments import Rejected, integer, unmade
from ._binding import bind
from ._conduit import Conduit, conduitOf
from ._connecting import Attempt
from ._inspection import Found, inspected
from ._kept import Kept, recall, remember
from ._member import member
from ._notify import BOUND, CONNECTED, CONNECTING, DATAGRAM, LISTENING, NEW, OOB, UNNAMED, WRITE, Notifications
from ._observe import attend, observers, opened
from ._options import Settings
from ._readiness import RELEASED, WRITABLE
from ._sockaddr import ANY, UNIX, SockAddr, addressIn, entry, inNumbers, isSockAddr, named, portNumber, sized, sockaddr
from ._threads import checkedReactor, conduitWindowOf, socketOf, windowOf
from ._transfer import Transfer
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

__all__ = ["Handle", "accepted", "whole"]

_LIKELIER = ((NEW, BOUND), (NEW, CONNECTING), (BOUND, CONNECTING), (UNNAMED, DATAGRAM))
"""What was found of a socket, and what was kept of it: where the latter says more."""
_NAMED = (BOUND, LISTENING, DATAGRAM)
_FAMILIES = (AF_INET, AF_INET6, UNIX)

_Self = TypeVar("_Self", bound="Handle")


def accepted(listening: Any, family: int) -> tuple[Any, SockAddr]:
    """
    The connection that has waited longest, and the address of its peer.

    @param listening: a C{socket.socket}, or a L{Conduit}.
    @return: a connection of the type beneath C{socket.socket}: its calls, without what that adds in Python, which a
        connection that comes and goes pays for at both ends.
    @raise OSError: there is none, or no descriptor for it.
    """
    if isinstance(listening, Conduit):
        return listening.accept()
    # What socket.accept() does, without making enumerations of what is known of the listener.
    fd, address = listening._accept()
    return socket.SocketType(family, SOCK_STREAM, 0, fd), address


def whole(sock: Any) -> Any:
    """
    @return: a connection as C{socket.socket} has it, where it was L{accepted} as something less.
    """
    if type(sock) is not socket.SocketType:
        return sock
    made = socket.socket(sock.family, sock.type, sock.proto, sock.detach())
    made.setblocking(False)
    return made


def _duplicate(sock: Any) -> Any:
    if type(sock) is socket.SocketType:
        return socket.fromfd(sock.fileno(), sock.family, sock.type, sock.proto)
    return sock.dup()


class Handle(Transfer):
    """
    An object that may have a socket.
    """

    __slots__ = ("_as_asked",)

    def __init__(self, reactor: Any = None) -> None:
        """
        @param reactor: a provider of C{IReactorFDSet}; L{None} for the thread's: the one given to C{AfxSocketInit}, or
            the global one, which is looked for when the socket is created.
        @raise TypeError: the reactor can't watch descriptors.
        """
        # Here for all the classes before: there is one for each connection.
        self._as_asked = None if reactor is None else checkedReactor(reactor)
        self._as_window = None
        self._as_rules = Notifications()
        self._as_interest = RELEASED
        # What OnAccept has accepted last, while it runs; False: nothing yet.
        self._as_offered = None
        self._as_blank()
        if observers:
            attend(self)

    # -- creating and closing

    @member(False)
    def Socket(
        self,
        nSocketType: int = SOCK_STREAM,
        lEvent: int = FD_ALL_EVENTS,
        nProtocolType: int = 0,
        nAddressFormat: int = PF_INET,
    ) -> bool:
        self._as_open(nAddressFormat, nSocketType, nProtocolType, lEvent)
        self._as_settleWritable()
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
        self._as_open(PF_INET, nSocketType, 0, lEvent)
        self._as_bindOrClose(lambda: self._as_local(port, lpszSocketAddress))
        self._as_settleWritable()
        return True

    @member(False)
    def CreateEx(self, pAI: Any, lEvent: int = FD_ALL_EVENTS) -> bool:
        entry(pAI)
        self._as_open(pAI[0], pAI[1], pAI[2], lEvent)
        if len(pAI) > 4 and pAI[4] is not None:
            self._as_bindOrClose(lambda: inNumbers(sockaddr(self._as_family, pAI[4], "pAI")))
        self._as_settleWritable()
        return True

    def _as_open(self, family: Any, kind: Any, protocol: Any, lEvent: Any) -> None:
        family = integer(family, "nAddressFormat")
        kind = integer(kind, "nSocketType") or SOCK_STREAM
        protocol = integer(protocol, "nProtocolType")
        selected = integer(lEvent, "lEvent")
        self._as_closed()
        if family not in _FAMILIES:
            raise Rejected(WSAError.WSAEAFNOSUPPORT if family else WSAError.WSAEINVAL)
        if kind not in (SOCK_STREAM, SOCK_DGRAM):
            raise Rejected(WSAError.WSAESOCKTNOSUPPORT)
        if not 0 <= protocol <= 0xFF:
            raise Rejected(WSAError.WSAEPROTONOSUPPORT)
        window = self._as_openingWindow()
        sock = window.create(family, kind, protocol)
        try:
            if family == AF_INET6:
                # Off by default on Linux, on by default on Windows.
                sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            self._as_adopt(sock, window, NEW if kind == SOCK_STREAM else UNNAMED, selected)
        except BaseException:
            sock.close()
            raise
        window.enter(self)

    def _as_closed(self) -> None:
        """
        @raise Rejected: C{WSAEINVAL}, the object has a socket.  MFC asserts there; nothing is touched here.
        @raise TypeError: the object was never made: its class has an C{__init__} that calls no other.
        """
        try:
            owned = self._as_sock is not None
        except AttributeError:
            raise unmade(self) from None
        if owned:
            raise Rejected(WSAError.WSAEINVAL)

    def _as_openingWindow(self, conduit: Conduit | None = None) -> Any:
        window = windowOf(self._as_asked) if conduit is None else conduitWindowOf(conduit)
        if window is None:
            raise Rejected(WSAError.WSANOTINITIALISED)
        return window

    def _as_bindOrClose(self, address: Callable[[], SockAddr]) -> None:
        try:
            self._as_bind(address())
        except BaseException:
            self.Close()
            raise

    def Close(self) -> None:
        try:
            elsewhere = self._as_sock is not None and get_ident() != self._as_thread
        except AttributeError:
            # The end of a with statement, which is not to hide what went wrong in it.
            raise unmade(self) from None
        if elsewhere:
            SetLastError(WSAError.WSANOTINITIALISED)
            return
        self._as_discard()

    def __del__(self) -> None:
        try:
            if self._as_sock is None or sys.is_finalizing():
                return
        except AttributeError:
            # It was never made.
            return
        warnings.warn(f"unclosed socket {self!r}", ResourceWarning, stacklevel=2, source=self)
        self._as_discard()

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.Close()

    # -- the handle

    @property
    def m_hSocket(self) -> int:
        """
        The handle, C{INVALID_SOCKET} when there is none (C{Handle::m_hSocket}).
        """
        return self._as_fd

    def __int__(self) -> int:
        return self._as_fd

    def __repr__(self) -> str:
        peer = f" with {self._as_peer!r}" if self._as_peer else ""
        return f"<{type(self).__name__} {self._as_phase.name.lower()} {self._as_fd}{peer}>"

    @member(False)
    def Attach(self, hSocket: Any, lEvent: int = FD_ALL_EVENTS) -> bool:
        selected = integer(lEvent, "lEvent")
        given = hSocket if isinstance(hSocket, (socket.socket, Conduit)) else None
        fd = given.fileno() if given is not None else integer(hSocket, "hSocket")
        self._as_closed()
        conduit = given if isinstance(given, Conduit) else conduitOf(fd)
        window = self._as_openingWindow(conduit)
        if not 0 <= fd <= 0x7FFFFFFF:
            raise Rejected(WSAError.WSAENOTSOCK)
        if socketOf(fd) is not None:
            raise Rejected(WSAError.WSAEINVAL)
        # A conduit is a socket to all that is done with one here.
        sock = window.adopted(fd) if conduit is None else cast(socket.socket, conduit)
        try:
            window.open()
            # What it is ready for says a part of what it is.
            self._as_own(sock, window, NEW, selected, int(sock.family))
            kept = recall(sock)
            connected = kept is not None and kept.phase is CONNECTED
            found = inspected(sock, window.look(self), connected)
        except BaseException:
            self._as_release()
            sock.detach()
            raise
        if given is not None and given is not sock:
            given.detach()
        self._as_attached(sock, found, kept)
        if observers:
            opened(self)
        window.enter(self)
        self._as_rearm()
        return True

    def _as_attached(self, sock: socket.socket, found: Found, kept: Kept | None) -> None:
        """
        Be a socket that comes from elsewhere.

        @param found: what the kernel says of it.
        @param kept: what is known besides, of one that was an object's before.
        """
        phase, attempt = found.phase, None
        if kept is not None:
            if (phase, kept.phase) in _LIKELIER:
                phase = kept.phase
            elif kept.phase is CONNECTED and phase is not CONNECTED:
                kept = kept.ofAnother()
            attempt = kept.attempt
        self._as_enter(phase)
        if kept is not None:
            self._as_resume(kept)
        self._as_limit(found.receives, found.sends or self._as_error is not None)
        if self._as_settings is None and sock.type == SOCK_STREAM:
            self._as_settings = Settings.of(sock)
        if phase is CONNECTING:
            self._as_attempt = Attempt(sock) if attempt is None else attempt.on(sock)
        elif phase is CONNECTED:
            with suppress(OSError):
                # Unless the kernel has forgotten it.
                self._as_peer = sock.getpeername()

    @member(INVALID_SOCKET)
    def Detach(self) -> int:
        queue, mine = self._as_queue, self._as_usable()
        if queue is not None and queue.isWaiting():
            # The handle is another's from now on; a conduit can be shared, but not duplicated.
            shared = isinstance(mine, Conduit)
            queue.outlive(mine if shared else mine.dup(), not shared)
        blocking, kept = self._as_blocking, self._as_keep()
        sock = self._as_release()
        if sock is None:
            return INVALID_SOCKET
        remember(sock, kept)
        if blocking:
            sock.setblocking(True)
        return sock.detach()

    @member(False)
    def Assign(self, rSrc: Handle) -> bool:
        if not isinstance(rSrc, Handle):
            raise TypeError(f"rSrc must be a Handle, not {type(rSrc).__name__}")
        if rSrc is self:
            return True
        source = rSrc._as_usable()
        duplicate = _duplicate(source)
        self.Close()
        try:
            self._as_closed()
            self._as_asked = rSrc._as_asked
            window = self._as_openingWindow()
            window.open()
        except BaseException:
            duplicate.close()
            raise
        kept = rSrc._as_keep()
        self._as_adopt(duplicate, window, kept.phase, rSrc._as_rules.selected)
        self._as_resume(kept)
        if kept.attempt is not None:
            self._as_attempt = kept.attempt.on(duplicate, alone=False)
        self._as_ended = rSrc._as_ended
        self._as_blocking = rSrc._as_blocking
        window.enter(self)
        self._as_rearm()
        return True

    def __copy__(self: _Self) -> _Self:
        duplicate = type(self).__new__(type(self))
        Handle.__init__(duplicate, self._as_asked)
        for name, value in getattr(self, "__dict__", {}).items():
            setattr(duplicate, name, value)
        if self._as_sock is not None and not duplicate.Assign(self):
            raise OSError(f"the socket can't be duplicated: {GetLastError()}")
        return duplicate

    # -- the local name

    def _as_bound(self) -> SockAddr | None:
        """
        @return: the name of this socket where others may not take it: it was bound, or listens.
        """
        if self._as_sock is None or self._as_family == UNIX or self._as_phase not in _NAMED:
            return None
        return cast(SockAddr, self._as_sock.getsockname())

    def _as_hasSet(self, option: Option) -> bool:
        """
        @return: whether the program has switched an option on.
        """
        return self._as_settings is not None and self._as_settings.isSet(option)

    @member(False)
    def Bind(self, nSocketPort: Any, lpszSocketAddress: Any = None) -> bool:
        self._as_usable()
        if isSockAddr(nSocketPort):
            sized(self._as_family, lpszSocketAddress, "nSockAddrLen")
            self._as_bind(inNumbers(sockaddr(self._as_family, nSocketPort, "lpSockAddr")))
        else:
            self._as_bind(self._as_local(portNumber(nSocketPort, "nSocketPort"), lpszSocketAddress))
        return True

    @member(False)
    def BindEx(self, pAI: Any) -> bool:
        return self.Bind(addressIn(pAI))

    def _as_local(self, port: int, host: str | None) -> SockAddr:
        if host is None:
            if self._as_family == UNIX:
                raise Rejected(WSAError.WSAEINVAL)
            return ANY[self._as_family], port
        return inNumbers(named(self._as_family, host, port, "lpszSocketAddress"))

    def _as_bind(self, address: SockAddr) -> None:
        self._as_usable()
        if self._as_phase is NEW:
            bind(self, address)
            self._as_phase = BOUND
        elif self._as_phase is UNNAMED:
            bind(self, address)
            self._as_phase = DATAGRAM
        else:
            raise Rejected(WSAError.WSAEINVAL)

    # -- an accepted socket

    def _as_inherit(self, listener: Handle, connection: socket.socket, window: Any, address: SockAddr) -> None:
        """
        Become the accepted socket: with the listener's properties, and the listener's mask.
        """
        self._as_asked = listener._as_asked
        self._as_own(connection, window, CONNECTED, listener._as_rules.selected, listener._as_family)
        self._as_peer = address
        if observers:
            opened(self, listener)
        if listener._as_settings is not None:
            self._as_settings = listener._as_settings
            if self._as_settings.isSet(Option.SO_OOBINLINE):
                self._as_rules.forbid(OOB)
        rules = self._as_rules
        if rules.enabled & WRITE:
            # Data that is there already is told before OnSend; what comes from now on, after it.  Where OnSend does
            # nothing the poller tells of the data all the same, without being asked for this socket alone.
            hears = self._as_hears or "OnSend" in getattr(self, "__dict__", ())
            found = window.look(self) if hears else 0
            rules.enabled ^= WRITE
            self._as_settle()
            rules.enabled |= WRITE
            window.post(self, WRITABLE | found)
        else:
            # Who does not want to be told OnSend hears of the data from whoever watches the socket.
            self._as_settle()
        if self._as_interest == RELEASED:
            window.enter(self)

    def _as_settleWritable(self) -> None:
        """
        Be registered, of a socket that is known to be able to send: that needs no further asking of the kernel.
        """
        rules = self._as_rules
        writable = rules.enabled & WRITE
        rules.enabled ^= writable
        self._as_settle()
        if writable and self._as_window is not None:
            rules.enabled |= writable
            self._as_window.post(self, WRITABLE)
