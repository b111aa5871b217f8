"""
C{CAsyncSocket}: the members of the reference.

What each does, and which errors it can leave, L{interfaces} says; what is here is how.  The members that move data are
in L{_transfer}.
"""

from __future__ import annotations

import socket
from typing import Any, ClassVar, Final, Literal, cast, overload

from zope.interface import implementer

from . import winsock
from ._arguments import Rejected, integer
from ._binding import dissolve, listen
from ._connecting import UNDER_WAY, Attempt
from ._handle import Handle, accepted
from ._ioctl import unread
from ._lasterror import inError
from ._member import documented, member
from ._notify import (
    ALL,
    BOUND,
    CONNECTED,
    CONNECTING,
    DATAGRAM,
    LISTENING,
    NEW,
    OOB,
    READ,
    REENABLED_BY,
    UNNAMED,
    WRITE,
)
from ._options import Settings, decode, encode, length, row
from ._readiness import READABLE, URGENT, WRITABLE
from ._sockaddr import (
    SIZE,
    UNIX,
    HostName,
    SockAddr,
    addressIn,
    hostAndPort,
    isEmpty,
    isSockAddr,
    named,
    portNumber,
    sized,
    sockaddr,
)
from ._threads import socketOf
from ._urgent import isTaken, passInLine
from .interfaces import IAsyncSocket
from .winsock import (
    AF_INET,
    FD_ALL_EVENTS,
    SOCK_DGRAM,
    SOCK_STREAM,
    Command,
    Option,
    SetLastError,
    WSAError,
    errorFromErrno,
)

__all__ = ["CAsyncSocket"]

_ACCEPTED: Final = REENABLED_BY["Accept"]
_EXHAUSTED: Final = (WSAError.WSAEMFILE, WSAError.WSAENOBUFS)
_RETRY: Final = 0.1
"""Seconds after which FD_ACCEPT is told again when there was no descriptor for a connection that waits."""
_SOMAXCONN: Final = 0x7FFFFFFF
_NOTHING_SET: Final = Settings()


@documented(IAsyncSocket)
@implementer(IAsyncSocket)
class CAsyncSocket(Handle):
    """
    A socket whose handlers are told what is ready, and whose members do what there is to do: MFC's C{CAsyncSocket}.

    Override the handlers of L{IAsyncSocketNotifications} in a subclass; the members are those of L{IAsyncSocket}.  The
    object is what the reactor holds, as reader and writer.  An open socket that waits for notifications is kept
    alive by its reactor; one that nobody holds, and that waits for nothing, or whose connection is over, closes itself
    with a C{ResourceWarning}.
    """

    __slots__ = ()

    receives: ClassVar[int] = 0
    sends: ClassVar[int] = 1
    both: ClassVar[int] = 2

    GetLastError = staticmethod(winsock.GetLastError)

    @staticmethod
    def FromHandle(hSocket: int) -> CAsyncSocket | None:
        return cast("CAsyncSocket | None", socketOf(integer(hSocket, "hSocket")))

    # -- names

    @member(None)
    def GetPeerName(self, lpSockAddrLen: int | None = None) -> tuple[str, int] | None:
        return self._as_plain(self._as_peerName(), lpSockAddrLen)

    @member(None)
    def GetPeerNameEx(self) -> tuple[str, int] | None:
        return hostAndPort(self._as_peerName())

    @member(None)
    def GetSockName(self, lpSockAddrLen: int | None = None) -> tuple[str, int] | None:
        return self._as_plain(self._as_sockName(), lpSockAddrLen)

    @member(None)
    def GetSockNameEx(self) -> tuple[str, int] | None:
        return hostAndPort(self._as_sockName())

    def _as_peerName(self) -> SockAddr:
        sock = self._as_usable()
        # Known until Close, also when the kernel has forgotten it; while connecting it is the address that is tried.
        known = self._as_peer if self._as_attempt is None else self._as_attempt.peer
        return cast(SockAddr, sock.getpeername()) if known is None else known

    def _as_sockName(self) -> SockAddr:
        sock = self._as_usable()
        if self._as_phase is NEW or self._as_phase is UNNAMED:
            raise Rejected(WSAError.WSAEINVAL)
        return cast(SockAddr, sock.getsockname())

    def _as_plain(self, name: SockAddr, lpSockAddrLen: Any) -> tuple[str, int]:
        """
        What the members that know no IPv6 answer: their SOCKADDR has room for an IPv4 address.
        """
        sized(self._as_family, SIZE[AF_INET] if lpSockAddrLen is None else lpSockAddrLen, "lpSockAddrLen")
        return hostAndPort(name)

    # -- connections

    @member(False)
    def Listen(self, nConnectionBacklog: int = 5) -> bool:
        sock = self._as_usable()
        backlog = integer(nConnectionBacklog, "nConnectionBacklog")
        if self._as_phase is UNNAMED or self._as_phase is DATAGRAM:
            raise Rejected(WSAError.WSAEOPNOTSUPP)
        if self._as_phase is LISTENING:
            # The backlog stays as it is.
            return True
        if self._as_phase is not BOUND:
            raise Rejected(WSAError.WSAEINVAL)
        backlog = max(1, min(backlog, _SOMAXCONN))
        try:
            listen(self, backlog)
        except OSError as error:
            if errorFromErrno(error.errno) is not WSAError.WSAEINVAL:
                raise
            # After a connect that failed Linux wants to say first, to another connect, that it was aborted.
            sock.connect_ex(sock.getsockname())
            listen(self, backlog)
        self._as_enter(LISTENING)
        self._as_settle()
        return True

    @member(False)
    def Connect(self, lpszHostAddress: Any, nHostPort: Any = None) -> bool:
        sock = self._as_usable()
        if isSockAddr(lpszHostAddress) and (self._as_family == UNIX or not isinstance(lpszHostAddress, (str, bytes))):
            sized(self._as_family, nHostPort if self._as_family != UNIX else None, "nSockAddrLen")
            address = sockaddr(self._as_family, lpszHostAddress, "lpSockAddr")
        else:
            port = portNumber(nHostPort, "nHostPort")
            address = named(self._as_family, lpszHostAddress, port, "lpszHostAddress")
        self._as_progress()
        if self._as_phase is CONNECTING:
            raise Rejected(WSAError.WSAEALREADY)
        if self._as_phase is CONNECTED:
            raise Rejected(WSAError.WSAEISCONN)
        if self._as_phase is LISTENING:
            raise Rejected(WSAError.WSAEINVAL)
        if isinstance(address, HostName):
            return self._as_connectByName(sock, address)
        if sock.type == SOCK_DGRAM:
            return self._as_connectDatagram(sock, address)
        attempt = Attempt(sock, [address])
        code = attempt.next()
        if code in UNDER_WAY:
            self._as_begin(attempt)
        if code:
            raise Rejected(code)
        return True

    @member(False)
    def ConnectEx(self, pAI: Any) -> bool:
        return self.Connect(addressIn(pAI))

    def _as_begin(self, attempt: Attempt) -> None:
        self._as_error = None
        self._as_attempt = attempt
        self._as_enter(CONNECTING)
        self._as_settle()

    def _as_connectDatagram(self, sock: socket.socket, address: SockAddr) -> bool:
        if isEmpty(address):
            dissolve(sock)
        else:
            sock.connect(address)
        self._as_phase, self._as_peer = DATAGRAM, None
        self._as_rules.reenable(WRITE)
        self._as_settle()
        return True

    def _as_connectByName(self, sock: socket.socket, name: HostName) -> bool:
        attempt = Attempt(sock)
        attempt.lookUp(self._as_reactor(), name, self._as_lookedUp)
        self._as_begin(attempt)
        if attempt.lookup is None:
            # The resolver knew the answer.
            self._as_lookedUp(attempt)
        raise Rejected(WSAError.WSAEWOULDBLOCK)

    def _as_lookedUp(self, attempt: Attempt) -> None:
        """
        The addresses of a Connect are known; one that was closed or begun anew meanwhile is not concerned.
        """
        if attempt is not self._as_attempt or self._as_window is None:
            return
        code = attempt.next()
        if code not in UNDER_WAY:
            self._as_error = code
        if code is not WSAError.WSAEWOULDBLOCK:
            # It failed, or was connected at once: no poller will say so.
            self._as_window.post(self, WRITABLE)
        self._as_settle()

    def _as_unaccepted(self, error: OSError) -> None:
        # Nothing is known to wait any more.
        self._as_now = 0
        code = errorFromErrno(error.errno)
        if code is WSAError.WSAEINVAL:
            self._as_ceased()
        elif code in _EXHAUSTED and self._as_window is not None:
            # The connection stays acceptable, so that FD_ACCEPT would come again at once, and for ever.
            self._as_window.later(self, _RETRY, self._as_acceptAgain)
        else:
            self._as_acceptAgain()

    def _as_turnAway(self) -> None:
        visitor = CAsyncSocket(self._as_asked)
        if CAsyncSocket.Accept(self, visitor):
            visitor._as_discard(abort=True)

    def _as_acceptAgain(self) -> None:
        self._as_rules.reenable(_ACCEPTED)
        if self._as_stalled:
            self._as_settle()

    @overload
    def Accept(
        self, rConnectedSocket: CAsyncSocket, lpSockAddr: Literal[False] = False, lpSockAddrLen: int | None = None
    ) -> bool: ...

    @overload
    def Accept(
        self, rConnectedSocket: CAsyncSocket, lpSockAddr: Literal[True], lpSockAddrLen: int | None = None
    ) -> SockAddr | None: ...

    @overload
    def Accept(
        self, rConnectedSocket: CAsyncSocket, lpSockAddr: bool, lpSockAddrLen: int | None = None
    ) -> bool | SockAddr | None: ...

    def Accept(self, rConnectedSocket: CAsyncSocket, lpSockAddr: bool = False, lpSockAddrLen: int | None = None) -> Any:
        # None is NULL: nobody wants to know the address.
        wanted = lpSockAddr
        if wanted is not None and type(wanted) is not bool:
            wanted = bool(integer(lpSockAddr, "lpSockAddr"))
        if inError:
            SetLastError(WSAError.NO_ERROR)
        try:
            sock = self._as_usable()
            if not isinstance(rConnectedSocket, CAsyncSocket):
                raise TypeError(f"rConnectedSocket must be a CAsyncSocket, not {type(rConnectedSocket).__name__}")
            if self._as_phase is not LISTENING:
                connectionless = self._as_phase is UNNAMED or self._as_phase is DATAGRAM
                raise Rejected(WSAError.WSAEOPNOTSUPP if connectionless else WSAError.WSAEINVAL)
            if lpSockAddrLen is not None:
                sized(self._as_family, lpSockAddrLen, "lpSockAddrLen")
            rConnectedSocket._as_closed()
            try:
                connection, address = accepted(sock, self._as_family)
            except OSError as error:
                self._as_unaccepted(error)
                raise
            if self._as_now:
                self._as_now -= 1
            rules = self._as_rules
            rules.enabled |= _ACCEPTED & rules.selected
            if self._as_stalled:
                self._as_settle()
            if self._as_offered is not None:
                self._as_offered = rConnectedSocket
            rConnectedSocket._as_inherit(self, connection, self._as_window, address)
        except Rejected as rejected:
            SetLastError(rejected.code)
            if rejected.code is WSAError.WSAEFAULT:
                # A wrong length: what waits is told again.
                self._as_acceptAgain()
        except OSError as error:
            SetLastError(errorFromErrno(error.errno))
        else:
            return address if wanted else True
        return None if wanted else False

    @member(False)
    def ShutDown(self, nHow: int = sends) -> bool:
        sock = self._as_usable()
        how = integer(nHow, "nHow")
        if how not in (self.receives, self.sends, self.both):
            raise Rejected(WSAError.WSAEINVAL)
        self._as_progress()
        if self._as_phase is CONNECTED:
            if how != self.receives:
                self._as_finish(sock)
        elif self._as_phase is not DATAGRAM and self._as_phase is not UNNAMED:
            raise Rejected(WSAError.WSAENOTCONN)
        self._as_untold()
        if how != self.sends:
            # Not said to the kernel: what arrives is accepted, as the reference says, and the peer's end of stream can
            # still be told from one's own.
            self._as_rules.forbid(READ | OOB)
        if how != self.receives:
            self._as_sending = 0
            self._as_rules.forbid(WRITE)
        self._as_rearm()
        return True

    @staticmethod
    def _as_finish(sock: socket.socket) -> None:
        try:
            sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            # The connection is gone already; there is nothing left to shut down.
            if errorFromErrno(error.errno) is not WSAError.WSAENOTCONN:
                raise

    # -- notifications, options and modes

    @member(False)
    def AsyncSelect(self, lEvent: int = FD_ALL_EVENTS) -> bool:
        self._as_usable()
        self._as_untold()
        self._as_rules.select(integer(lEvent, "lEvent") & ALL)
        # What this turn has found, it has found for another mask.
        self._as_now = 0
        self._as_blocking = False
        self._as_rearm()
        return True

    @member(None)
    def GetSockOpt(
        self, nOptionName: int, lpOptionValue: Any = None, lpOptionLen: int | None = None, nLevel: int | None = None
    ) -> Any:
        sock = self._as_usable()
        room = length(lpOptionLen, "lpOptionLen")
        option = row(nOptionName, nLevel, sock.type)
        if nOptionName is not Option.SO_ERROR:
            value = (self._as_settings or _NOTHING_SET).get(sock, nOptionName, option)
            return value if lpOptionValue is None else encode(option, value, lpOptionValue, room)
        self._as_failure()
        code = self._as_taken or WSAError.NO_ERROR
        answer = code if lpOptionValue is None else encode(option, code, lpOptionValue, room)
        # Retrieved and cleared.  What is to be notified, and what calls are to fail with, stays.
        self._as_taken = None
        if self._as_error is not None:
            # No poller says it any more.
            self._as_rearm()
        return answer

    @member(False)
    def SetSockOpt(
        self, nOptionName: int, lpOptionValue: Any, nOptionLen: int | None = None, nLevel: int | None = None
    ) -> bool:
        sock = self._as_usable()
        size = length(nOptionLen, "nOptionLen", lpOptionValue)
        option = row(nOptionName, nLevel, sock.type)
        value = decode(option, lpOptionValue, size)
        if not option.settable:
            raise Rejected(WSAError.WSAENOPROTOOPT)
        inLine = nOptionName is Option.SO_OOBINLINE and bool(value)
        taken = inLine and self._as_holed and isTaken(sock)
        self._as_settings = (self._as_settings or _NOTHING_SET).set(sock, nOptionName, option, value)
        if taken and not self._as_urgent:
            passInLine(sock)
        elif taken:
            # It was only looked at, and is in the stream again.
            self._as_urgent = b""
        receives = self._as_phase is CONNECTED and self._as_rules.possible & READ
        if nOptionName is Option.SO_OOBINLINE and receives:
            self._as_untold()
            (self._as_rules.forbid if value else self._as_rules.allow)(OOB)
            self._as_rearm()
            if inLine and self._as_window is not None and (self._as_ahead or taken) and self._as_peek() & READABLE:
                # The urgent byte is data from now on, which no poller is sure to say.
                self._as_window.post(self, READABLE)
        return True

    @member(None)
    def IOCtl(self, lCommand: int, lpArgument: int = 0) -> Any:
        sock = self._as_usable()
        command = integer(lCommand, "lCommand") & 0xFFFFFFFF
        argument = integer(lpArgument, "lpArgument")
        if command == Command.FIONBIO:
            if not argument and self._as_rules.selected:
                SetLastError(WSAError.WSAEINVAL)
                return False
            self._as_blocking = not argument
            return True
        if command == Command.FIONREAD:
            if self._as_phase is LISTENING:
                return 0
            return unread(sock)
        if command != Command.SIOCATMARK:
            raise Rejected(WSAError.WSAEOPNOTSUPP)
        if sock.type != SOCK_STREAM or self._as_window is None:
            raise Rejected(WSAError.WSAEINVAL)
        return not (self._as_urgent or self._as_window.look(self) & URGENT)

    # -- the handlers, of which those left alone do nothing

    def OnAccept(self, nErrorCode: int) -> None: ...

    def OnClose(self, nErrorCode: int) -> None: ...

    def OnConnect(self, nErrorCode: int) -> None: ...

    def OnOutOfBandData(self, nErrorCode: int) -> None: ...

    def OnReceive(self, nErrorCode: int) -> None: ...

    def OnSend(self, nErrorCode: int) -> None: ...
