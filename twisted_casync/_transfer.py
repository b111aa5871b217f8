"""
The gate: the calls that move data, and the one place where a call that could block is made.

Each is one non-blocking system call.  What it does to the notifications is said here and nowhere else: a Receive,
whatever comes of it, re-enables C{FD_READ} and C{FD_OOB}; a Send that would have blocked, or that was short, wants
C{FD_WRITE}.  (Windows' sends are never short; a program that was written there counts on C{OnSend} after one.)
"""

from __future__ import annotations

import socket
from threading import get_ident
from typing import Any, Final

from ._arguments import Rejected, filled, integer, sent
from ._destination import Destination
from ._ioctl import atMark
from ._lasterror import inError
from ._notify import CONNECTED, DATAGRAM, OOB, READ, REENABLED_BY, UNNAMED
from ._readiness import READABLE
from ._sockaddr import UNIX, HostName, SockAddr, sized
from ._urgent import takeUrgent
from .winsock import (
    SOCK_DGRAM,
    SOCKET_ERROR,
    MessageFlag,
    SetLastError,
    WSAError,
    errorFromErrno,
)

__all__ = ["Transfer"]

# Compared by identity on the short ways: of an argument that may be anything not even the truth can be asked there.
_NO_FLAGS: Final = 0
_OOB: Final = int(MessageFlag.MSG_OOB)
_PEEK: Final = int(MessageFlag.MSG_PEEK)
_DONTROUTE: Final = int(MessageFlag.MSG_DONTROUTE)
_WHOLE: Final = int(socket.MSG_TRUNC)
# A Send to a connection that is gone fails.  SIGPIPE would end a process that has its default action set.
_NO_SIGNAL: Final = int(socket.MSG_NOSIGNAL)
_RECEIVED: Final = REENABLED_BY["Receive"]
_RECEIVED_URGENT: Final = REENABLED_BY["Receive of urgent data"]
_NO_ERROR: Final = WSAError.NO_ERROR

_OF_THE_CALL: Final = (
    # Nearly always it is this one.
    WSAError.WSAEWOULDBLOCK,
    WSAError.WSAEACCES,
    WSAError.WSAEFAULT,
    WSAError.WSAEINVAL,
    WSAError.WSAEMSGSIZE,
    WSAError.WSAENOBUFS,
    WSAError.WSAENOTSOCK,
    WSAError.WSAEOPNOTSUPP,
)
"""What is wrong with one call, and says nothing of the connection that it was made on."""


class _Truncated(Exception):
    """
    A datagram was longer than the buffer: the call fails, but its beginning and its source were received.
    """

    def __init__(self, source: SockAddr | None) -> None:
        super().__init__(source)
        self.source = source


class Transfer(Destination):
    """
    A descriptor that data is received from and sent to.
    """

    __slots__ = ()

    # -- receiving

    def Receive(self, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0) -> int:
        if inError:
            SetLastError(_NO_ERROR)
        if self._as_fresh != get_ident() or nFlags is not _NO_FLAGS:
            return self._as_receive(lpBuf, nBufLen, nFlags)[0]
        # In OnReceive of a connected stream, for the first time: there is data, and it does not begin at a mark.
        self._as_fresh = 0
        try:
            if nBufLen is None:
                count = self._as_sock.recv_into(lpBuf)  # type: ignore[union-attr]  # connected: there is one
            elif type(nBufLen) is int and nBufLen:
                count = self._as_sock.recv_into(lpBuf, nBufLen)  # type: ignore[union-attr]
            else:
                return self._as_receive(lpBuf, nBufLen, nFlags)[0]
        except (OSError, TypeError, ValueError, OverflowError) as error:
            return self._as_unreceived(error, lpBuf, nBufLen)
        # Nothing was received: the end, unless there was no room; the general way knows.
        return count or self._as_receive(lpBuf, nBufLen, 0)[0]

    def ReceiveFrom(
        self, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0, *, lpSockAddrLen: int | None = None
    ) -> tuple[int, SockAddr | None]:
        if inError:
            SetLastError(_NO_ERROR)
        if (
            self._as_fresh != ~get_ident()
            or nBufLen is not None
            or nFlags is not _NO_FLAGS
            or lpSockAddrLen is not None
        ):
            return self._as_receive(lpBuf, nBufLen, nFlags, lpSockAddrLen)
        # In OnReceive of a datagram socket.
        kind = type(lpBuf)
        try:
            if kind is bytearray:
                room: int = len(lpBuf)
            elif kind is memoryview:
                room = lpBuf.nbytes
            else:
                return self._as_receive(lpBuf, nBufLen, nFlags, lpSockAddrLen)
            # MSG_TRUNC: the count is that of the datagram, also where the buffer is too small for it (recv(2)).
            count, source = self._as_sock.recvfrom_into(lpBuf, 0, _WHOLE)  # type: ignore[union-attr]  # there is one
        except OSError as error:
            # There is no more, as far as is known.
            self._as_fresh = 0
            SetLastError(self._as_failing(error))
            self._as_rules.reenable(_RECEIVED)
            return SOCKET_ERROR, None
        except (TypeError, ValueError, BufferError):
            return self._as_receive(lpBuf, nBufLen, nFlags, lpSockAddrLen)
        rules = self._as_rules
        if not rules.enabled & READ:
            rules.enabled |= _RECEIVED & rules.selected & rules.possible
        self._as_source = source
        if count > room:
            SetLastError(WSAError.WSAEMSGSIZE)
            return SOCKET_ERROR, source
        return count, source

    def ReceiveFromEx(
        self, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0, *, lpSockAddrLen: int | None = None
    ) -> tuple[int, SockAddr | None]:
        if inError:
            SetLastError(_NO_ERROR)
        return self._as_receive(lpBuf, nBufLen, nFlags, lpSockAddrLen)

    def _as_receive(
        self, lpBuf: Any, nBufLen: int | None, nFlags: int, lpSockAddrLen: int | None = None
    ) -> tuple[int, SockAddr | None]:
        """
        Any receive, in any state.
        """
        received = _RECEIVED
        try:
            sock = self._as_usable()
            flags = integer(nFlags, "nFlags")
            if flags & _OOB:
                received = _RECEIVED_URGENT
            view = filled(lpBuf, nBufLen)
            if self._as_window is not None and not self._as_fresh:
                self._as_window.overtaken(self, READABLE)
            # Whether anything is left to tell of is to be found anew.
            self._as_now &= ~(OOB if flags & _OOB else READ)
            if self._as_fresh > 0:
                self._as_untold()
            self._as_receivable(flags)
            if self._as_phase is CONNECTED:
                return self._as_receive_stream(sock, view, flags), None
            sized(self._as_family, lpSockAddrLen, "lpSockAddrLen")
            return self._as_receive_datagram(sock, view, flags)
        except _Truncated as truncated:
            SetLastError(WSAError.WSAEMSGSIZE)
            return SOCKET_ERROR, truncated.source
        except Rejected as rejected:
            SetLastError(rejected.code)
        except OSError as error:
            SetLastError(self._as_failing(error))
        finally:
            self._as_rules.reenable(received)
            if self._as_stalled or self._as_urgent:
                self._as_rearm()
            elif not self._as_fast:
                self._as_settle()
        return SOCKET_ERROR, None

    def _as_receivable(self, flags: int) -> None:
        """
        @raise Rejected: this socket can't receive now, or not so.
        """
        self._as_progress()
        phase = self._as_phase
        if phase is UNNAMED:
            raise Rejected(WSAError.WSAEOPNOTSUPP if flags & _OOB else WSAError.WSAEINVAL)
        if phase is not CONNECTED and phase is not DATAGRAM:
            raise Rejected(WSAError.WSAENOTCONN)
        if not self._as_rules.possible & READ:
            raise Rejected(WSAError.WSAESHUTDOWN)
        if flags & ~(_OOB | _PEEK | _DONTROUTE):
            raise Rejected(WSAError.WSAEINVAL)
        if phase is DATAGRAM:
            if flags & _OOB:
                raise Rejected(WSAError.WSAEOPNOTSUPP)
            if self._as_error is not None:
                raise Rejected(self._as_failedLater(self._as_error))

    def _as_failedLater(self, code: WSAError) -> WSAError:
        """
        @param code: the error of an earlier datagram.
        @return: the same.  It is cleared, so that only one call fails with it.
        """
        self._as_error = None
        if self._as_queue is not None:
            self._as_queue.failure = None
        return code

    def _as_receive_stream(self, sock: socket.socket, view: memoryview, flags: int) -> int:
        if flags & _OOB:
            return self._as_receive_urgent(sock, view, flags)
        if not view:
            # Nothing can be put into it, but it would say whether there is something.
            if not self._as_peek():
                raise Rejected(WSAError.WSAEWOULDBLOCK)
            return 0
        if self._as_family != UNIX and atMark(sock):
            if self._as_rules.possible & OOB:
                # Receiving from here would throw the urgent byte away.
                self._as_takeUrgent(sock)
            else:
                # Received in line, and never together with what is not urgent.
                view = view[:1]
        count = sock.recv_into(view, 0, flags & _PEEK)
        if not count:
            self._as_ending()
        return count

    def _as_receive_urgent(self, sock: socket.socket, view: memoryview, flags: int) -> int:
        if not self._as_rules.possible & OOB:
            raise Rejected(WSAError.WSAEINVAL)
        self._as_takeUrgent(sock)
        if not self._as_urgent:
            raise Rejected(WSAError.WSAEWOULDBLOCK)
        if not view:
            return 0
        view[:1] = self._as_urgent
        if not flags & _PEEK:
            self._as_urgent = b""
        return 1

    def _as_takeUrgent(self, sock: socket.socket) -> None:
        taken, self._as_ahead = takeUrgent(sock), False
        if taken:
            # The newest, also when an older one had to be taken before its time.
            self._as_urgent, self._as_holed = taken, True

    def _as_receive_datagram(self, sock: socket.socket, view: memoryview, flags: int) -> tuple[int, SockAddr | None]:
        # MSG_TRUNC: the count is that of the datagram, also where the buffer was too small for it (recv(2)).
        count, source = sock.recvfrom_into(view, 0, flags & _PEEK | _WHOLE)
        self._as_source = source
        if count > len(view):
            raise _Truncated(source)
        return count, source

    def _as_ending(self) -> None:
        """
        At the end of the stream Linux goes on saying so, also when a reset has come since.

        @raise Rejected: one has.
        """
        code = self._as_failure()
        if code is not None:
            raise Rejected(code)

    def _as_unreceived(self, error: Exception, lpBuf: Any, nBufLen: int | None) -> int:
        """
        A receive that failed, in the socket or already at its arguments.
        """
        if not isinstance(error, OSError):
            # It fails again, and is told why.
            return self._as_receive(lpBuf, nBufLen, 0)[0]
        SetLastError(self._as_failing(error))
        return SOCKET_ERROR

    def _as_failing(self, error: OSError) -> WSAError:
        """
        What a failed call means, and what is to be remembered of it: the kernel says it only once.
        """
        code = errorFromErrno(error.errno)
        if code in _OF_THE_CALL:
            return code
        if self._as_phase is CONNECTED:
            self._as_note(code)
            return self._as_error or code
        if self._as_phase is DATAGRAM or self._as_phase is UNNAMED:
            if code is WSAError.WSAECONNREFUSED:
                return WSAError.WSAECONNRESET
            if code is WSAError.WSAEDESTADDRREQ:
                return WSAError.WSAENOTCONN
        return code

    # -- sending

    def Send(self, lpBuf: Any, nBufLen: int | None = None, nFlags: int = 0) -> int:
        if inError:
            SetLastError(_NO_ERROR)
        if nFlags is not _NO_FLAGS or self._as_sending != get_ident():
            return self._as_send(lpBuf, nBufLen, nFlags, None)
        kind = type(lpBuf)
        try:
            # The buffers that say at once how many bytes they are.
            if kind is memoryview and nBufLen is None:
                size: int = lpBuf.nbytes
            elif kind is bytes or kind is bytearray:
                size = len(lpBuf)
                if nBufLen is not None:
                    if type(nBufLen) is not int or not 0 <= nBufLen <= size:
                        return self._as_send(lpBuf, nBufLen, 0, None)
                    lpBuf, size = memoryview(lpBuf)[:nBufLen], nBufLen
            else:
                return self._as_send(lpBuf, nBufLen, 0, None)
            count: int = self._as_sock.send(lpBuf, _NO_SIGNAL)  # type: ignore[union-attr]  # sending: there is one
        except OSError as error:
            return self._as_unsent(error)
        except (ValueError, BufferError):
            # Nothing was sent, and the general way says why.
            return self._as_send(lpBuf, None, 0, None)
        if count < size:
            self._as_blocked()
        return count

    def SendTo(
        self, lpBuf: Any, nBufLen: int | None, nHostPort: Any, lpszHostAddress: Any = None, nFlags: int = 0
    ) -> int:
        if inError:
            SetLastError(_NO_ERROR)
        if nHostPort is not None and nHostPort is self._as_source:
            # Where ReceiveFrom said that a datagram came from.
            if nFlags is not _NO_FLAGS or self._as_sending != get_ident():
                return self._as_send(lpBuf, nBufLen, nFlags, nHostPort)
            try:
                if nBufLen is not None:
                    if type(lpBuf) is not bytearray or type(nBufLen) is not int or not 0 <= nBufLen <= len(lpBuf):
                        return self._as_send(lpBuf, nBufLen, 0, nHostPort)
                    lpBuf = memoryview(lpBuf)[:nBufLen]
                # All of it: a datagram is never sent in parts.  A datagram socket never raises SIGPIPE.
                return self._as_sock.sendto(lpBuf, nHostPort)  # type: ignore[union-attr, arg-type]  # sending: there is one
            except OSError as error:
                return self._as_unsent(error)
            except (TypeError, ValueError, BufferError):
                return self._as_send(lpBuf, None, 0, nHostPort)
        try:
            sock = self._as_usable()
            to = self._as_destination(nHostPort, lpszHostAddress) if sock.type == SOCK_DGRAM else None
        except Rejected as rejected:
            SetLastError(rejected.code)
            return SOCKET_ERROR
        return self._as_send(lpBuf, nBufLen, nFlags, to)

    def SendToEx(
        self, lpBuf: Any, nBufLen: int | None, nHostPort: Any, lpszHostAddress: Any = None, nFlags: int = 0
    ) -> int:
        return self.SendTo(lpBuf, nBufLen, nHostPort, lpszHostAddress, nFlags)

    def _as_send(self, lpBuf: Any, nBufLen: int | None, nFlags: int, to: SockAddr | HostName | None) -> int:
        """
        Any send, in any state.
        """
        try:
            sock = self._as_usable()
            flags = integer(nFlags, "nFlags")
            view = sent(lpBuf, nBufLen)
            self._as_sendable(flags)
            if isinstance(to, HostName) or self._as_queue is not None:
                waits, to = self._as_inOrder(sock, view, flags, to)
                if waits:
                    return len(view)
            if to is None:
                count = sock.send(view, flags | _NO_SIGNAL)
            else:
                self._as_phase = DATAGRAM
                count = sock.sendto(view, flags | _NO_SIGNAL, to)
            if count < len(view):
                self._as_blocked()
            return count
        except Rejected as rejected:
            SetLastError(rejected.code)
        except OSError as error:
            return self._as_unsent(error)
        return SOCKET_ERROR

    @staticmethod
    def _as_sendNow(sock: socket.socket, data: bytes, flags: int, to: SockAddr) -> None:
        sock.sendto(data, flags | _NO_SIGNAL, to)

    def _as_unsent(self, error: OSError) -> int:
        """
        A send that failed in the socket: the kernel says why only once.
        """
        code = self._as_failing(error)
        if self._as_phase is CONNECTED and code is WSAError.WSAECONNABORTED:
            said = errorFromErrno(error.errno)
            if said is WSAError.WSAECONNABORTED:
                # What Linux calls a broken pipe, whatever had broken it.
                code = WSAError.WSAECONNRESET
            elif said is WSAError.WSAENETRESET:
                # OnClose and Receive have no other word for it than for an abort; Send has.
                code = said
        SetLastError(code)
        if code is WSAError.WSAEWOULDBLOCK:
            self._as_blocked()
        return SOCKET_ERROR

    def _as_sendable(self, flags: int) -> None:
        """
        @raise Rejected: this socket can't send now, or not so.
        """
        self._as_progress()
        phase = self._as_phase
        if phase not in (CONNECTED, DATAGRAM, UNNAMED):
            raise Rejected(WSAError.WSAENOTCONN)
        queue = self._as_queue
        if not self._as_sends():
            raise Rejected(WSAError.WSAESHUTDOWN)
        if queue is not None and queue.failure is not None:
            raise Rejected(self._as_failedLater(queue.failure))
        if flags & _PEEK:
            raise Rejected(WSAError.WSAEOPNOTSUPP)
        if flags & ~(_OOB | _DONTROUTE):
            raise Rejected(WSAError.WSAEINVAL)
        if flags & _OOB and phase is not CONNECTED:
            raise Rejected(WSAError.WSAEOPNOTSUPP)
